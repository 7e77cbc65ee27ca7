"""The action `files`: GET and HEAD of what lies in a folder, and nothing outside of it.

A path is opened first and checked afterwards by what was really opened (/proc/self/fd), so a symbolic link that leaves the
folder, or one that is swapped meanwhile, cannot be followed out of it.
"""

from __future__ import annotations

import mimetypes
import os
import stat
from email.utils import formatdate
from typing import Final

from gapura.config.plan import RoutePlan
from gapura.edge.exchange import Exchange
from gapura.edge.router import PAUSED
from gapura.edge.variables import quote_url
from gapura.errors import ClientError

PIECE: Final = 128 << 10
"""Bytes read from the disk at a time."""
MISSING, FOLDER = -1, -2
_TEXT: Final = (
    "text/",
    "application/javascript",
    "application/json",
    "application/xml",
    "image/svg+xml",
    "application/manifest+json",
)

_types = mimetypes.MimeTypes()
for _kind, _suffix in (
    ("text/javascript", ".js"), ("text/javascript", ".mjs"), ("application/wasm", ".wasm"), ("image/webp", ".webp"),
    ("image/avif", ".avif"), ("font/woff2", ".woff2"), ("font/woff", ".woff"), ("application/manifest+json", ".webmanifest"),
    ("text/markdown", ".md"), ("application/json", ".map"),
):  # fmt: skip
    _types.add_type(_kind, _suffix)


class Files:
    """A compiled `files` route. An instance is a step."""

    __slots__ = ("root", "prefix", "index", "fallback")

    def __init__(self, plan: RoutePlan) -> None:
        self.root = os.fsencode(plan["folder"])
        self.prefix = plan["path"].rstrip("/").encode()
        self.index = [name.encode() for name in plan["index"]]
        self.fallback = plan["fallback"].lstrip("/").encode()

    def __call__(self, exchange: Exchange) -> int:
        head = exchange.head
        if head.method not in (b"GET", b"HEAD"):
            return exchange.refuse(405, exchange.say("reading"), lines=[b"Allow: GET, HEAD"])
        name, folder = self._name(exchange)
        for candidate in [name + b"/" + index if name else index for index in self.index] if folder else [name]:
            fd, info = self._open_beneath(candidate)
            if fd >= 0:
                return _send(exchange, fd, candidate, info)
            if fd == FOLDER and not folder:
                return self._to_folder(exchange)
        last = name.rpartition(b"/")[2]
        if self.fallback and (b"." not in last or last.endswith(b".html")):
            # a page of an application with routes of its own; a missing script or picture is missing
            fd, info = self._open_beneath(self.fallback)
            if fd >= 0:
                return _send(exchange, fd, self.fallback, info)
        raise _nothing(exchange)

    def _name(self, exchange: Exchange) -> tuple[bytes, bool]:
        """(path below the root, whether it ends with a slash). Raises ClientError 404 for what must not be looked at."""
        rest = exchange.head.path[len(self.prefix) :]
        if (rest and rest[:1] != b"/") or b"%2F" in rest or b"\\" in rest or b"\0" in rest:
            raise _nothing(exchange)
        parts = [part for part in rest.split(b"/") if part]
        for part in parts:
            if len(part) > 255 or (part[:1] == b"." and part != b".well-known"):  # hidden files, and . and ..
                raise _nothing(exchange)
        return b"/".join(parts), not rest or rest[-1:] == b"/"

    def _open_beneath(self, name: bytes) -> tuple[int, os.stat_result | None]:
        """(descriptor, stat) of a regular file below the root; (FOLDER, None) for a folder, (MISSING, None) for anything else."""
        try:
            # O_NONBLOCK: a FIFO must not hang the worker
            fd = os.open(self.root + b"/" + name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError:
            return MISSING, None
        try:
            info = os.fstat(fd)
            real = os.readlink(b"/proc/self/fd/%d" % fd)
            root = os.path.realpath(self.root)
        except OSError:
            os.close(fd)
            return MISSING, None
        if real.startswith(root.rstrip(b"/") + b"/") or real == root:
            if stat.S_ISREG(info.st_mode):
                return fd, info
            if stat.S_ISDIR(info.st_mode):
                os.close(fd)
                return FOLDER, None
        os.close(fd)
        return MISSING, None

    def _to_folder(self, exchange: Exchange) -> int:
        """A folder without its slash: relative links in its index would break, so the client is sent to the slash."""
        path, mark, query = exchange.head.target.partition(b"?")
        location = b"/" + quote_url(path.lstrip(b"/")) + b"/" + mark + query
        return exchange.reply(301, [b"Location: " + location], b"")


def _nothing(exchange: Exchange) -> ClientError:
    return ClientError(404, exchange.say("nowhere"))


def content_type(name: bytes) -> bytes:
    """Media type after the file's ending, with charset for text."""
    kind = _types.guess_type(name.decode("utf-8", "replace"))[0] or "application/octet-stream"
    return f"{kind}; charset=utf-8".encode() if kind.startswith(_TEXT) else kind.encode()


def _send(exchange: Exchange, fd: int, name: bytes, info: os.stat_result | None) -> int:
    size = info.st_size if info else 0
    modified = formatdate(info.st_mtime if info else 0, usegmt=True).encode()
    lines = [b"Content-Type: " + content_type(name), b"Last-Modified: " + modified, b"X-Content-Type-Options: nosniff"]
    bodyless = exchange.head.method == b"HEAD"
    if bodyless or not size:
        os.close(fd)
        exchange.handler = None
        exchange.start(200, exchange.block(200, lines), size, bodyless)
        exchange.sink.end([])
        return PAUSED
    _Reading(exchange, fd, size).begin(lines)
    return PAUSED


class _Reading:
    """Handler that sends an open file piece by piece, as fast as the client takes it."""

    __slots__ = ("exchange", "fd", "left", "paused")

    def __init__(self, exchange: Exchange, fd: int, size: int) -> None:
        self.exchange = exchange
        self.fd = fd
        self.left = size
        self.paused = False
        exchange.handler = self

    def begin(self, lines: list[bytes]) -> None:
        self.exchange.start(200, self.exchange.block(200, lines), self.left, False)
        self._go_on()

    def _go_on(self) -> None:
        exchange = self.exchange
        while self.left and not self.paused:
            try:
                data = os.read(self.fd, min(PIECE, self.left))
            except OSError:
                data = b""
            if not data:  # shorter than announced: the client must see it
                self.cancel()
                exchange.handler = None
                exchange.sink.abort()
                return
            self.left -= len(data)
            exchange.sent += len(data)
            exchange.sink.data(data)
        if not self.left:
            self.cancel()
            exchange.sink.end([])

    def body(self, data: bytes) -> None:
        """A body on GET means nothing here (RFC 9110 §9.3.1)."""

    def body_end(self) -> None: ...

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        if self.fd >= 0:
            self._go_on()

    def cancel(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
