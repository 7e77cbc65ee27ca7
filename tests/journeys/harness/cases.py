"""Rows of http-cases.tsv: what to send, and how to send it.

Escapes: `\\r \\n \\t \\\\ \\xNN`. Tokens: `@{rep:N:TEXT}` repeat, `@{sleep:S}` pause, `@{slow:S:N:TEXT}` N times with pauses,
`@{drip:S:TEXT}` byte by byte, `@{fin}` half-close, `@{A1M}` a megabyte of A.
"""

from __future__ import annotations

import csv
import re
import sys
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).parent.parent / "http-cases.tsv"
FIN = None
Step = bytes | float | None
"""Bytes to send, seconds to wait, or `FIN`."""

_ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|[rnt\\])")
_SHORT = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"\\": b"\\"}
_TOKEN = re.compile(rb"@\{(fin|A1M|close|sleep:[^}]*|rep:\d+:|drip:[\d.]+:|slow:[\d.]+:\d+:)")


@dataclass(frozen=True, slots=True)
class Case:
    """One row: `answer` is what the server behind says (b"" = an ordinary answer), `hangs_up` that it says nothing."""

    name: str
    kind: str
    route: str
    steps: tuple[Step, ...]
    expected: tuple[str, ...]
    answer: bytes
    hangs_up: bool

    @property
    def methods(self) -> list[str]:
        """Methods of the requests in the input, in order: an answer to HEAD has no body."""
        sent = b"".join(step for step in self.steps if isinstance(step, bytes))
        return [found.decode() for found in re.findall(rb"(?:^|\n|hello)(GET|HEAD|POST|OPTIONS) ", sent)] or ["GET"]


def unescape(text: str) -> bytes:
    return _ESCAPE.sub(lambda m: _SHORT.get(m[1]) or bytes([int(m[1][1:], 16)]), text.encode("latin-1"))


def steps(data: bytes) -> list[Step]:
    """What to do for an input whose escapes have been replaced."""
    found, _ = _until(data, 0, nested=False)
    return found


def _until(data: bytes, at: int, *, nested: bool) -> tuple[list[Step], int]:
    """The steps from a position to the end, or to the brace that closes a token."""
    found: list[Step] = []
    while at < len(data) and not (nested and data[at : at + 1] == b"}"):
        token = _TOKEN.match(data, at)
        if token is None:
            end = min(
                (place for stop in (b"@{", b"}" if nested else b"@{") if (place := data.find(stop, at + 1)) > 0), default=len(data)
            )
            found.append(data[at:end])
            at = end
            continue
        word, *numbers = token[1].decode().rstrip(":").split(":")
        inner: list[Step] = []
        at = token.end()
        if word in ("rep", "drip", "slow"):
            inner, at = _until(data, at, nested=True)
        at += 1
        found += _expand(word, [float(number) for number in numbers], inner)
    return _joined(found), at


def _expand(word: str, numbers: list[float], inner: list[Step]) -> list[Step]:
    text = b"".join(step for step in inner if isinstance(step, bytes))
    if word == "fin":
        return [FIN]
    if word == "A1M":
        return [b"A" * (1 << 20)]
    if word == "sleep":
        return [numbers[0]]
    if word == "rep":
        return inner * int(numbers[0])
    if word == "drip":
        return [part for byte in text for part in (bytes([byte]), numbers[0])]
    if word == "slow":
        return [text, numbers[0]] * int(numbers[1])
    return []


def _joined(found: list[Step]) -> list[Step]:
    """Neighbouring bytes leave in one piece."""
    result: list[Step] = []
    pieces: list[bytes] = []
    for step in [*found, 0.0]:
        if isinstance(step, bytes):
            pieces.append(step)
            continue
        if pieces:
            result.append(b"".join(pieces))
            pieces = []
        result.append(step)
    return result[:-1]


def load(*routes: str) -> list[Case]:
    """The rows of these routes."""
    csv.field_size_limit(sys.maxsize)
    with FILE.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [_case(row) for row in rows if row["route"] in routes]


def _case(row: dict[str, str]) -> Case:
    raw = row["upstream_response_escaped"]
    said = b"".join(step for step in steps(unescape(raw)) if isinstance(step, bytes))
    return Case(
        name=row["id"],
        kind=row["class"],
        route=row["route"],
        steps=tuple(steps(unescape(row["raw_input_escaped"]))),
        expected=tuple(row["expectation"].split(";")),
        answer=said,
        hangs_up=raw == "@{close}",
    )
