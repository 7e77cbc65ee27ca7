"""The name that a TLS client asks for, read before the handshake: it decides which certificate and which rules hold.

Only what leads to that name is looked at (RFC 8446 §4.1.2, RFC 6066 §3); whether the rest is right is OpenSSL's business.
"""

from __future__ import annotations

from typing import Final

HANDSHAKE: Final = 22
CLIENT_HELLO: Final = 1
SERVER_NAME: Final = 0
LONGEST: Final = 32 << 10
"""Bytes of a ClientHello; the largest real ones, with post-quantum key shares and a ticket, have some 2,500."""
LONGEST_NAME: Final = 255


class NotTls(ValueError):
    """What came is no ClientHello."""


class ClientHello:
    """A ClientHello as it comes, in however small pieces; it may be spread over several records (RFC 8446 §5.1).

    No byte is looked at twice: one that comes byte by byte, in records of one byte each, costs no more than its length.
    """

    __slots__ = ("raw", "_message", "_at")

    def __init__(self) -> None:
        self.raw = bytearray()  # all that has come
        self._message = bytearray()
        self._at = 0  # where in `raw` the next record begins

    def feed(self, data: bytes | bytearray) -> bytes | None:
        """The name of the server_name extension in lower case, b"" without one; None when more bytes are needed.

        Raises `NotTls`: these bytes, whatever follows, are no TLS handshake.
        """
        self.raw += data
        while True:
            record = bytes(self.raw[self._at : self._at + 9])
            if record[:1] not in (b"", b"\x16") or record[1:2] not in (b"", b"\x03"):
                raise NotTls("not a TLS record")
            if len(record) < 5:
                return None
            length = _two(record, 3)
            if not 0 < length <= 1 << 14:
                raise NotTls("a record is empty or too long")
            whole = _length((self._message[:4] + record[5 : 5 + length])[:4])
            end = self._at + 5 + length
            if len(self.raw) < end:
                return None
            self._message += self.raw[self._at + 5 : end]
            self._at = end
            if whole and len(self._message) >= whole:
                return _wanted(bytes(self._message[:whole]))


def server_name(data: bytes | bytearray) -> bytes | None:
    """What `ClientHello.feed` says to these bytes."""
    return ClientHello().feed(data)


def _length(start: bytes | bytearray) -> int:
    """Bytes of the message that begins so, 0 when it is too early to tell. Raises NotTls."""
    if start and start[0] != CLIENT_HELLO:
        raise NotTls("the first message is not a ClientHello")
    if len(start) < 4:
        return 0
    whole = 4 + int.from_bytes(start[1:4], "big")
    if whole > LONGEST:
        raise NotTls("the ClientHello is too long")
    return whole


def _wanted(hello: bytes) -> bytes:
    """The name in a whole ClientHello. Raises NotTls."""
    at = 4 + 2 + 32  # type and length, legacy_version, random
    try:
        at += 1 + hello[at]  # legacy_session_id
        at += 2 + _two(hello, at)  # cipher_suites
        at += 1 + hello[at]  # legacy_compression_methods
        if at == len(hello):
            return b""
        end = at + 2 + _two(hello, at)
        at += 2
        while at < end:
            kind, length = _two(hello, at), _two(hello, at + 2)
            if kind == SERVER_NAME:
                return _name(hello[at + 4 : at + 4 + length])
            at += 4 + length
    except IndexError:
        raise NotTls("the ClientHello is broken off") from None
    if at != end or end != len(hello):
        raise NotTls("lengths in the ClientHello do not fit")
    return b""


def _name(extension: bytes) -> bytes:
    """The host name in a server_name extension: a list with one entry of type 0 (RFC 6066 §3)."""
    if len(extension) < 5 or _two(extension, 0) != len(extension) - 2 or extension[2] != 0:
        raise NotTls("the server_name extension is malformed")
    length = _two(extension, 3)
    if length != len(extension) - 5 or not 0 < length <= LONGEST_NAME:
        raise NotTls("the server_name extension is malformed")
    return extension[5:].lower().removesuffix(b".")


def _two(data: bytes | bytearray, at: int) -> int:
    """A number of two bytes. Raises IndexError."""
    return data[at] << 8 | data[at + 1]
