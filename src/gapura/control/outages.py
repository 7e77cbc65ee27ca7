"""Which servers and upstreams are out, told once when it begins and once when it is over, however much they flap in between.

Pure: no board, no loop, no clock. `now` is in seconds of CLOCK_MONOTONIC.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from gapura.events import Tell

UP, OUT, BETWEEN, AWAY = "up", "out", "between", "away"
"""What a server is: it gets requests; it should and does not; it starts or stops; it is out by somebody's will."""

SETTLED: Final = 2.0
"""Seconds that a server must be up until an outage is over; twice as long after each that follows soon, up to `LONGEST`."""
LONGEST: Final = 60.0
SOON: Final = 300.0
"""Seconds within which the next outage counts as flapping."""
GRACE: Final = 1.0
"""Seconds that an upstream may be without a server: a restart of its only one is no outage."""

Key = tuple[str, str]
"""Upstream and server id."""


class Seen(NamedTuple):
    """What a look has found of a server. `why` in plain words when it is OUT."""

    standing: str
    why: str = ""
    label: str = ""


class _Outage:
    """What is known of one server, or of one upstream."""

    __slots__ = ("began", "over_at", "settle", "since", "told", "up_since", "why")

    def __init__(self) -> None:
        self.told = False
        self.why = ""
        self.began = 0.0
        self.since: float | None = None  # when it was first seen out, until it is told
        self.up_since: float | None = None
        self.settle = SETTLED
        self.over_at = -SOON

    def out(self, now: float, grace: float) -> bool:
        """It is out now; True when that is to be told."""
        self.up_since = None
        if self.told:
            return False
        if self.since is None:
            self.since = now
        if now - self.since < grace:
            return False
        self.told, self.began = True, self.since
        self.settle = min(2 * self.settle, LONGEST) if self.since - self.over_at < SOON else SETTLED
        return True

    def up(self, now: float) -> bool:
        """It is up now; True when the outage is over."""
        self.since = None
        if not self.told:
            return False
        if self.up_since is None:
            self.up_since = now
        if now - self.up_since < self.settle:
            return False
        self.end(now)
        return True

    def waver(self) -> None:
        """It is neither: whoever was coming back begins anew."""
        self.up_since = None

    def end(self, now: float) -> None:
        """The outage is over."""
        self.told, self.since, self.over_at = False, None, now


class Outages:
    """Tells `server.out`, `server.back`, `upstream.out` and `upstream.back`."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._servers: dict[Key, _Outage] = {}
        self._upstreams: dict[str, _Outage] = {}

    def restore(self, servers: Mapping[Key, float], upstreams: Mapping[str, float]) -> None:
        """Go on with outages that were told before a restart, each with the time it began."""
        for table, begun in ((self._servers, servers), (self._upstreams, upstreams)):
            for key, began in begun.items():
                known = table[key] = _Outage()  # type: ignore[index]
                known.told, known.began = True, began

    def look(self, seen: Mapping[Key, Seen], now: float) -> None:
        """Take in how all servers of the plan stand now."""
        for key, server in seen.items():
            self._look_at(key, server, now)
        for key in [key for key in self._servers if key not in seen]:
            self._leave(key, f"{key[0]}/{key[1]}", "it was removed", now)
            del self._servers[key]
        groups: dict[str, list[Seen]] = {}
        for (upstream, _), server in seen.items():
            groups.setdefault(upstream, []).append(server)
        for name, group in groups.items():
            self._look_at_all(name, group, now)
        for name in [name for name in self._upstreams if name not in groups]:
            if self._upstreams.pop(name).told:
                self._tell("upstream.back", name, f"{name} is out no longer: it was removed", reason="removed")

    def _look_at(self, key: Key, server: Seen, now: float) -> None:
        outage = self._servers.get(key)
        subject = f"{key[0]}/{key[1]}"
        if server.standing == OUT:
            if outage is None:
                outage = self._servers[key] = _Outage()
            if outage.out(now, 0.0):
                outage.why = server.why
                self._tell("server.out", subject, f"{server.label or subject} is out: {server.why}", **_facts(key), why=server.why)
        elif outage is None:
            return
        elif server.standing == UP:
            if outage.up(now):
                self._back(key, subject, server.label or subject, outage, now)
        elif server.standing == AWAY:
            self._leave(key, server.label or subject, "it is stopped or drained", now)
        else:
            outage.waver()

    def _back(self, key: Key, subject: str, label: str, outage: _Outage, now: float) -> None:
        seconds = (outage.up_since or now) - outage.began
        text = f"{label} is back, after {span(seconds)}"
        self._tell("server.back", subject, text, **_facts(key), seconds=round(seconds, 1), why=outage.why)

    def _leave(self, key: Key, label: str, reason: str, now: float) -> None:
        """Nobody expects the server to answer any more: its outage is over."""
        outage = self._servers[key]
        if outage.told:
            subject, seconds = f"{key[0]}/{key[1]}", round(now - outage.began, 1)
            self._tell("server.back", subject, f"{label} is out no longer: {reason}", **_facts(key), seconds=seconds, reason=reason)
            outage.end(now)
        outage.since = None

    def _look_at_all(self, name: str, group: list[Seen], now: float) -> None:
        outage = self._upstreams.get(name)
        standings = {server.standing for server in group}
        if UP not in standings and OUT in standings:
            if outage is None:
                outage = self._upstreams[name] = _Outage()
            if outage.out(now, GRACE):
                why = next(server.why for server in group if server.standing == OUT)
                number = len(group)
                who = (
                    f"none of the {number} servers of {name} answers"
                    if number > 1
                    else f"the only server of {name} does not answer"
                )
                self._tell("upstream.out", name, f"{who}: {why}", upstream=name, why=why)
        elif outage is not None and UP in standings:
            if outage.up(now):
                seconds = (outage.up_since or now) - outage.began
                self._tell(
                    "upstream.back", name, f"{name} is back, after {span(seconds)}", upstream=name, seconds=round(seconds, 1)
                )
        elif outage is not None and standings <= {AWAY}:
            if outage.told:
                self._tell("upstream.back", name, f"{name} is out no longer: all of it is stopped", upstream=name, reason="stopped")
            outage.end(now)
        elif outage is not None:
            outage.waver()


def _facts(key: Key) -> dict[str, Any]:
    return {"upstream": key[0], "server": key[1]}


def span(seconds: float) -> str:
    """A time as people say it: 0.4 s, 12 s, 3 min, 2 h 5 min, 3 d."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d"
