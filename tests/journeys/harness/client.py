"""One visitor at a time: a request and its answer, a WebSocket, a download read at leisure."""

from __future__ import annotations

import base64
import http.client
import os
import socket
import time
import zlib
from dataclasses import dataclass, field

from .app import pattern

HOST = "shop.test"
"""The site that most journeys visit."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a visitor got; `took` in seconds from connecting to the last byte."""

    status: int
    body: str
    took: float
    fields: dict[str, str] = field(default_factory=dict)


def visit(port: int, path: str = "/", *, host: str = HOST, language: str = "en", timeout: float = 60.0) -> Answer:
    """GET over a connection of its own. Raises OSError and `http.client.HTTPException` as they come."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Host": host, "Accept": "text/html,*/*;q=0.8", "Accept-Language": language})
        response = connection.getresponse()
        body = response.read().decode("utf-8", "replace")
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, body, time.monotonic() - began, fields)
    finally:
        connection.close()


def answers(port: int, path: str = "/", *, host: str = HOST) -> bool:
    """Whether somebody answers there now, and well."""
    try:
        return visit(port, path, host=host, timeout=1.0).status < 400
    except (OSError, http.client.HTTPException):
        return False


def arrivals(port: int, count: int) -> list[float]:
    """Ask for so many server-sent events; when each came (CLOCK_MONOTONIC, s)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", f"/events?count={count}", headers={"Host": HOST})
        response = connection.getresponse()
        return [time.monotonic() for line in response if line.startswith(b"data: ")]
    finally:
        connection.close()


class WebSocket:
    """A client of the test program's `/echo` (RFC 6455, short frames). Raises OSError when the tunnel is gone."""

    def __init__(self, port: int, host: str = HOST) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = ["GET /echo HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += ["Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self._read(1)
        if not head.startswith(b"HTTP/1.1 101 "):
            raise ConnectionError(f"no WebSocket: {head!r}")

    def ask(self, text: str) -> str:
        """Send a text frame (at most 125 bytes) and return the one that comes back."""
        payload, mask = text.encode(), os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        self.sock.sendall(bytes([0x81, 0x80 | len(payload)]) + mask + masked)
        size = self._read(2)[1]
        return self._read(size).decode()

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.sock.recv(count - len(data))
            if not piece:
                raise ConnectionError("the tunnel was closed")
            data += piece
        return data

    def close(self) -> None:
        self.sock.close()


class Download:
    """A big answer that is read bit by bit: `read(n)` when it suits the reader, `rest()` for all that is left."""

    def __init__(self, port: int, size: int, host: str = HOST) -> None:
        self.size = size
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        self.sock.settimeout(60)
        self.sock.connect(("127.0.0.1", port))
        self.sock.sendall(f"GET /download?bytes={size} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.sock.recv(1)
        self.status = int(head.split()[1])
        self.received = 0
        self._sum = 0

    def read(self, count: int) -> int:
        """Take at most `count` bytes; 0 at the end. Raises OSError when the connection breaks."""
        piece = self.sock.recv(count)
        self.received += len(piece)
        self._sum = zlib.crc32(piece, self._sum)
        return len(piece)

    def rest(self) -> None:
        while self.read(1 << 20):
            pass

    @property
    def whole(self) -> bool:
        """Whether every byte has come, in order."""
        expected = 0
        for block in pattern(self.size):
            expected = zlib.crc32(block, expected)
        return self.received == self.size and self._sum == expected

    def close(self) -> None:
        self.sock.close()
