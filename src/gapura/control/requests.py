"""Requests from the workers' records, with the names that people know: the list, and where the time of one went."""

from __future__ import annotations

import time
from typing import Any

from gapura import records as r
from gapura.control.names import Names, pair
from gapura.events import stamp
from gapura.records import Record

Document = dict[str, Any]


def seen(names: Names, record: Record) -> Document:
    """A request as the live stream tells it."""
    upstream, server = pair(names.hashes.get(record.server, "")) if record.slot != r.NO_SLOT else ("", "")
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
    stage("wait", record.routed, record.first_claimed)
    opened = record.claimed if record.connected is None else record.connected
    if opened != record.first_claimed:
        stage("connect", record.first_claimed, opened)
    stage("first_byte", opened, record.answered)
    last = next((moment for moment in (record.answered, opened, record.routed) if moment is not None), 0)
    stage("done", last, record.ended)
    return found
