"""What can happen that people want to hear of: every type of event, how grave it is, and which one ends which.

`docs/events.md` holds this table (`tools/reference`); `[events]` may name what stands here.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, Protocol, TypedDict

INFO: Final = "info"
WARNING: Final = "warning"
ERROR: Final = "error"
SEVERITIES: Final = (INFO, WARNING, ERROR)
"""The mildest first."""
LONGEST_TEXT: Final = 1000
"""Characters of an event's sentence; what an app has printed may be part of it."""


MOST_ITEMS: Final = 20
"""Items of a list in an event's data."""


class Kind(NamedTuple):
    """One type of event. `ends`: the type whose state is over with this one, for the same subject."""

    severity: str
    when: str
    ends: str = ""


KINDS: Final[dict[str, Kind]] = {
    "gapura.started": Kind(INFO, "Gapura serves."),
    "gapura.stopping": Kind(INFO, "Gapura was told to stop."),
    "gapura.orphaned": Kind(ERROR, "The master died and no other came within 2 s: sites are served, but nobody restarts apps."),
    "gapura.taken_over": Kind(INFO, "A new master took over from an earlier one.", ends="gapura.orphaned"),
    "app.ready": Kind(INFO, "An instance answers, and gets requests from now on."),
    "app.crashed": Kind(ERROR, "An instance ended by itself, or could not be started: with the cause and its last lines."),
    "app.crash_loop": Kind(ERROR, "An instance failed three times within two minutes."),
    "app.given_up": Kind(ERROR, "An instance failed `max_restarts` times in a row: it is not started again."),
    "app.memory": Kind(WARNING, "An instance held more than `max_memory`: it is replaced."),
    "app.started": Kind(INFO, "Somebody had an app or instance started."),
    "app.stopped": Kind(INFO, "Somebody had an app or instance stopped."),
    "app.restarted": Kind(INFO, "Somebody had an app or instance restarted."),
    "app.scaled": Kind(INFO, "Somebody changed how many instances an app has."),
    "server.out": Kind(WARNING, "A server gets no requests: it crashed, fails its health checks, or failed visitors' requests."),
    "server.back": Kind(INFO, "A server that was out gets requests again, and keeps up.", ends="server.out"),
    "server.added": Kind(INFO, "Somebody added a server."),
    "server.removed": Kind(INFO, "Somebody removed a server."),
    "server.changed": Kind(INFO, "Somebody drained a server, enabled it, or gave it another weight."),
    "upstream.out": Kind(ERROR, "All servers of an upstream are out: visitors get errors."),
    "upstream.back": Kind(INFO, "An upstream has a server again.", ends="upstream.out"),
    "site.errors": Kind(ERROR, "Of a site's answers of the last minute, more than `error_share` were errors (5xx)."),
    "site.recovered": Kind(INFO, "A site's share of errors is below half of that again.", ends="site.errors"),
    "site.closed": Kind(INFO, "Maintenance of a site began."),
    "site.opened": Kind(INFO, "Maintenance of a site is over.", ends="site.closed"),
    "worker.died": Kind(ERROR, "A worker ended by itself: a new one takes its place."),
    "worker.hung": Kind(ERROR, "A worker did nothing for two seconds: it is killed, a new one takes its place."),
    "worker.replaced": Kind(INFO, "The new worker serves."),
    "control.died": Kind(ERROR, "The process for health checks, certificates and the API ended by itself: a new one is started."),
    "control.hung": Kind(ERROR, "That process did nothing for two seconds: it is killed and started anew."),
    "control.replaced": Kind(INFO, "The new one works."),
    "config.changed": Kind(INFO, "Another configuration serves: with what has changed."),
    "config.refused": Kind(WARNING, "A new configuration was refused: with the first problem. The running one stays."),
    "name.changed": Kind(INFO, "A DNS name among the servers has other addresses."),
    "certificate.issued": Kind(INFO, "A certificate was got, or renewed.", ends="certificate.failed"),
    "certificate.failed": Kind(
        WARNING, "A certificate could not be got or renewed: the present one is served, and it is tried again."
    ),
    "certificate.expires": Kind(WARNING, "A certificate ends in 14, 7, 3 or 1 days (from 3 days on an error), or has ended."),
    "log.failed": Kind(ERROR, "A log cannot be written: the disk is full, for example."),
    "log.back": Kind(INFO, "It can be written again: with how many lines are missing.", ends="log.failed"),
    "token.created": Kind(INFO, "Somebody made a token for the admin API."),
    "token.revoked": Kind(INFO, "Somebody took one back."),
    "events.more": Kind(WARNING, "So many events of a type came within a minute that the rest is only counted."),
    "events.undelivered": Kind(WARNING, "A webhook or `on_event` fails. Told to the log and the API only."),
    "events.delivered": Kind(INFO, "It works again.", ends="events.undelivered"),
    "events.test": Kind(INFO, "`gapura events test`."),
}
"""Every type of event, in the order of the documentation."""

GROUPS: Final = tuple(dict.fromkeys(name.partition(".")[0] for name in KINDS))
WORDS: Final = (*SEVERITIES, *GROUPS, *KINDS)
"""What `only` may name."""
OWN: Final = ("events.undelivered", "events.delivered")
"""What webhooks and commands are not told: it is about them."""


class Draft(TypedDict):
    """An event before it is numbered: what the master tells control."""

    at: str  # UTC, RFC 3339, with milliseconds
    type: str
    severity: str
    subject: str  # "web:0", "api/10.0.0.1:3000", "example.com"
    text: str  # one sentence
    data: dict[str, Any]


class Event(Draft):
    """An event of the stream. `id` grows by one, also across restarts."""

    id: int


class Tell(Protocol):
    """How parts of the program say that something has happened. `severity`: another than the type's own."""

    def __call__(self, type: str, subject: str, text: str, /, *, severity: str = "", **data: Any) -> None:
        """Take note, at once and without raising anything."""


def nobody(type: str, subject: str, text: str, /, *, severity: str = "", **data: Any) -> None:
    """The `Tell` of who has nobody to tell."""


def draft(type: str, subject: str, text: str, severity: str, data: dict[str, Any], now: float | None = None) -> Draft:
    """An event of this moment (`now`: seconds since 1970). Raises KeyError for a type that the table does not have."""
    text = " ".join(text.split())
    return {
        "at": stamp(time.time() if now is None else now),
        "type": type,
        "severity": severity or KINDS[type].severity,
        "subject": subject,
        "text": text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…",
        "data": {name: _bounded(value) for name, value in data.items()},
    }


def _bounded(value: Any) -> Any:
    """What an event holds beside its sentence, no longer than it makes sense: apps may print lines of megabytes."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else value[: LONGEST_TEXT - 1] + "…"
    if isinstance(value, list | tuple):
        return [_bounded(item) for item in value[:MOST_ITEMS]]
    return {name: _bounded(item) for name, item in value.items()} if isinstance(value, dict) else value


def read(found: object) -> Draft | None:
    """A draft from a message or a line of events.log; None when it is none. An unknown type is one of another version."""
    if not isinstance(found, dict) or not all(isinstance(found.get(word), str) for word in ("at", "type", "subject", "text")):
        return None
    data, severity = found.get("data"), found.get("severity")
    if severity not in SEVERITIES or not isinstance(data, dict):
        return None
    at, kind, subject, text = (str(found[word]) for word in ("at", "type", "subject", "text"))
    return {"at": at, "type": kind, "severity": severity, "subject": subject, "text": text, "data": data}


def wanted(only: Iterable[str], event: Draft) -> bool:
    """Whether one of these words means the event: a type, a group of types, or the least severity. None: every event."""
    words = set(only)
    if not words or event["type"] in words or event["type"].partition(".")[0] in words:
        return True
    least = min((SEVERITIES.index(word) for word in words if word in SEVERITIES), default=len(SEVERITIES))
    return event["severity"] in SEVERITIES[least:]


def stamp(seconds: float) -> str:
    """A time since 1970 as RFC 3339 has it, in UTC: 2026-11-22T20:01:02.345Z."""
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{thousandths:03d}Z"


def moment(at: str) -> float:
    """The time of a stamp in seconds since 1970; 0.0 when it is none."""
    import calendar

    try:
        return calendar.timegm(time.strptime(at[:19], "%Y-%m-%dT%H:%M:%S")) + float(f"0{at[19:].rstrip('Z') or '.0'}")
    except ValueError:
        return 0.0
