"""What compression reads and changes of an answer's head."""

from __future__ import annotations

from typing import Final

from gapura.wire.headers import OWS, value_of

_ENCODING, _RANGE, _TYPE, _ETAG, _VARY, _CONTROL, _RANGES, _DIGEST = range(8)
_FIELDS: Final = {
    b"content-encoding": _ENCODING, b"content-range": _RANGE, b"content-type": _TYPE, b"etag": _ETAG, b"vary": _VARY,
    b"cache-control": _CONTROL, b"accept-ranges": _RANGES, b"content-md5": _DIGEST, b"digest": _DIGEST,
    b"content-digest": _DIGEST, b"repr-digest": _DIGEST,
}  # fmt: skip
"""What matters of an answer's head; digests are of the bytes that are sent, or of the coding that they are in (RFC 9530 §3)."""


class AnswerHead:
    """The head of an answer (status line and header lines joined by CRLF), taken apart."""

    __slots__ = ("lines", "status", "content_type", "_found")

    def __init__(self, block: bytes) -> None:
        self.lines = lines = block.split(b"\r\n")
        self.status = int(block[9:12])
        self.content_type = b""
        self._found: list[tuple[int, int]] = []
        for index in range(1, len(lines)):
            name, _, value = lines[index].partition(b":")
            what = _FIELDS.get(name.lower())
            if what is not None:
                self._found.append((what, index))
                if what == _TYPE:
                    self.content_type = value.strip(OWS)

    def _value(self, index: int) -> bytes:
        return value_of(self.lines[index])

    def fixed(self) -> bool:
        """Whether the answer must stay as it is: compressed already, a part, or not to be transformed (RFC 9111 §5.2.2.6)."""
        for what, index in self._found:
            if what == _RANGE or (what == _ENCODING and self._value(index).lower() not in (b"", b"identity")):
                return True
            if what == _CONTROL and b"no-transform" in self._value(index).lower():
                return True
        return False

    def compressed(self, coding: str) -> bytes:
        """The head of the compressed answer."""
        lines = self._vary()
        for what, index in reversed(self._found):
            if what == _ETAG:
                lines[index] = b"ETag: " + weak(self._value(index))
            elif what in (_ENCODING, _RANGES, _DIGEST):
                del lines[index]
        lines.insert(1, b"Content-Encoding: " + coding.encode())
        return b"\r\n".join(lines)

    def revalidated(self, asked: bytes) -> bytes:
        """The head of a 304 to this If-None-Match: a tag that is weak in the client's copy is weak here, or the copy would not be
        found (RFC 9111 §4.3.4).
        """
        for what, index in self._found:
            if what == _ETAG and weak(self._value(index)) in asked:
                self.lines[index] = b"ETag: " + weak(self._value(index))
        return self.varied()

    def varied(self) -> bytes:
        """The head of an answer that another client would get compressed, or did."""
        return b"\r\n".join(self._vary())

    def _vary(self) -> list[bytes]:
        lines = self.lines[:]
        place = -1
        for what, index in self._found:
            if what == _VARY:
                value = self._value(index).lower()
                if value == b"*" or b"accept-encoding" in value:
                    return lines
                place = index
        if place < 0 or not self._value(place):
            lines.append(b"Vary: Accept-Encoding")
        else:
            lines[place] += b", Accept-Encoding"
        return lines


def weak(tag: bytes) -> bytes:
    """An entity tag that says: the same meaning, not the same bytes (RFC 9110 §8.8.1)."""
    return tag if tag[:2] == b"W/" else b"W/" + tag
