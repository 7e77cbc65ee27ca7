"""Header fields of HTTP/1 messages: strict, on bytes, one pass.

Everything works on whole `name: value` lines, because most of them are forwarded as they came, and because a line that was seen
before needs no second look (`KnownLines`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Literal

TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
"""RFC 9110 §5.6.2."""

TEXT: Final = bytes([9, *range(0x20, 0x7F), *range(0x80, 0x100)])
"""All bytes that may stand in a header line; CR, LF, NUL and the other control characters may not (RFC 9110 §5.5)."""

_MARKS: Final = bytes(0x78 if byte in TEXT else 0 for byte in range(256))


def bad(value: bytes) -> bool:
    """True when `value` holds a byte that may not stand in a header line. A table is several times faster than deleting.

    Everywhere on this path a byte is looked for as a number: `b"x" in value` first raises and clears a TypeError inside CPython.
    """
    return 0 in value.translate(_MARKS)


OWS: Final = b" \t"
"""Optional white space is space and tab, and nothing else that `bytes.strip()` would take."""

MAX_KNOWN: Final = 4096
"""Header lines remembered; a flood of new ones empties the memory instead of filling it."""
MAX_REMEMBERED: Final = 256
"""Longer lines, and names, are not remembered."""

Entry = tuple[int, Any] | Literal[True]
"""What a proxy makes of a header line: its kind, and its value as the kind needs it. True: it is forwarded as it came.

Not a tuple for those too: compiled code (tools/compile) unpacks tuples, and one that was put together again is another one.
"""

ORDINARY: Final = 0


class KnownLines(dict[bytes, Entry]):
    """What header lines mean, by the whole line.

    Peers repeat themselves: most lines of a message were seen before, letter by letter, so that one look-up replaces taking the
    line apart and checking it. `kinds` maps lower-case names to kinds, `parsers` makes a kind's value of the text (ValueError
    when it is wrong); names not listed are ORDINARY. `varying` names (cookies, secrets, counters) are checked, not remembered.
    """

    def __init__(
        self,
        kinds: dict[bytes, int],
        varying: frozenset[bytes],
        parsers: dict[int, Callable[[bytes], object]] | None = None,
        underscore: int = ORDINARY,
    ) -> None:
        super().__init__()
        self._kinds = kinds
        self._varying = varying
        self._parsers = parsers or {}
        self._underscore = underscore
        self._names: dict[bytes, tuple[int, bool]] = {}

    def learn(self, line: bytes) -> Entry:
        """Check a line that is not known and remember it. Raises ValueError with the reason."""
        name, colon, value = line.partition(b":")
        if not colon:
            raise ValueError("a header line has no colon")
        kind, varying = self._names.get(name) or self._learn_name(name)
        if 0 in value.translate(_MARKS):
            raise ValueError("a header value holds a control character")
        if kind == ORDINARY:
            entry: Entry = True
        else:
            value = value.strip(OWS)
            parse = self._parsers.get(kind)
            entry = (kind, parse(value) if parse else value)
        if not varying and len(line) <= MAX_REMEMBERED:
            if len(self) >= MAX_KNOWN:
                self.clear()
            self[line] = entry
        return entry

    def _learn_name(self, name: bytes) -> tuple[int, bool]:
        if not TOKEN.match(name):
            raise ValueError("a header name holds a character that does not belong there")
        lower = name.lower()
        kind = self._kinds.get(lower)
        if kind is None:
            # CGI and WSGI programs cannot tell an underscore from a dash, so such a name could pass for another
            kind = self._underscore if b"_" in name else ORDINARY
        known = (kind, lower in self._varying)
        if len(name) <= MAX_REMEMBERED:
            if len(self._names) >= MAX_KNOWN:
                self._names.clear()
            self._names[name] = known
        return known


def value_of(line: bytes) -> bytes:
    """The value of a header line without the white space around it."""
    return line.partition(b":")[2].strip(OWS)


def find(lines: list[bytes], name: bytes) -> bytes | None:
    """Value of the first field with this lower-case name."""
    for line in lines:
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip(OWS)
    return None


def find_all(lines: list[bytes], name: bytes) -> list[bytes]:
    """Values of all fields with this lower-case name, in order."""
    found = []
    for line in lines:
        key, _, value = line.partition(b":")
        if key.lower() == name:
            found.append(value.strip(OWS))
    return found


def cookies(lines: list[bytes], name: bytes) -> list[bytes]:
    """Values of all cookies of this name that a client sent, in order (RFC 6265 §4.2; capital letters count)."""
    start = name + b"="
    pairs = [pair.strip(OWS) for value in find_all(lines, b"cookie") for pair in value.split(b";")]
    return [pair[len(start) :] for pair in pairs if pair.startswith(start)]


def without(lines: list[bytes], names: frozenset[bytes] | set[bytes]) -> list[bytes]:
    """The lines whose lower-case name is not among `names`."""
    return [line for line in lines if line.partition(b":")[0].lower() not in names]


def tokens(value: bytes) -> tuple[bytes, ...]:
    """Members of a comma-separated list, lower case, empty ones left out (RFC 9110 §5.6.1)."""
    return tuple(member for part in value.split(b",") if (member := part.strip(OWS).lower()))
