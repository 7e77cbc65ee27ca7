"""Message bodies on the wire: the chunked coding (RFC 9112 §7.1).

Strict as a front proxy must be: CRLF only, 1*HEXDIG sizes, bounded extensions and trailers. Extensions are ignored and not
forwarded; trailer fields are validated and kept apart, never merged into the headers.
"""

from __future__ import annotations

import re
from typing import Final

from gapura.wire.headers import TOKEN, bad

_WHOLE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]+)?\Z")
MAX_LINE: Final = 1024
MAX_EXTENSIONS: Final = 16 << 10
"""Bytes of chunk extensions in one body; more is an attack, not a message."""
MAX_TRAILERS: Final = 8 << 10
MAX_SIZE: Final = 1 << 60
MOST_CHUNKS: Final = 4096
"""So many chunks are decoded by one `feed`: a peer that sends chunks of one byte may not keep others waiting."""

_SIZE, _DATA, _DATA_END, _TRAILER, _DONE = range(5)


class FramingError(ValueError):
    """The peer broke the framing: the connection cannot be used any more."""


class ChunkedDecoder:
    """Decodes one chunked body. `feed` returns the payload; afterwards look at `done` and `rest` (bytes behind the body).

    `rest` although it is not `done`: there was more than one `feed` does; call it again, with b"", after others had their turn.
    """

    __slots__ = ("done", "rest", "trailers", "_state", "_left", "_line", "_extensions", "_trailer_bytes")

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self.trailers: list[bytes] = []
        self._state = _SIZE
        self._left = 0
        self._line = b""
        self._extensions = 0
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """Take what arrived, give what it holds. Raises FramingError."""
        out: list[bytes] = []
        if self.rest:
            data = self.rest + data
            self.rest = b""
        position, size = 0, len(data)
        while position < size:
            state = self._state
            if state == _SIZE:
                if len(out) >= MOST_CHUNKS:
                    self.rest = data[position:]
                    break
                if not self._line and (whole := _WHOLE.match(data, position)):
                    # the usual case: all of a chunk is here, without extensions
                    start = whole.end()
                    end = start + int(whole[1], 16)
                    if start < end and data[end : end + 2] == b"\r\n":
                        out.append(data[start:end])
                        position = end + 2
                        continue
            if state == _DATA:
                piece = data[position : position + self._left]
                out.append(piece)
                position += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = _DATA_END
                continue
            if state == _DONE:
                break
            line, position = self._take_line(data, position)
            if line is None:
                break
            if state == _SIZE:
                self._size_line(line)
            elif state == _DATA_END:
                if line:
                    raise FramingError("chunk data is not followed by CRLF")
                self._state = _SIZE
            else:
                self._trailer_line(line)
        if self._state == _DONE:
            self.done = True
            self.rest = data[position:]
        return out[0] if len(out) == 1 else b"".join(out)

    def _take_line(self, data: bytes, position: int) -> tuple[bytes | None, int]:
        """The next line without CRLF; None when it is not complete yet. Bare LF and bare CR are refused as soon as seen."""
        end = data.find(b"\n", position)
        stop = len(data) if end < 0 else end + 1
        line = self._line + data[position:stop] if self._line else data[position:stop]
        if len(line) > MAX_LINE + 2:
            raise FramingError("a chunk line is too long")
        if self._state == _DATA_END and line[:1] != b"\r":
            raise FramingError("chunk data is not followed by CRLF")
        carriage = line.find(b"\r")
        if end < 0:
            if 0 <= carriage < len(line) - 1:
                raise FramingError("a bare CR in the chunked coding")
            self._line = line
            return None, stop
        self._line = b""
        if carriage < 0 or carriage != len(line) - 2:
            raise FramingError("a chunk line does not end with CRLF")
        return line[:-2], stop

    def _size_line(self, line: bytes) -> None:
        match = _SIZE_LINE.match(line)
        if not match:
            raise FramingError("a chunk size is not a hexadecimal number")
        digits = match[1]
        self._extensions += len(line) - len(digits)
        if self._extensions > MAX_EXTENSIONS:
            raise FramingError("too many chunk extensions")
        self._left = int(digits, 16)
        if self._left > MAX_SIZE:
            raise FramingError("a chunk is too large")
        self._state = _DATA if self._left else _TRAILER

    def _trailer_line(self, line: bytes) -> None:
        if not line:
            self._state = _DONE
            return
        self._trailer_bytes += len(line)
        name, colon, value = line.partition(b":")
        if self._trailer_bytes > MAX_TRAILERS:
            raise FramingError("the trailers are too long")
        if not colon or not TOKEN.match(name) or bad(value):
            raise FramingError("a trailer field is malformed")
        self.trailers.append(line)


def chunk(data: bytes) -> bytes:
    """`data` as one chunk; `data` must not be empty, for an empty chunk ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: list[bytes] | None = None) -> bytes:
    """The end of a chunked body."""
    if not trailers:
        return b"0\r\n\r\n"
    return b"0\r\n" + b"".join(line + b"\r\n" for line in trailers) + b"\r\n"
