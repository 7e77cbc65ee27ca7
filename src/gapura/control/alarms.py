"""What control watches to tell of it: servers on the board, errors in the metrics, certificates that end."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import time
from collections.abc import Iterator
from typing import Final

from gapura.balance import facts
from gapura.balance.server import Server
from gapura.board import DOWN_AT, REFUSED, SERVED, Board
from gapura.config.plan import Plan
from gapura.config.plan_admin import UPSTREAM as OURS
from gapura.config.plan_events import default
from gapura.config.plan_tls import place
from gapura.control.certificate import Certificate
from gapura.control.error_bursts import STEP, Counts, ErrorBursts
from gapura.control.events import Events, open_states
from gapura.control.expiry import Dates, Expiry
from gapura.control.names import Names
from gapura.control.outages import AWAY, BETWEEN, OUT, UP, Key, Outages, Seen
from gapura.control.watch import Watch
from gapura.events import Draft, Event, moment
from gapura.metrics import Metrics

LOOK: Final = 0.2
"""Seconds between two looks at the board."""
DATES: Final = 60.0
"""Seconds between two looks at certificates."""

log = logging.getLogger(__name__)


class Alarms:
    """Looks again and again, and tells `events`. `watches` and `certificates` are those of `Health` and `Certificates`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, events: Events) -> None:
        self.watches: dict[int, Watch] = {}
        self.certificates: dict[str, Certificate] = {}
        self._loop = loop
        self._events = events
        self._outages = Outages(events.tell)
        self._bursts = ErrorBursts(events.tell)
        self._expiry = Expiry(events.tell)
        self._board: Board | None = None
        self._metrics: Metrics | None = None
        self._names: Names | None = None
        self._plan: Plan | None = None
        self._servers: dict[Key, Server] = {}
        self._crashed: dict[Key, str] = {}
        self._failed: dict[Key, int] = {}  # answers until it was benched
        self._files: dict[str, tuple[float, Dates | None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._counted = self._dated = -DATES
        self._restored = False
        events.restored = self._restore
        events.heard = self._heard

    def apply(self, plan: Plan, board: Board, metrics: Metrics | None, names: Names) -> None:
        """Watch what this plan names."""
        self._board, self._metrics, self._names, self._plan = board, metrics, names, plan
        self._servers = {
            (name, server["id"]): Server(server, board)
            for name, upstream in plan["upstreams"].items()
            if name != OURS
            for server in upstream["servers"]
            if server["slots"]
        }
        self._bursts.share = (plan.get("events") or default(""))["error_share"]
        self._dated = -DATES
        if self._timer is None:
            self._timer = self._loop.call_later(LOOK, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _restore(self, events: list[Event]) -> None:
        """Go on with what was told before a restart."""
        now, wall = self._loop.time(), time.time()

        def begun(subjects: dict[str, float]) -> dict[str, float]:
            return {subject: now - max(0.0, wall - at) for subject, at in subjects.items()}

        servers = begun(open_states(events, "server.out", "server.back"))
        keys = {key: at for subject, at in servers.items() for key in [_key(subject)] if all(key)}
        self._outages.restore(keys, begun(open_states(events, "upstream.out", "upstream.back")))
        self._bursts.restore(begun(open_states(events, "site.errors", "site.recovered")))
        self._expiry.restore(events)
        self._restored = True

    def _heard(self, event: Draft) -> None:
        """A crash is an outage from the moment that it is known, however soon the next process is there."""
        if event["type"] != "app.crashed" or not self._restored:
            return
        app, _, _ = event["subject"].rpartition(":")
        if wall_clock_is_near(event):
            self._crashed[(app, event["subject"])] = event["text"].removeprefix(f"{event['subject']}: ")
            self._loop.call_soon(self._look_at_servers)

    # -- looks ------------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        self._timer = self._loop.call_later(LOOK, self._look)
        if not self._restored:
            return
        try:
            self._look_at_servers()
            now = self._loop.time()
            if now - self._counted >= STEP:
                self._counted = now
                self._bursts.look(dict(self._counts()), now)
            if now - self._dated >= DATES:
                self._dated = now
                self._expiry.look(list(self.dates()), time.time())
        except Exception:
            log.exception("a look at what is to be told failed")

    def _look_at_servers(self) -> None:
        now = time.monotonic_ns()
        self._outages.look({key: self._seen(key, server, now) for key, server in self._servers.items()}, self._loop.time())

    def _seen(self, key: Key, server: Server, now: int) -> Seen:
        """How a server stands."""
        if server.eligible(now) and not server.cells[server.slot + DOWN_AT]:
            word, slot = "up", server.slot
        else:
            slot, word = facts.best_slot(server.board, server.plan, now)
        label = key[1] if self._is_app(key) else f"{key[0]}: {server.address}"
        if word in ("up", "full"):
            return self._seen_up(key, server, slot, label)
        if word == "benched":
            self._failed.setdefault(key, server.board.total(slot, SERVED))
            refused = server.cells[slot + DOWN_AT] & REFUSED
            why = "connections to it are refused" if refused else "requests to it fail"
            return Seen(OUT, why, label)
        if word == "unhealthy":
            return Seen(OUT, f"its health checks fail ({self._failing(server) or 'no answer'})", label)
        if word == "crashed":
            return Seen(OUT, self._crashed.get(key, "it crashed too often and was given up"), label)
        if word in ("starting", "stopping", "backoff", "free") and self._is_app(key):
            return Seen(OUT, self._crashed[key], label) if key in self._crashed else Seen(BETWEEN, "", label)
        self._crashed.pop(key, None)
        return Seen(AWAY, "", label)

    def _seen_up(self, key: Key, server: Server, slot: int, label: str) -> Seen:
        """It gets requests. That it works is another thing: nobody else may be there, or nobody has asked it since it failed."""
        self._crashed.pop(key, None)
        if failing := self._failing(server):
            return Seen(OUT, f"its health checks fail ({failing}); it gets requests, as nothing else could answer", label)
        if key in self._failed:
            proved = server.cells[slot + DOWN_AT] <= facts.up_at(server.board, slot)
            if not proved and server.board.total(slot, SERVED) <= self._failed[key]:
                return Seen(BETWEEN, "", label)
            del self._failed[key]
        return Seen(UP, "", label)

    def _failing(self, server: Server) -> str:
        """Why its health checks fail, "" when they do not."""
        return next((watch.failing for slot in server.slots if (watch := self.watches.get(slot)) and watch.failing), "")

    def _is_app(self, key: Key) -> bool:
        return self._plan is not None and key[0] in self._plan["apps"]

    def _counts(self) -> Iterator[tuple[str, Counts]]:
        """Requests and errors of each site."""
        if self._metrics is None or self._names is None:
            return
        for site, numbers in self._names.rows_of.items():
            rows = [self._metrics.row(number) for number in numbers if number not in self._names.ours]
            if rows:
                yield site, (sum(row.requests for row in rows), sum(row.errors for row in rows))

    def dates(self) -> Iterator[Dates]:
        """The days of all certificates: those that are got here, and those in files."""
        for host, item in self.certificates.items():
            if item.there and item.value("not_after"):
                yield Dates(host, item.value("not_before"), item.value("not_after"), str(item.record.get("problem") or ""))
        plan = self._plan
        if plan is None:
            return
        here = place(plan["edge"]["user"], plan["paths"]["run"])
        files = {site["tls"]["certificate"] for site in plan["sites"] if site["tls"] and site["tls"]["certificate"]}
        self._files = {path: self._read(path, here(path)) for path in files}
        yield from (dates for _, dates in self._files.values() if dates is not None)

    def _read(self, name: str, path: str) -> tuple[float, Dates | None]:
        """The days of a certificate in a file, read again when it has changed."""
        known = self._files.get(name)
        try:
            changed = os.stat(path).st_mtime
            if known is not None and known[0] == changed:
                return known
            found = ssl._ssl._test_decode_cert(path)  # type: ignore[attr-defined]  # the only decoder that costs no memory
            begin, end = (float(ssl.cert_time_to_seconds(found[word])) for word in ("notBefore", "notAfter"))
        except (OSError, ValueError, KeyError, AttributeError):
            return known or (0.0, None)
        return changed, Dates(name, begin, end)


def _key(subject: str) -> Key:
    upstream, _, server = subject.partition("/")
    return upstream, server


def wall_clock_is_near(event: Draft) -> bool:
    """Whether it has just happened: what a new control is told late says nothing of how a server stands now."""
    return abs(time.time() - moment(event["at"])) < 10.0
