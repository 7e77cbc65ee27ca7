"""A user's program, small enough to start in a tenth of a second, with every bad habit to order.

It runs alone (`python -S -E app.py`), serves HTTP/1.1 on 127.0.0.1:$PORT with a thread per connection, and answers

    /                    its name and process id
    /slow?seconds=S      the same, S seconds later
    /download?bytes=N    N bytes of a pattern that shows a missing or doubled piece
    /text?bytes=N        N bytes of text, a third of that when compressed
    /events?count=N      N server-sent events, each written on its own, 50 ms apart
    /echo                WebSocket: every frame comes back
    POST /post           notes the body as a line of the file --ids, then works for --work seconds
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import random
import signal
import socket
import string
import struct
import threading
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

WEBSOCKET = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
BLOCK = 64 * 1024


def pattern(size: int) -> Iterator[bytes]:
    """`size` bytes in blocks of 64 KiB, no two blocks alike."""
    base = bytes(range(256)) * (BLOCK // 256)
    for number in range((size + BLOCK - 1) // BLOCK):
        block = struct.pack("!Q", number) + base[8:]
        yield block[: size - number * BLOCK]


def prose(size: int) -> Iterator[bytes]:
    """`size` bytes of random words in blocks of 64 KiB, no two blocks alike."""
    dice = random.Random(1)
    words = ["".join(dice.choices(string.ascii_lowercase, k=dice.randint(2, 9))) for _ in range(2000)]
    base = " ".join(dice.choices(words, k=BLOCK // 4)).encode()[: BLOCK - 16]
    for number in range((size + BLOCK - 1) // BLOCK):
        block = b"%15d " % number + base
        yield block[: size - number * BLOCK]


class Connection:
    """One client, served until it leaves."""

    def __init__(self, sock: socket.socket, options: argparse.Namespace) -> None:
        self.sock = sock
        self.options = options
        self.pending = b""

    def serve(self) -> None:
        with self.sock:
            try:
                while self.exchange() and not self.options.single:
                    pass
            except OSError:
                pass

    def exchange(self) -> bool:
        """One request and its answer; False when the connection ends."""
        while b"\r\n\r\n" not in self.pending:
            if not self.more():
                return False
        head, _, self.pending = self.pending.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        length = int(fields.get("content-length", "0"))
        while len(self.pending) < length:
            if not self.more():
                return False
        body, self.pending = self.pending[:length], self.pending[length:]
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if self.options.chatty:
            print(f"{method} {target}", flush=True)
        if url.path == "/echo":
            self.echo(fields["sec-websocket-key"])
            return False
        self.answer(method, url.path, query, body)
        return fields.get("connection", "").lower() != "close"

    def more(self) -> bool:
        data = self.sock.recv(BLOCK)
        self.pending += data
        return bool(data)

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> None:
        if path == "/download":
            size = int(query["bytes"])
            self.sock.sendall(self.head("application/octet-stream", f"Content-Length: {size}"))
            for block in pattern(size):
                self.sock.sendall(block)
            return
        if path == "/text":
            size = int(query["bytes"])
            self.sock.sendall(self.head("text/plain", f"Content-Length: {size}"))
            for block in prose(size):
                self.sock.sendall(block)
            return
        if path == "/events":
            self.sock.sendall(self.head("text/event-stream", "Transfer-Encoding: chunked"))
            for number in range(int(query["count"])):
                event = f"data: {number}\n\n".encode()
                self.sock.sendall(b"%x\r\n%s\r\n" % (len(event), event))
                time.sleep(0.05)
            self.sock.sendall(b"0\r\n\r\n")
            return
        if path == "/slow":
            time.sleep(float(query["seconds"]))
        if method == "POST":
            note(self.options.ids, f"{body.decode()} {os.getpid()}\n")
            time.sleep(self.options.work)
        text = f"{self.options.name} {os.getpid()}\n".encode()
        extra = f"Content-Length: {len(text)}" + ("\r\nConnection: close" if self.options.single else "")
        self.sock.sendall(self.head("text/plain", extra) + (b"" if method == "HEAD" else text))

    @staticmethod
    def head(kind: str, extra: str) -> bytes:
        return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{extra}\r\n\r\n".encode()

    def echo(self, key: str) -> None:
        """RFC 6455 for short frames: the payload unmasked and sent back, until the peer leaves."""
        accept = base64.b64encode(hashlib.sha1((key + WEBSOCKET).encode()).digest()).decode()
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept}"]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while self.have(6):
            size = self.pending[1] & 0x7F
            if not self.have(6 + size):
                return
            kind, mask, masked = self.pending[0], self.pending[2:6], self.pending[6 : 6 + size]
            self.pending = self.pending[6 + size :]
            payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked))
            self.sock.sendall(bytes([kind, size]) + payload)

    def have(self, count: int) -> bool:
        while len(self.pending) < count:
            if not self.more():
                return False
        return True


def note(path: str, line: str) -> None:
    """Append one line in one write, so that several processes may share the file."""
    if path:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(fd, line.encode())
        os.close(fd)


def chatter(per_second: int) -> None:
    """Write so many lines each second, in twenty portions."""
    number = 0
    while True:
        for _ in range(per_second // 20):
            number += 1
            print(f"line {number} of a program that has a lot to say", flush=True)
        time.sleep(0.05)


def settings() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", default=f"{os.environ.get('GAPURA_APP', '')}:{os.environ.get('GAPURA_INSTANCE', '')}")
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", "0")))
    parser.add_argument("--listening", default="", help="file to note the moment in (CLOCK_MONOTONIC) from which it answers")
    parser.add_argument("--start-after", type=float, default=0.0)
    parser.add_argument("--gate", default="", help="file that has to be there before it listens")
    parser.add_argument("--ignore-term", action="store_true")
    parser.add_argument("--chatty", type=int, default=0, help="lines per second; each request writes one as well")
    parser.add_argument("--grandchild", action="store_true", help="leave a process in a session of its own")
    parser.add_argument("--single", action="store_true", help="one connection at a time, one request each")
    parser.add_argument("--ids", default="", help="file to note POST bodies in")
    parser.add_argument("--work", type=float, default=0.0)
    return parser.parse_args()


def main() -> None:
    options = settings()
    if options.ignore_term:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if options.grandchild:
        os.posix_spawn("/bin/sleep", ["sleep", "600"], os.environ, setsid=True)
    if options.chatty:
        threading.Thread(target=chatter, args=[options.chatty], daemon=True).start()
    time.sleep(options.start_after)
    while options.gate and not os.path.exists(options.gate):
        time.sleep(0.01)
    with socket.create_server(("127.0.0.1", options.port), backlog=512) as listener:
        note(options.listening, f"{time.monotonic()}\n")
        while True:
            sock, _ = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(sock, options)
            if options.single:
                connection.serve()
            else:
                threading.Thread(target=connection.serve, daemon=True).start()


if __name__ == "__main__":
    main()
