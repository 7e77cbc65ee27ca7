"""Requests from the workers' records, with the names that people know: the list, and where the time of one went."""

from __future__ import annotations

import time
from typing import Any

from gapura import records as r
from gapura.control.names import Names, pair
from gapura.control.why import attempt, judge
from gapura.events import stamp
from gapura.records import Record

Document = dict[str, Any]


def seen(names: Names, record: Record) -> Document:
    """A request as the live stream tells it."""
    upstream, server = pair(server_of(names, record))
    return {
        "id": record.id,
        "at": stamp(time.time() - (time.monotonic_ns() - record.started) / 1e9),
        "site": names.site_of.get(record.row, ""),
        "route": record.row if record.row in names.routes else 0,
        "upstream": upstream,
        "server": server,
        "status": record.status,
        "method": record.method,
        "path": record.path,
        "ms": milliseconds(record.ended),
        "tries": record.tries,
    }


def row(names: Names, record: Record) -> Document:
    """A request of the list."""
    more = {"failed": record.failed, "client": record.client, "received": record.received, "sent": record.sent}
    return {**seen(names, record), **more}


def server_of(names: Names, record: Record) -> str:
    """The server that was claimed last, as `upstream/id`; "" when there was none, or it is in this plan no more."""
    return names.hashes.get(record.server, "") if record.slot != r.NO_SLOT else ""


def servers(names: Names, record: Record) -> set[str]:
    """All servers that had to do with it, as far as they are in this plan."""
    return {server_of(names, record), *(names.hashes.get(trial.server, "") for trial in record.trials)}


def milliseconds(nanoseconds: int) -> float:
    """As people read it, to the microsecond."""
    return round(nanoseconds / 1e6, 3)


def stages(record: Record) -> list[Document]:
    """Where the time went, in order. What did not happen is left out: a kept connection was neither accepted nor encrypted."""
    found: list[Document] = []

    def stage(name: str, begin: int | None, end: int | None) -> None:
        if begin is not None and end is not None:
            found.append({"name": name, "from_ms": milliseconds(begin), "ms": milliseconds(max(0, end - begin))})

    stage("tls", record.accepted, record.tls)
    stage("accept", record.tls if record.tls is not None else record.accepted, 0)
    stage("route", 0, record.routed)
    stage("wait", record.routed, record.claimed)
    stage("connect", record.claimed, record.connected)
    opened = record.claimed if record.connected is None else record.connected
    stage("first_byte", opened, record.answered)
    last = next((moment for moment in (record.answered, opened, record.routed) if moment is not None), 0)
    stage("done", last, record.ended)
    return found


def timeline(names: Names, record: Record) -> Document:
    """All that is known of a request."""
    why, advice = judge(names, record)
    trials = [
        {
            "server": names.hashes.get(trial.server, ""),
            "outcome": r.CAUSES[trial.cause],
            "why": attempt(names, trial),
            "at_ms": milliseconds(trial.at),
        }
        for trial in record.trials
    ]
    return {**row(names, record), "stages": stages(record), "trials": trials, "why": why, "advice": advice}


def failures(names: Names, records: list[Record], limit: int) -> list[Document]:
    """Groups of failed requests that are alike: same route, status, reason, and what was tried. `records`: the newest first."""
    groups: dict[tuple[object, ...], list[Record]] = {}
    for record in records:
        key = (
            record.row,
            record.status,
            record.cause,
            record.note,
            *sorted({(trial.server, trial.cause) for trial in record.trials}),
        )
        groups.setdefault(key, []).append(record)
    found = []
    for group in list(groups.values())[:limit]:
        why, advice = judge(names, group[0])
        first = row(names, group[-1])["at"]
        found.append({"why": why, "advice": advice, "alike": len(group), "first_at": first, "last": row(names, group[0])})
    return found
