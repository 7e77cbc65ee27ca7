"""A readiness check: one HTTP request without blocking, for a selector loop."""

from __future__ import annotations


class Probe:
    """Asks `http://host:port/path` once per `begin`. `host` is a numeric address. Nothing in it blocks or raises.

    failure = probe.begin(now)          # str: failed at once
    selector.register(probe, probe.wants)
    result = probe.advance(now)         # when ready, and when probe.deadline is over; then modify by probe.wants
    probe.close()                       # unregister first
    """

    deadline: float
    """Seconds of CLOCK_MONOTONIC after which `advance` answers with a failure: one second after `begin`."""

    def __init__(self, host: str, port: int, path: str, host_header: str) -> None:
        raise NotImplementedError

    def begin(self, now: float) -> str | None:
        """Start a check, ending one under way. A failure at once, else None."""
        raise NotImplementedError

    def fileno(self) -> int:
        """What to watch; -1 when no check is under way."""
        raise NotImplementedError

    @property
    def wants(self) -> int:
        """selectors.EVENT_READ or EVENT_WRITE."""
        raise NotImplementedError

    def advance(self, now: float) -> int | str | None:
        """Go on. None: not yet; an int: the HTTP status answered; a str: why it failed, in plain words."""
        raise NotImplementedError

    def close(self) -> None:
        """End the check under way, if any."""
        raise NotImplementedError
