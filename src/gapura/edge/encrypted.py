"""TLS between a client's connection and the protocol above it: for the loop a protocol, for the protocol above a transport.

The ClientHello is read before OpenSSL sees it, so that each name has a context of its own from the first byte: its certificate, its
clients' CAs, the keys of its tickets. (With a callback in the middle of the handshake, as ssl offers it, OpenSSL decides about
resumption and clients' certificates by the context that it began with.)
"""

from __future__ import annotations

import asyncio
import ssl
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final, cast

from gapura.edge import pages
from gapura.edge.distinguished_name import distinguished_name
from gapura.edge.downstream import HIGH_WATER, Downstream
from gapura.wire.client_hello import HANDSHAKE, LONGEST, ClientHello, NotTls

if TYPE_CHECKING:
    from gapura.edge.certificates import Certificate
    from gapura.edge.worker import Worker

RECORD: Final = 16 << 10
"""Bytes of the largest record (RFC 8446 §5.1)."""
SEVERAL: Final = 64 << 10
"""Bytes of plain text that one round of the loop takes from a connection before others have their turn."""
PIECE: Final = 8 << 10
"""Bytes that OpenSSL gets at once. It works off all messages of its own in them before it comes back: each KeyUpdate of 27 bytes
costs two derivations of keys, so that a socket full of them would hold up the worker for seconds."""
SILENCE: Final = 3 * RECORD
"""Bytes without plain text after which somebody sends nothing but such messages."""
RECORD_COST: Final = 512
"""Bytes that a record counts for at least in `SEVERAL`, however short it is."""
RECORD_FRAME: Final = 64
"""Bytes by which a record may be longer than its plain text."""
DECODE_ERROR, UNRECOGNIZED_NAME = 50, 112
"""Alerts (RFC 8446 §6.2)."""
_READ: Final = ClientHello()
"""In place of one that is not needed any more."""


class Encrypted:
    """A client's connection over TLS."""

    __slots__ = (
        "worker", "transport", "peer", "deadline", "certificate", "server_name", "version", "cipher", "subject", "above",
        "_tls", "_incoming", "_outgoing", "_hello", "_reading", "_paused", "_ended", "_closing", "_lost",
        "_behind", "_silent", "_later", "accepted_at",
    )  # fmt: skip

    certificate: Certificate
    server_name: bytes
    version: str
    cipher: str
    phase: Final = 1
    """As in `Downstream`, while there is none: a request is arriving."""
    subject: str  # of the certificate that the client showed and that is valid, "" without one

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.above: asyncio.Protocol | None = None
        self.server_name = b""
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._hello = ClientHello()
        self._reading = self._paused = self._ended = self._closing = self._lost = self._later = False
        self._behind = b""  # what OpenSSL has not got yet
        self._silent = 0

    # -- for the loop: a protocol ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(HIGH_WATER)
        peer = transport.get_extra_info("peername")
        self.peer: str = peer[0].removeprefix("::ffff:") if peer else "unknown"
        self.accepted_at = monotonic_ns()
        self.deadline = self.accepted_at + self.worker.handshake_ns
        if not self.worker.admit(self):
            self.abort()

    def data_received(self, data: bytes) -> None:
        if self._closing and self.above is None:
            return
        if self._tls is None:
            self._greet(data)
            return
        self._behind = self._behind + data if self._behind else data
        if self.above is None:
            self._shake(self._tls)
        elif not self._later:
            self._read()

    def eof_received(self) -> bool:
        """The client closed its side, with or without saying so within TLS first."""
        if self.above is None:
            return False
        if not self._ended:
            self._read()
            if not self._ended:
                self._end()
        return not self._closing

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = self._closing = True
        above, self.above = self.above, None
        self._tls = None
        if above is None:
            self.worker.forget(self)
        else:
            above.connection_lost(exc)

    def pause_writing(self) -> None:
        if self.above is not None:
            self.above.pause_writing()

    def resume_writing(self) -> None:
        if self.above is not None:
            self.above.resume_writing()

    # -- the handshake --------------------------------------------------------------------------------------------------

    def _greet(self, data: bytes) -> None:
        """Wait for the whole ClientHello, then choose the certificate."""
        hello = self._hello
        try:
            name = hello.feed(data)
        except NotTls:
            if hello.raw[0] == HANDSHAKE:
                self._alert(DECODE_ERROR)
            else:
                self._answer_plainly()
            return
        if name is None:
            if len(hello.raw) > LONGEST + 4096:
                self.abort()
            return
        if b":" in name or name.replace(b".", b"").isdigit():
            name = b""  # an address, which is none (RFC 6066 §3), though some programs send it
        address = "" if name else self.transport.get_extra_info("sockname")[0]
        certificate = self.worker.certificates.choose(name, address)
        context = certificate.context(monotonic_ns()) if certificate is not None else None
        if context is None or certificate is None:
            self._alert(UNRECOGNIZED_NAME)
            return
        self.server_name = name
        self.certificate = certificate
        self._tls = tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._behind = bytes(hello.raw)
        self._hello = _READ
        self._shake(tls)

    def _shake(self, tls: ssl.SSLObject) -> None:
        while True:
            if self._behind:
                self._feed()
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                if not self._behind:
                    self._flush()
                    return
            except (ssl.SSLError, ValueError):  # garbage, no suite in common, no certificate: the peer is told by an alert
                self._flush()
                self._hang_up()
                return
        self._silent = 0
        self.version, self.cipher = tls.version() or "", (tls.cipher() or ("",))[0]
        self.subject = distinguished_name(tls.getpeercert() or {}) if self.certificate.policy else ""
        self.worker.forget(self)
        above = Downstream(self.worker)
        above.scheme = b"https"
        above.tls = self
        self.above = cast(asyncio.Protocol, above)
        self._reading = True  # what the protocol says at once leaves together with the end of the handshake
        above.connection_made(cast(asyncio.Transport, self))
        self._reading = False
        self._flush()
        if self._incoming.pending or self._behind:
            self._read()

    def _alert(self, description: int) -> None:
        """Refuse before OpenSSL has a say: a fatal alert, in the clear."""
        self.transport.write(bytes((21, 3, 3, 0, 2, 2, description)))
        self._hang_up()

    def _answer_plainly(self) -> None:
        """Somebody speaks HTTP here; tell him in his language (nginx: 497, shown as 400)."""
        if self._hello.raw[:1].isalpha():
            body, lines = pages.render(400, None, "This is the port for HTTPS, and the request came over plain HTTP.")
            head = [b"HTTP/1.1 400 Bad Request", *lines, b"Content-Length: %d" % len(body), b"Connection: close"]
            self.transport.write(b"\r\n".join(head) + b"\r\n\r\n" + body)
        self._hang_up()

    def _hang_up(self) -> None:
        self._closing = True
        self._hello = _READ
        self.transport.close()

    # -- for the worker, while there is nobody above --------------------------------------------------------------------

    def expire(self, now: int) -> None:
        """The handshake took too long."""
        self.abort()

    def too_slow(self, now: int) -> bool:
        return False

    def drain(self) -> None:
        """A handshake under way may end; what comes of it hears of the drain."""

    # -- bytes ----------------------------------------------------------------------------------------------------------

    def _feed(self) -> None:
        """Give OpenSSL the next piece of what has come."""
        data = self._behind
        self._behind = b""
        if len(data) > PIECE:
            data, self._behind = data[:PIECE], data[PIECE:]
        self._incoming.write(data)
        self._silent += len(data)

    def _read(self) -> None:
        """Hand on what can be decrypted, and send in one write what is said to it."""
        tls = self._tls
        if self._reading or tls is None:
            return
        self._reading = True
        incoming = self._incoming
        taken = 0
        try:
            while not (self._paused or self._ended or self._closing):
                if taken >= SEVERAL:
                    self._go_on_later()
                    break
                if not incoming.pending and not tls.pending():
                    if not self._behind:
                        break
                    self._feed()
                try:
                    data = tls.read(RECORD)
                except ssl.SSLWantReadError:
                    if self._silent > SILENCE:
                        self.abort()
                        return
                    taken += PIECE
                    continue
                if not data:
                    self._end()
                    break
                self._silent = max(0, self._silent - len(data) - RECORD_FRAME)
                taken += len(data) + RECORD_COST
                cast(asyncio.Protocol, self.above).data_received(data)
                if self._lost:
                    return
        except ssl.SSLZeroReturnError:
            self._end()
        except (ssl.SSLError, ValueError):
            self._reading = False
            self._flush()
            self.abort()
            return
        finally:
            self._reading = False
        self._flush()

    def _go_on_later(self) -> None:
        if not self._later:
            self._later = True
            self.transport.pause_reading()
            self.worker.busy(self._go_on)

    def _go_on(self) -> None:
        self._later = False
        if not self._lost:
            self._read()
            if not (self._later or self._paused or self._lost or self.transport.is_closing()):
                self.transport.resume_reading()

    def _end(self) -> None:
        """The client will say no more."""
        self._ended = True
        above = self.above
        if above is not None and not above.eof_received():
            self.close()

    def _flush(self) -> None:
        if self._outgoing.pending and not self._lost:
            self.transport.write(self._outgoing.read())

    # -- for the protocol above: a transport ----------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Encrypt and send; what is written while data is handed on leaves with all the rest of it."""
        tls = self._tls
        if self._closing or tls is None or not data:
            return
        try:
            tls.write(data)
        except (ssl.SSLError, ValueError):
            self.abort()
            return
        if not self._reading or self._outgoing.pending > HIGH_WATER:
            self._flush()

    def writelines(self, parts: list[bytes]) -> None:
        self.write(b"".join(parts))

    def write_eof(self) -> None:
        """Say that no more follows (close_notify, RFC 8446 §6.1), and close this direction."""
        self._notify()
        if not self._lost:
            self.transport.write_eof()

    def can_write_eof(self) -> bool:
        return True

    def _notify(self) -> None:
        if self._tls is not None:
            try:
                self._tls.unwrap()
            except (ssl.SSLError, ValueError, OSError):
                pass  # it wants to read the peer's; nobody waits for that
            self._flush()

    def close(self) -> None:
        """End it when all is sent."""
        if not self._closing:
            self._closing = True
            self._notify()
            self.transport.close()

    def abort(self) -> None:
        """End it now."""
        self._closing = True
        self.transport.abort()

    def is_closing(self) -> bool:
        return self._closing or self.transport.is_closing()

    def pause_reading(self) -> None:
        self._paused = True
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            if self._lost or self._closing:
                return
            if not self._ended and not self._later:
                self.transport.resume_reading()
            tls = self._tls
            if tls is not None and (self._behind or self._incoming.pending or tls.pending()):
                self.worker.loop.call_soon(self._read)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """That of the connection, and "ssl_object"."""
        return self._tls if name == "ssl_object" else self.transport.get_extra_info(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.transport.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._outgoing.pending + self.transport.get_write_buffer_size()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.above = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol | None:
        return self.above
