"""Many idle keep-alive connections: `python -m bench.idle HOST PORT COUNT`, ended by the end of its standard input.

Each connection asks for one small page, as a visitor would, and then stays silent. Prints one line of JSON when all are
there: {"open": …, "failed": …}. A program of its own, because it needs thousands of descriptors and another core.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys

_AT_ONCE = 100
"""Connections being made at a time: fewer than any listener's queue holds."""
_PER_SOURCE = 5000
"""Connections from one loopback address: far fewer than the ephemeral ports."""
_PATIENCE = 10.0
"""Seconds without any answer after which the rest counts as failed."""


def body_complete(answer: bytes) -> bool | None:
    """Whether an answer with Content-Length or chunked body has arrived whole; None: its status is not 200."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    if not separator:
        return False
    if b" 200 " not in head.partition(b"\r\n")[0] + b" ":
        return None
    for line in head.lower().split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return len(body) >= int(value)
    return body.endswith(b"0\r\n\r\n")


class Crowd:
    """The connections: `open` those that have had their answer, `failed` those that have not got one."""

    def __init__(self, host: str, port: int, count: int) -> None:
        self.open: list[socket.socket] = []
        self.failed = 0
        self._target = ("127.0.0.1", port)
        self._request = f"GET / HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n".encode()
        self._selector = selectors.DefaultSelector()
        self._busy: dict[socket.socket, bytes] = {}
        started = 0
        while started < count or self._busy:
            while started < count and len(self._busy) < _AT_ONCE:
                self._start(f"127.0.0.{1 + started // _PER_SOURCE}")
                started += 1
            ready = self._selector.select(_PATIENCE)
            if not ready:
                self.failed += len(self._busy)
                return
            for key, events in ready:
                self._advance(key.fileobj, events)  # type: ignore[arg-type]

    def _start(self, source: str) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind((source, 0))
        sock.connect_ex(self._target)
        self._busy[sock] = b""
        self._selector.register(sock, selectors.EVENT_WRITE)

    def _advance(self, sock: socket.socket, events: int) -> None:
        """connected -> asked -> answered"""
        try:
            if events & selectors.EVENT_WRITE:
                sock.send(self._request)
                self._selector.modify(sock, selectors.EVENT_READ)
                return
            data = sock.recv(65536)
        except OSError:
            data = b""
        self._busy[sock] += data
        complete = body_complete(self._busy[sock])
        if complete or complete is None or not data:
            self._selector.unregister(sock)
            del self._busy[sock]
            if complete:
                self.open.append(sock)
            else:
                self.failed += 1
                sock.close()


def main() -> None:
    host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    crowd = Crowd(host, port, count)
    print(json.dumps({"open": len(crowd.open), "failed": crowd.failed}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
