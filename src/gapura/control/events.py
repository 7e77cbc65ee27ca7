"""The stream of events: numbered, remembered, written down, told to whoever listens."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from gapura import ipc
from gapura.config.plan import Plan
from gapura.config.plan_events import EventsPlan, WebhookPlan, default, files_of
from gapura.config.plan_tls import place
from gapura.control.event_command import Command
from gapura.control.event_limit import Limit, summary
from gapura.control.event_log import EventLog
from gapura.control.webhook import Webhook
from gapura.events import Draft, Event, draft, moment, read, stamp, wanted
from gapura.outgoing import Files, Outgoing

KEPT: Final = 1000
"""Events that are remembered."""
LOCK_RETRY, LOCK_PATIENCE = 0.05, 5.0
"""Seconds between two tries to become the writer of events.log, and until it is taken to be nobody's business any more."""
ALONE: Final = 2.0
"""Seconds without a master until that is an event: a new one that takes over is none."""
SECRET: Final = 4096
"""Bytes of a file with a secret."""

Listener = Callable[[Event], None]
log = logging.getLogger(__name__)


class Sink(Protocol):
    """Where events go beside the log. None of these methods waits or raises."""

    name: str
    problem: str

    @property
    def waiting(self) -> int:
        """Events that it has not got rid of yet."""

    def offer(self, event: Event) -> None:
        """An event that it may want."""

    async def test(self, event: Event) -> str:
        """Try it with this event; "" or what went wrong."""

    async def close(self, patience: float) -> None:
        """End, after what waits has gone, but within so many seconds."""

    def cancel(self) -> None:
        """End at once."""


class Events:
    """`send` tells the master. Until the first plan is there, and while another control still writes the log, events wait.

    `ring` holds the last events, the oldest first. `restored` is called once, with what was read from the log;
    `heard` with each event before it is numbered, even with one that is only counted.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, send: Callable[..., None]) -> None:
        self.ring: deque[Event] = deque(maxlen=KEPT)
        self.last = 0
        self.restored: Callable[[list[Event]], None] = lambda events: None
        self.heard: Callable[[Draft], None] = lambda event: None
        self.sinks: list[Sink] = []
        self._loop = loop
        self._send = send
        self._log: EventLog | None = None
        self._plan: EventsPlan | None = None
        self._ready = False
        self._waiting: deque[tuple[Draft, int]] = deque(maxlen=KEPT)
        self._listeners: list[Listener] = []
        self._limit = Limit()
        self._outgoing = Outgoing()
        self._secrets: dict[str, str] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._troubled = False

    # -- what happens -----------------------------------------------------------------------------------------------------

    def tell(self, type: str, subject: str, text: str, /, *, severity: str = "", **data: Any) -> None:
        """Take note of something of this moment."""
        self._take(draft(type, subject, text, severity, data), 0)

    def hear(self, message: ipc.Message) -> None:
        """What the master says that has happened."""
        event, number = read(message.get("event")), message.get("number")
        if event is not None and isinstance(number, int):
            self._take(event, number)

    def _take(self, event: Draft, number: int) -> None:
        if not self._ready:
            self._waiting.append((event, number))
            return
        if number and self._known(event):
            self._send({"type": "heard", "number": number})
            return
        self.heard(event)
        now = self._loop.time()
        if self._limit.admit(event, now):
            self._publish(event)
        else:
            self._summarize_later()
        if number:
            self._send({"type": "heard", "number": number})

    def _known(self, event: Draft) -> bool:
        """Whether the control before us has taken it down without saying so."""
        return any(e["at"] == event["at"] and e["type"] == event["type"] and e["subject"] == event["subject"] for e in self.ring)

    def _publish(self, event: Draft, sinks: bool = True) -> Event:
        self.last += 1
        numbered: Event = {"id": self.last, **event}
        self.ring.append(numbered)
        written = self._log is None or self._log.write(numbered)
        for sink in self.sinks if sinks else ():
            sink.offer(numbered)
        for listener in list(self._listeners):
            try:
                listener(numbered)
            except Exception:
                log.exception("an event could not be told")
        self._watch_log(written)
        return numbered

    def _watch_log(self, written: bool) -> None:
        """Tell when events.log itself cannot be written, and when it can again."""
        events = self._log
        if events is None or written != self._troubled:
            return
        self._troubled = not written
        if not written:
            self.tell("log.failed", events.path, f"{events.path} cannot be written: {events.problem}", reason=events.problem)
        else:
            self.tell(
                "log.back", events.path, f"{events.path} can be written again: {events.lost} lines are missing", lost=events.lost
            )
            events.lost = 0

    def _summarize_later(self) -> None:
        due = self._limit.due()
        if due is not None and "summary" not in self._timers:
            self._timers["summary"] = self._loop.call_at(due + 0.01, self._summarize)

    def _summarize(self) -> None:
        self._timers.pop("summary", None)
        for kind, count, last in self._limit.summaries(self._loop.time()):
            type, subject, text, data = summary(kind, count, last)
            self._publish(draft(type, subject, text, last["severity"], dict(data)))
        self._summarize_later()

    # -- who listens ------------------------------------------------------------------------------------------------------

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each event, at once; it must neither wait nor raise. Call what is returned to hear no more."""
        self._listeners.append(listener)

        def leave() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return leave

    def since(self, number: int, only: Iterable[str] = (), most: int = KEPT) -> list[Event]:
        """The last events with a greater number, the oldest first. A number that was never given: all that are remembered."""
        words = list(only)
        found = [e for e in self.ring if (e["id"] > number or number > self.last) and wanted(words, e)]
        return found[-most:] if most else []

    async def test(self) -> list[dict[str, str]]:
        """Send a test event everywhere: each sink with "" or what went wrong."""
        event = self._publish(draft("events.test", "gapura", "this is a test: events arrive", "", {}), sinks=False)
        events = self._log
        outcomes = [] if events is None else [{"sink": f"log {events.path}", "problem": events.problem}]
        problems = await asyncio.gather(*(sink.test(event) for sink in self.sinks))
        return outcomes + [{"sink": sink.name, "problem": said} for sink, said in zip(self.sinks, problems, strict=True)]

    # -- the plan ---------------------------------------------------------------------------------------------------------

    def apply(self, plan: Plan) -> None:
        """Tell whom this plan names. What waits for sinks that stay is kept."""
        events = plan.get("events") or default(plan["paths"]["logs"])
        self._outgoing.place = place(plan["edge"]["user"], plan["paths"]["run"])
        for path in files_of(events):
            self._send({"type": "lend", "id": f"events:{path}", "kind": "file", "name": path})
        if events != self._plan:
            self._replace_sinks(events)
        before, self._plan = self._plan, events
        if before is None or before["log"] != events["log"]:
            if self._log is not None:
                self._log.close()
            self._log = EventLog(events["log"]) if events["log"] else None
            self._open(self._loop.time())

    def _replace_sinks(self, events: EventsPlan) -> None:
        before, self.sinks = self.sinks, []
        for hook in events["webhooks"]:
            same = next((sink for sink in before if isinstance(sink, Webhook) and sink.plan == hook), None)
            self.sinks.append(same or Webhook(self._loop, hook, self._context, self._secret, self.tell))
        if events["on_event"] is not None:
            command = events["on_event"]
            known = next((sink for sink in before if isinstance(sink, Command) and sink.plan == command), None)
            self.sinks.append(known or Command(self._loop, command, self.tell))
        for sink in before:
            if sink not in self.sinks:
                sink.cancel()

    def _open(self, since: float) -> None:
        """Become the writer of the log, and go on where it ends."""
        self._timers.pop("open", None)
        events = self._log
        if events is not None and not events.open() and self._loop.time() - since < LOCK_PATIENCE:
            self._timers["open"] = self._loop.call_later(LOCK_RETRY, self._open, since)
            return
        if self._ready:
            return
        if events is not None:
            found, self.last = events.restore(KEPT)
            self.ring.extend(found)
            self._limit.remember(found)
        self._ready = True
        self.restored(list(self.ring))
        while self._waiting:
            self._take(*self._waiting.popleft())

    def lent(self, message: ipc.Message, fds: list[int]) -> bool:
        """A file with a secret that the master lends; False when the message is not for us. The descriptors stay the caller's."""
        number = message.get("id")
        if not isinstance(number, str) or not number.startswith("events:"):
            return False
        path = number.removeprefix("events:")
        self._secrets.pop(path, None)
        if fds:
            lines = os.pread(fds[0], SECRET, 0).decode("utf-8", "replace").splitlines()
            self._secrets[path] = lines[0].strip() if lines else ""
        elif error := message.get("error"):
            log.error("%s", error)
        return True

    def _secret(self, path: str) -> str:
        if not self._secrets.get(path):
            raise ValueError(f"{path} is not there, empty, or cannot be read")
        return self._secrets[path]

    def _context(self, hook: WebhookPlan) -> ssl.SSLContext:
        return self._outgoing.context(Files(True, hook["ca"], "", ""), time.monotonic_ns())

    # -- the process ------------------------------------------------------------------------------------------------------

    def reopen(self) -> None:
        """Open the log anew, after rotation."""
        if self._log is not None and self._ready:
            self._log.reopen(self.last, stamp(time.time()))

    def lose_master(self) -> None:
        """There is no master; when none comes soon, it is an event."""
        text = "the master died: sites are served, but nobody restarts apps until `gapura up` starts a new one"
        self._timers["alone"] = self._loop.call_later(ALONE, lambda: self.tell("gapura.orphaned", "gapura", text))

    def find_master(self) -> None:
        """There is one again."""
        timer = self._timers.pop("alone", None)
        if timer is not None:
            timer.cancel()

    @property
    def busy(self) -> bool:
        """Whether a sink has something to do."""
        return any(sink.waiting for sink in self.sinks)

    async def close(self, patience: float) -> None:
        """Give the sinks so many seconds for what waits, and let go of everything."""
        await asyncio.gather(*(sink.close(patience) for sink in self.sinks))
        self.stop()

    def stop(self) -> None:
        """Let go of everything at once."""
        for sink in self.sinks:
            sink.cancel()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._log is not None:
            self._log.close()


def open_states(events: Iterable[Draft], begins: str, ends: str) -> dict[str, float]:
    """Subjects whose state has begun and not ended, with the time of day of its beginning, from the events of the past."""
    found: dict[str, float] = {}
    for event in events:
        if event["type"] == begins:
            found[event["subject"]] = moment(event["at"])
        elif event["type"] == ends:
            found.pop(event["subject"], None)
    return found
