"""The records: shared memory with what became of the last requests, for `gapura explain ID`, `gapura why` and the dashboard.

Like the board it is made by the master and works without locks: **each column is written by one worker**, which has three rings in
it. `RECENT` takes a sample of all requests (all of them as long as there are not many), `FAILED` those that somebody may ask about:
answered with 500 or above, broken off, given up by the client, sent to more than one server, or slow. `TRACED` takes those that
control tells a collector of traces.

A record has a fixed size. `number` counts what was ever written to its ring, from 1, and says its place: so a reader sees that a
record was overwritten by a later one. A checksum stands before it: so a reader sees that a record is only half there. Such records
are left out, nobody waits. A writer that is killed in the middle of a record leaves it out, too: its successor in the column goes
on with the next number. All times are CLOCK_MONOTONIC in ns. `FIELDS` says what lies where; docs/RECORDS.md is made of it.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterable
from typing import Final, NamedTuple
from zlib import crc32

from gapura.board import COLUMNS

MAGIC: Final = 0x4741_5055_5241_5201
"""ASCII "GAPURAR" and the layout's version."""

RECENT, FAILED, TRACED = range(3)
RINGS: Final = ("recent", "failed", "traced")
PLACES: Final = (4096, 1024, 4096)
"""Records that each ring has room for."""
SIZE_OF_RECORD: Final = 400
TRIALS: Final = 4
"""Attempts of one request that a record has room for: the last ones, but the first always."""

FIELDS: Final = (
    ("sum", "I", "CRC-32 of all that follows"),
    ("flags", "H", "bits: `FLAGS`"),
    ("status", "H", "of the answer; 499 when the client left before it began"),
    ("number", "Q", "how many records were written to this ring up to this one"),
    ("started", "Q", "first byte of the request"),
    ("row", "H", "of its route in the metrics, else of its site, else 0"),
    ("slot", "H", "of the server claimed last, 65535 when there was none"),
    ("server", "I", "lower half of the slot's ID on the board, since the slot may have another server by now"),
    ("tries", "B", "servers claimed, 255 when there were more"),
    ("cause", "B", "why it was not answered as it was meant to be: `CAUSES`"),
    ("attempts", "B", "how many of the attempts below are filled in"),
    ("spare", "5x", ""),
    ("accepted", "q", "connection accepted; NEVER when an earlier request had come over it"),
    ("tls", "q", "TLS handshake done; NEVER without TLS, or when an earlier request had come"),
    ("routed", "q", "request head complete and its route found"),
    ("first_claimed", "q", "first server claimed"),
    ("claimed", "q", "last server claimed"),
    ("connected", "q", "connection to it opened; NEVER when it was kept from before"),
    ("answered", "q", "head of the server's answer complete"),
    ("ended", "q", "last byte of the answer given to the kernel"),
    ("sent", "Q", "bytes of the body sent to the client"),
    ("received", "Q", "bytes of the body received from it"),
    ("trials", f"{TRIALS * 12}s", "attempts that failed: server (I), slot (H), cause (B), 0, µs since `started` (I)"),
    ("trace", "16s", "id of the trace that the request belongs to, 0 without one"),
    ("parent", "8s", "in that trace, the caller's span, 0 when the trace begins here"),
    ("span", "Q", "in that trace, the span of this request; the first try has the next number, and so on"),
    ("texts", "200s", "id, client, method, host, note, path, with a zero byte between two; the path is cut to what is left"),
)
"""Name, type (`struct`, little-endian, no padding) and meaning. Times from `accepted` to `ended` are relative to `started`."""

FLAGS: Final = ("tls", "kept", "reused", "held", "tunnel", "broken_off", "recalled", "slow", "again")
"""Bits of `flags`, the lowest first: over TLS; an earlier request had come over this connection; the server's connection was kept
from before; it waited for a server; it became a WebSocket; the answer was broken off; answered from `recall`; more than a second
until the answer; it was sent, or was to be sent, more than once."""
TLS, KEPT, REUSED, HELD, TUNNEL, BROKEN_OFF, RECALLED, SLOW, AGAIN = (1 << bit for bit in range(9))

CAUSES: Final = (
    *("", "stale", "refused", "connect_timeout", "unreachable", "untrusted", "closed", "invalid", "timeout", "unhealthy"),
    *("no_server", "queue_full", "client_gone", "rate_limit", "connection_limit", "too_large", "no_site", "no_route"),
    *("bad_request", "slow_request", "denied", "maintenance", "server", "own", "error"),
)
"""Why an attempt failed (up to `unhealthy`), or why there was no other answer. Only ever append."""
NO_CAUSE, STALE, REFUSED, CONNECT_TIMEOUT, UNREACHABLE, UNTRUSTED, CLOSED, INVALID, TIMEOUT, UNHEALTHY = range(10)
NO_SERVER, QUEUE_FULL, CLIENT_GONE, RATE_LIMIT, CONNECTION_LIMIT, TOO_LARGE, NO_SITE, NO_ROUTE = range(10, 18)
BAD_REQUEST, SLOW_REQUEST, DENIED, MAINTENANCE, SERVER, OWN, ERROR = range(18, 25)
assert len(CAUSES) == ERROR + 1

NEVER: Final = -(1 << 63)
NO_SLOT: Final = 0xFFFF

_WHOLE: Final = struct.Struct("<" + "".join(kind for _, kind, _ in FIELDS))
assert _WHOLE.size == SIZE_OF_RECORD
_TRIAL: Final = struct.Struct("<IHBxI")
_NUMBER: Final = struct.Struct("<Q")
_SUM: Final = struct.Struct("<I")
_NUMBER_AT: Final = 8
TEXTS: Final = 200
"""Bytes for all texts of a record."""

HEADER: Final = mmap.PAGESIZE
"""Bytes. Cells of 8 bytes: the magic, then at `COUNTS` for each column how many records were ever written to its rings."""
COUNTS: Final = 8
COLUMN: Final = -(-sum(PLACES) * SIZE_OF_RECORD // mmap.PAGESIZE) * mmap.PAGESIZE
SIZE: Final = HEADER + COLUMNS * COLUMN
"""Bytes. Only what was written becomes real memory."""


class Trial(NamedTuple):
    """An attempt that failed. `server`, `slot`: as in `Record`; `cause`: one of `CAUSES` as a number; `at`: ns since `started`."""

    server: int
    slot: int
    cause: int
    at: int


class Record(NamedTuple):
    """What became of a request. Times are ns since `started`, None where there was nothing of the kind."""

    id: str
    started: int  # CLOCK_MONOTONIC, ns
    ended: int
    row: int = 0  # of the metrics: its route's, else its site's, else 0
    status: int = 0
    cause: int = 0
    flags: int = 0
    tries: int = 0
    server: int = 0  # lower half of `board.id_hash`
    slot: int = NO_SLOT
    method: str = ""
    path: str = ""  # masked as in the access log, and cut
    host: str = ""
    client: str = ""
    note: str = ""  # a few words more about `cause`
    sent: int = 0
    received: int = 0
    accepted: int | None = None
    tls: int | None = None
    routed: int | None = None
    first_claimed: int | None = None
    claimed: int | None = None
    connected: int | None = None
    answered: int | None = None
    trials: tuple[Trial, ...] = ()
    trace: str = ""  # hexadecimal, as the next; "" without one
    parent: str = ""
    span: int = 0
    column: int = -1  # given by the reader, as the next two
    ring: int = RECENT
    number: int = 0

    @property
    def failed(self) -> bool:
        """Whether it was not answered as it should have been, or only after failed attempts."""
        tried = any(trial.cause != STALE for trial in self.trials)
        return self.status >= 500 or tried or bool(self.flags & BROKEN_OFF) or (self.status == 499 and self.cause == CLIENT_GONE)


class Records:
    """The mapped records. A worker has its `column`; readers leave it out."""

    __slots__ = ("fd", "column", "_map", "_cells", "_memory")

    def __init__(self, fd: int, column: int = -1) -> None:
        """Raises ValueError when `fd` holds something else."""
        self.fd = fd
        self.column = column
        if os.fstat(fd).st_size != SIZE:
            raise ValueError("these are not records of this version")
        self._map = mmap.mmap(fd, SIZE)
        self._memory = memoryview(self._map)
        self._cells = self._memory.cast("Q")
        if self._cells[0] != MAGIC:
            raise ValueError("these are not records of this version")

    @classmethod
    def create(cls) -> Records:
        """New records in anonymous shared memory (memfd_create(2))."""
        fd = os.memfd_create("gapura-records")
        os.ftruncate(fd, SIZE)
        with mmap.mmap(fd, HEADER) as memory:
            cells = memoryview(memory).cast("Q")
            cells[0] = MAGIC
            cells.release()
        return cls(fd)

    # -- the worker -----------------------------------------------------------------------------------------------------

    def write(self, ring: int, record: Record) -> None:
        """Add a record to a ring of this column; it takes the oldest one's place."""
        count = COUNTS + len(PLACES) * self.column + ring
        number = self._cells[count] + 1
        start = _place(self.column, ring, number)
        packed = _pack(record, number)
        self._memory[start : start + SIZE_OF_RECORD] = _SUM.pack(crc32(packed)) + packed
        self._cells[count] = number

    # -- readers --------------------------------------------------------------------------------------------------------

    def written(self) -> dict[tuple[int, int], int]:
        """For each (column, ring) that has any: how many records were ever written to it."""
        counts = self._cells[COUNTS : COUNTS + len(PLACES) * COLUMNS].tolist()
        return {divmod(index, len(PLACES)): count for index, count in enumerate(counts) if count}

    def read(self, column: int, ring: int, after: int = 0, most: int = 1 << 30) -> list[Record]:
        """The records of a ring with numbers above `after`, the oldest first, at most the `most` newest."""
        count: int = self._cells[COUNTS + len(PLACES) * column + ring]
        first = max(after, count - most, count - PLACES[ring]) + 1
        found = (self._at(column, ring, number) for number in range(first, count + 1))
        return [record for record in found if record is not None]

    def newest(self, rings: Iterable[int] = (RECENT, FAILED), most: int = 100) -> list[Record]:
        """The newest records of all columns, the newest first, none twice."""
        wanted = tuple(rings)
        found: dict[tuple[str, int], Record] = {}
        for column, ring in self.written():
            if ring in wanted:
                for record in self.read(column, ring, most=most):
                    found[record.id, record.started] = record
        return sorted(found.values(), key=lambda record: record.started + record.ended, reverse=True)[:most]

    def find(self, request: str) -> Record | None:
        """The newest record of a request's id."""
        raw = request.encode("latin-1", "replace") + b"\0"
        newest: Record | None = None
        for (column, ring), count in self.written().items():
            start = _place(column, ring, 1)
            end = start + min(count, PLACES[ring]) * SIZE_OF_RECORD
            at = self._map.find(raw, start, end)
            while at >= 0:
                place = (at - start) // SIZE_OF_RECORD
                record = self._at(column, ring, count - (count - 1 - place) % PLACES[ring])
                if record is not None and record.id == request and (newest is None or record.started > newest.started):
                    newest = record
                at = self._map.find(raw, at + 1, end)
        return newest

    def _at(self, column: int, ring: int, number: int) -> Record | None:
        """A record; None when another one has its place by now, or is just being written there."""
        start = _place(column, ring, number)
        raw = bytes(self._memory[start : start + SIZE_OF_RECORD])
        if _NUMBER.unpack_from(raw, _NUMBER_AT)[0] != number or _SUM.unpack_from(raw)[0] != crc32(raw[4:]):
            return None
        return _unpack(raw, column, ring)

    def close(self) -> None:
        """Unmap. The file descriptor stays open."""
        self._cells.release()
        self._memory.release()
        self._map.close()


def _place(column: int, ring: int, number: int) -> int:
    """Where a record lies."""
    return HEADER + column * COLUMN + (sum(PLACES[:ring]) + (number - 1) % PLACES[ring]) * SIZE_OF_RECORD


def _cut(text: str, most: int) -> bytes:
    return text.encode("latin-1", "replace")[:most].replace(b"\0", b"?")


def _pack(record: Record, number: int) -> bytes:
    """All of a record but its checksum. What is too long or too large is cut."""
    times = (
        *(record.accepted, record.tls, record.routed, record.first_claimed, record.claimed, record.connected, record.answered),
        record.ended,
    )
    trials = record.trials if len(record.trials) <= TRIALS else (record.trials[0], *record.trials[1 - TRIALS :])
    short = (
        *(_cut(record.id, 128), _cut(record.client, 45), _cut(record.method, 16)),
        *(_cut(record.host, 48), _cut(record.note, 72)),
    )
    texts = b"\0".join((*short, _cut(record.path, TEXTS)))  # struct cuts it
    packed = _WHOLE.pack(
        0, record.flags, record.status & 0xFFFF, number, record.started, record.row, record.slot, record.server,
        min(record.tries, 255), record.cause, len(trials),
        *(NEVER if moment is None else moment for moment in times),
        record.sent, record.received,
        b"".join(
            _TRIAL.pack(trial.server, trial.slot, trial.cause, min(max(trial.at, 0) // 1000, 0xFFFFFFFF)) for trial in trials
        ),
        bytes.fromhex(record.trace), bytes.fromhex(record.parent), record.span,
        texts,
    )  # fmt: skip
    return packed[4:]


def _digits(raw: bytes) -> str:
    return raw.hex() if any(raw) else ""


def _unpack(raw: bytes, column: int, ring: int) -> Record:
    (
        _, flags, status, number, started, row, slot, server, tries, cause, attempts,
        accepted, tls, routed, first_claimed, claimed, connected, answered, ended, sent, received, trials,
        trace, parent, span, texts,
    ) = _WHOLE.unpack(raw)  # fmt: skip
    words: list[str] = texts.rstrip(b"\0").decode("latin-1").split("\0")
    name, client, method, host, note, path, *_ = [*words, *("",) * 6]
    tried = tuple(
        Trial(server, slot, cause, at * 1000)
        for server, slot, cause, at in (_TRIAL.unpack_from(trials, 12 * index) for index in range(attempts))
    )
    return Record(
        name, started, ended, row, status, cause, flags, tries, server, slot, method, path, host, client, note, sent, received,
        _moment(accepted), _moment(tls), _moment(routed), _moment(first_claimed), _moment(claimed), _moment(connected),
        _moment(answered), tried, _digits(trace), _digits(parent), span, column, ring, number,
    )  # fmt: skip


def _moment(value: int) -> int | None:
    return None if value == NEVER else value
