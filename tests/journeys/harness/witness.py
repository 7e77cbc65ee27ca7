"""A server behind the proxy that checks every byte it gets: whatever is not strictly valid (RFC 9112) is a violation.

It shares no code with Gapura, so that a mistake of one does not hide in the other.
"""

from __future__ import annotations

import re
import socket
import threading
from dataclasses import dataclass, field

_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TARGET = re.compile(rb"[\x21\x22\x24-\x7e]+")
_FIELD = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[ \t\x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*"
)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})(;[\t\x20-\x7e]*)?")


@dataclass(slots=True)
class Seen:
    """A request that arrived; `complete` when its body did as well."""

    method: str
    target: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    complete: bool = False

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name]


class Violation(Exception):
    """The peer does not keep to the standard."""


class Gone(Exception):
    """The peer has left."""


class Witness:
    """Listens on a port of its own. `begin` forgets what was seen and says how the next requests are answered."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.begin()
        self._acceptor = threading.Thread(target=self._accept, name="witness")
        self._acceptor.start()

    def begin(self, answer: bytes = b"", hangs_up: bool = False) -> None:
        """Break all connections and start anew. `answer` replaces the ordinary one, after which the connection ends."""
        with self._lock:
            for sock in self._open:
                _shut(sock)
            self.requests: list[Seen] = []
            self.violations: list[str] = []
            self._answer, self._hangs_up = answer, hangs_up

    def close(self) -> None:
        self.begin()
        _shut(self._listener)
        self._acceptor.join()
        self._listener.close()
        self.begin()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.add(sock)
            thread = threading.Thread(target=self._serve, args=[sock], name="witness connection")
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        conversation = _Conversation(sock, self)
        try:
            while conversation.exchange():
                pass
        except Violation as violation:
            self.violations.append(str(violation))
        except (OSError, Gone):
            pass
        finally:
            with self._lock:
                self._open.discard(sock)
            sock.close()

    def answer(self, seen: Seen) -> tuple[bytes, bool]:
        """What to say to a request, and whether the connection goes on."""
        if self._hangs_up:
            return b"", False
        if self._answer:
            said = self._answer
            if b"POISON" in said:
                # Bytes behind an answer must never become the answer to another request: the next one is an ordinary one.
                self._answer = b""
                return said, True
            return said, False
        body = b"" if seen.method == "HEAD" else f"OK:{seen.target}".encode()
        length = len(f"OK:{seen.target}")
        return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (length, body), True


class _Conversation:
    """One connection, read strictly."""

    def __init__(self, sock: socket.socket, witness: Witness) -> None:
        self.sock = sock
        self.witness = witness
        self.pending = b""

    def exchange(self) -> bool:
        seen = self._head()
        self.witness.requests.append(seen)
        if "100-continue" in "".join(seen.values("expect")).lower():
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if seen.values("transfer-encoding"):
            self._chunked(seen)
        else:
            seen.body = self._take(int("".join(seen.values("content-length")) or "0"))
        seen.complete = True
        said, goes_on = self.witness.answer(seen)
        self.sock.sendall(said)
        return goes_on and "close" not in "".join(seen.values("connection")).lower()

    def _head(self) -> Seen:
        first = self._line()
        words = first.split(b" ")
        if len(words) != 3 or words[2] not in (b"HTTP/1.1", b"HTTP/1.0") or not _METHOD.fullmatch(words[0]):
            raise Violation(f"request line {first[:80]!r}")
        if not _TARGET.fullmatch(words[1]):
            raise Violation(f"target {words[1][:80]!r}")
        seen = Seen(words[0].decode(), words[1].decode())
        while line := self._line():
            found = _FIELD.fullmatch(line)
            if not found:
                raise Violation(f"field {line[:80]!r}")
            seen.fields.append((found[1].decode().lower(), found[2].decode("latin-1")))
        self._check(seen, words[2])
        return seen

    def _check(self, seen: Seen, version: bytes) -> None:
        hosts, lengths, codings = seen.values("host"), seen.values("content-length"), seen.values("transfer-encoding")
        if len(hosts) > 1 or (not hosts and version == b"HTTP/1.1"):
            raise Violation(f"{len(hosts)} Host fields")
        if lengths and codings:
            raise Violation("Content-Length beside Transfer-Encoding")
        if len(lengths) > 1 or not all(re.fullmatch("[0-9]{1,18}", length) for length in lengths):
            raise Violation(f"Content-Length {lengths}")
        if codings and [coding.lower() for coding in codings] != ["chunked"]:
            raise Violation(f"Transfer-Encoding {codings}")

    def _chunked(self, seen: Seen) -> None:
        while True:
            line = self._line()
            found = _CHUNK.fullmatch(line)
            if not found:
                raise Violation(f"chunk size {line[:80]!r}")
            size = int(found[1], 16)
            if not size:
                break
            seen.body += self._take(size)
            if self._take(2) != b"\r\n":
                raise Violation("no CRLF behind chunk data")
        while line := self._line():
            if not _FIELD.fullmatch(line):
                raise Violation(f"trailer {line[:80]!r}")

    def _line(self) -> bytes:
        while b"\n" not in self.pending:
            self._more()
        line, _, self.pending = self.pending.partition(b"\n")
        if not line.endswith(b"\r") or b"\r" in line[:-1]:
            raise Violation(f"line end {line[-80:]!r}")
        return line[:-1]

    def _take(self, count: int) -> bytes:
        while len(self.pending) < count:
            self._more()
        taken, self.pending = self.pending[:count], self.pending[count:]
        return taken

    def _more(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise Gone
        self.pending += data


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
