"""A webhook: events are posted to it one after the other, again and again while it does not take them. Nobody waits for it."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from gapura.config.plan_events import WebhookPlan, name_of
from gapura.control.event_body import body, headers
from gapura.control.post import Outcome, post
from gapura.events import OWN, Event, Tell, wanted

QUEUE: Final = 200
"""Events that wait for a webhook; when there are more, the oldest are given up."""
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
LONGEST_WAIT: Final = 300.0
"""Seconds that a receiver may make us wait (Retry-After)."""
GIVEN_UP: Final = 3600.0
"""Seconds for which an event is tried."""

log = logging.getLogger(__name__)
Contexts = Callable[[WebhookPlan], ssl.SSLContext]
Secrets = Callable[[str], str]


class Webhook:
    """`contexts` makes what TLS needs, `secrets` gives the first line of a file that the master lent. Both may raise OSError and
    ValueError. `tell` hears when it begins to fail and when it works again.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, plan: WebhookPlan, contexts: Contexts, secrets: Secrets, tell: Tell
    ) -> None:
        self.plan = plan
        self.name = f"webhook {name_of(plan)}"
        self.lost = 0
        self.problem = ""
        self.pause = FIRST_PAUSE
        self._loop = loop
        self._contexts = contexts
        self._secrets = secrets
        self._tell = tell
        self._queue: deque[tuple[Event, float]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    @property
    def waiting(self) -> int:
        """Events that were not delivered yet."""
        return len(self._queue)

    def offer(self, event: Event) -> None:
        """Take an event, if it is one of those that are wanted."""
        if event["type"] in OWN or self._closing or not wanted(self.plan["only"], event):
            return
        if len(self._queue) >= QUEUE:
            self._queue.popleft()
            self.lost += 1
        self._queue.append((event, self._loop.time()))
        if self._task is None:
            self._task = self._loop.create_task(self._deliver())

    async def test(self, event: Event) -> str:
        """Post an event now, once; "" or why it was not taken."""
        return (await self._attempt(event)).problem

    async def close(self, patience: float) -> None:
        """Post what waits, for at most `patience` seconds."""
        self._closing = True
        if self._task is not None:
            await asyncio.wait([self._task], timeout=patience)
        self.cancel()

    def cancel(self) -> None:
        """Give up at once."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._queue.clear()

    async def _deliver(self) -> None:
        """Post what waits. It is one task for all events, so that they arrive in their order."""
        pause = self.pause
        while self._queue:
            event, since = self._queue[0]
            outcome = await self._attempt(event)
            gone = self._queue[0][0] is not event if self._queue else True  # given up meanwhile, to make room
            self._note(outcome)
            if outcome.again and self._loop.time() - since < GIVEN_UP:
                await asyncio.sleep(max(pause, min(outcome.wait, LONGEST_WAIT)))
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            pause = self.pause
            if outcome.problem:
                self.lost += 1
            if not gone:
                self._queue.popleft()
        self._task = None

    async def _attempt(self, event: Event) -> Outcome:
        try:
            return await self._post(event)
        except Exception as error:
            log.exception("%s: an event cannot be posted", self.name)
            return Outcome(f"it cannot be posted: {error}")

    async def _post(self, event: Event) -> Outcome:
        plan = self.plan
        try:
            url = self._secrets(plan["url_file"]) if plan["url_file"] else plan["url"]
            if not url.isascii() or not url.startswith(("http://", "https://")) or any(c <= " " for c in url):
                return Outcome(f"{plan['url_file']} holds no URL")
            secret = self._secrets(plan["secret_file"]) if plan["secret_file"] else ""
            context = self._contexts(plan) if url.startswith("https:") else None
        except (OSError, ValueError) as error:
            return Outcome(str(error), again=True)
        kind, data = body(event, plan)
        return await post(url, headers(event, plan, secret, data, kind, time.time()), data, plan["timeout"], context)

    def _note(self, outcome: Outcome) -> None:
        """Tell when it begins to fail, and when it works again."""
        if outcome.problem and not self.problem:
            self._tell("events.undelivered", self.name, f"{self.name} does not take events: {outcome.problem}")
        elif self.problem and not outcome.problem:
            lost = f", {self.lost} events are lost" if self.lost else ""
            self._tell("events.delivered", self.name, f"{self.name} takes events again{lost}", lost=self.lost)
            self.lost = 0
        self.problem = outcome.problem
