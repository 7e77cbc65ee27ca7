"""The action `files`: GET and HEAD of what lies in a folder, and nothing outside of it.

A path is looked up, a form of the file chosen (as it is, or compressed already), the request's conditions judged, and the answer
sent: from memory, or by `Sending` from the disk.
"""

from __future__ import annotations

import json
import os
import re
from time import monotonic_ns
from typing import Final

from gapura.config.plan import RoutePlan
from gapura.config.plan_files import FilesPlan
from gapura.edge import ranges
from gapura.edge.cache_rules import CacheRules
from gapura.edge.date import format_date
from gapura.edge.downstream import Downstream
from gapura.edge.exchange import UNKNOWN, Exchange
from gapura.edge.file_memory import FRESH, LARGEST, FileCopy, look
from gapura.edge.folder import BUSY, FORBIDDEN, Folder, is_folder
from gapura.edge.lasting import Lasting
from gapura.edge.listing import Listing
from gapura.edge.media_types import media_type
from gapura.edge.precompressed import CODINGS, wanted
from gapura.edge.preconditions import CONDITIONS, FAILED, NOT_MODIFIED, Asked, asked, judge, range_applies
from gapura.edge.router import ANSWERED, PAUSED
from gapura.edge.secure import Hsts
from gapura.edge.sending import Sending
from gapura.edge.variables import quote_url
from gapura.errors import ClientError

FOLDER: Final = -10
"""Instead of a descriptor: this is a folder."""
ALLOW: Final = b"Allow: GET, HEAD"
_NO_SNIFFING: Final = b"X-Content-Type-Options: nosniff"
_DEFAULTS: Final[FilesPlan] = {
    "listing": False, "tries": [], "missing": 404, "precompressed": [], "cache": [], "immutable": True, "types": {},
}  # fmt: skip
_PLAIN: Final = re.compile(rb"(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+\Z")
"""Paths in which there is nothing to look for."""
Found = tuple[FileCopy | None, int]
"""A file and its descriptor, which is -1 when the content is in memory; or None and a code: FOLDER, or one of `folder`."""


class Files:
    """A compiled `files` route. An instance is a step."""

    __slots__ = (
        "folder", "prefix", "index", "fallback", "key", "listing", "tries", "missing", "endings", "cache", "types", "lasting",
    )  # fmt: skip

    def __init__(self, plan: RoutePlan) -> None:
        options = plan["files"] or _DEFAULTS
        self.folder = Folder(os.fsencode(plan["folder"]))
        self.prefix = plan["path"].rstrip("/").encode() if plan["kind"] == "prefix" else b""
        self.index = [name.encode() for name in plan["index"]]
        self.fallback = plan["fallback"].lstrip("/").encode()
        self.lasting = plan["compress"] is not None
        self.key = plan["folder"] + json.dumps([options, self.lasting])
        self.listing = options["listing"]
        self.tries = [text.encode() for text in options["tries"]]
        self.missing = options["missing"]
        self.endings = [ending.encode() for ending in options["precompressed"]]
        self.cache = CacheRules(options["cache"], options["immutable"])
        self.types = {ending.encode(): kind.encode() for ending, kind in options["types"].items()}

    def __call__(self, exchange: Exchange) -> int:
        if exchange.head.method not in (b"GET", b"HEAD"):
            return exchange.refuse(405, exchange.say("reading"), lines=[ALLOW])
        name, slash = self._name(exchange)
        if self.tries:
            return self._try(exchange, name, slash)
        if slash:
            return self._in_folder(exchange, name)
        copy, fd = self._find(exchange, name)
        if copy is not None:
            return self._answer(exchange, copy, fd)
        if fd == FOLDER:
            return self._to_folder(exchange)
        return self._instead(exchange, name)

    # -- looking --------------------------------------------------------------------------------------------------------

    def _name(self, exchange: Exchange) -> tuple[bytes, bool]:
        """(path below the root, whether it ends with a slash). Raises ClientError 404 for what must not be looked at."""
        rest = exchange.head.path[len(self.prefix) :]
        if len(rest) < 256 and _PLAIN.match(rest):
            return rest[1:], False
        if (rest and rest[:1] != b"/") or b"%2F" in rest or b"\\" in rest or b"\0" in rest:
            raise self._nothing(exchange)
        parts = [part for part in rest.split(b"/") if part]
        for part in parts:
            if len(part) > 255 or (part[:1] == b"." and part != b".well-known"):  # hidden files, and . and ..
                raise self._nothing(exchange)
        return b"/".join(parts), not rest or rest[-1:] == b"/"

    def _in_folder(self, exchange: Exchange, name: bytes) -> int:
        """What answers for a folder: its index, its listing."""
        for index in self.index:
            copy, fd = self._find(exchange, name + b"/" + index if name else index)
            if copy is not None:
                return self._answer(exchange, copy, fd)
        if self.listing:
            fd, info = self.folder.open(name)
            if fd >= 0 and is_folder(info):
                return Listing(exchange, self.folder, name, fd, top=not name).begin()
            if fd >= 0:
                os.close(fd)
        return self._instead(exchange, name)

    def _try(self, exchange: Exchange, name: bytes, slash: bool) -> int:
        """Look for one after the other, as nginx's try_files does."""
        for text in self.tries:
            candidate = text.replace(b"$uri", name + b"/" if slash and name else name)
            wants_folder = text[-1:] == b"/"
            parts = [part for part in candidate.split(b"/") if part]
            if not parts and not wants_folder:
                continue
            path = b"/".join(parts)
            if candidate[-1:] == b"/" and not wants_folder:
                continue  # a path that ends with a slash is no file
            copy, fd = self._find(exchange, path)
            if copy is None and fd == FOLDER and wants_folder:
                return self._in_folder(exchange, path) if slash or not text.endswith(b"$uri/") else self._to_folder(exchange)
            if copy is not None and not wants_folder:
                return self._answer(exchange, copy, fd)
            if fd >= 0:
                os.close(fd)
        raise self._nothing(exchange)

    def _instead(self, exchange: Exchange, name: bytes) -> int:
        """The fallback: a page of an application with routes of its own. A missing script or picture is missing."""
        last = name.rpartition(b"/")[2]
        if self.fallback and (b"." not in last or last.endswith(b".html")):
            copy, fd = self._find(exchange, self.fallback)
            if copy is not None:
                return self._answer(exchange, copy, fd)
        raise self._nothing(exchange)

    def _find(self, exchange: Exchange, name: bytes, ending: bytes = b"") -> Found:
        """A file as it is now, or was less than a second ago; `ending` asks for its neighbour. Raises ClientError."""
        memory = exchange.worker.file_memory
        key = (self.key, name + b"\0" + ending if ending else name)
        copy = memory.get(key)
        now = monotonic_ns()
        if copy is not None and now - copy.seen < FRESH:
            return copy, -1
        fd, info = self.folder.open(name + b"." + ending if ending else name)
        if fd < 0 or info is None or is_folder(info):
            memory.drop(key)
            if fd >= 0:
                os.close(fd)
                fd = FOLDER
            if not ending:
                self._check(exchange, fd)
            return None, fd
        if copy is None or not copy.settled or copy.look != look(info):
            copy = self._read(FileCopy(name, info, now), fd, ending)
            if copy.body is None:
                memory.drop(key)
                return copy, fd
        os.close(fd)
        copy.seen = now
        memory.keep(key, copy)
        return copy, -1

    def _check(self, exchange: Exchange, code: int) -> None:
        """Raise ClientError for what is there but cannot be read."""
        if code == FORBIDDEN:
            raise ClientError(403, exchange.say("forbidden"))
        if code == BUSY:
            raise ClientError(503, exchange.say("files"))

    def _read(self, copy: FileCopy, fd: int, ending: bytes) -> FileCopy:
        """Fill in what is sent with a file, and its content when it is small and stays as it is while it is read."""
        if copy.size <= LARGEST:
            try:
                body = os.pread(fd, copy.size + 1, 0)
            except OSError:
                body = b""
            whole = len(body) == copy.size
            copy.body = (Lasting(body) if self.lasting else body) if whole else None
        copy.content_type = media_type(copy.name, self.types)
        if ending:
            quoted, _, _ = copy.etag.rpartition(b'"')
            copy.etag = b'%b-%b"' % (quoted, ending)
        kept = [b"Last-Modified: " + format_date(copy.modified), b"ETag: " + copy.etag]
        if value := self.cache.value(copy.name):
            kept.append(b"Cache-Control: " + value)
        if self.endings:
            kept.append(b"Vary: Accept-Encoding")
        form = b"Content-Encoding: " + CODINGS[ending] if ending else b"Accept-Ranges: bytes"
        copy.kept = b"\r\n".join(kept)
        copy.head = b"\r\n".join((b"Content-Type: " + copy.content_type, *kept, form, _NO_SNIFFING))
        return copy

    # -- answering ------------------------------------------------------------------------------------------------------

    def _answer(self, exchange: Exchange, copy: FileCopy, fd: int) -> int:
        """Send a file as far as the client wants it. `fd` is -1 when its content is in memory; it is closed at the end."""
        fields = asked(exchange.head.lines) if self.endings else asked(exchange.head.lines, CONDITIONS)
        if not fields:
            return _deliver(exchange, 200, copy.head, copy, fd, None)
        if self.endings and b"range" not in fields and (accepted := fields.get(b"accept-encoding")):
            copy, fd = self._form(exchange, copy, fd, accepted)
        verdict = judge(fields, copy.etag, copy.modified)
        if verdict == NOT_MODIFIED:
            _close(fd)
            return _whole(exchange, 304, copy.kept, b"", UNKNOWN, copy)
        if verdict == FAILED:
            _close(fd)
            return exchange.refuse(412, exchange.say("changed"))
        if exchange.head.method == b"GET" and (value := fields.get(b"range")):
            return _partial(exchange, copy, fd, fields, value)
        return _deliver(exchange, 200, copy.head, copy, fd, None)

    def _form(self, exchange: Exchange, copy: FileCopy, fd: int, accepted: bytes) -> tuple[FileCopy, int]:
        """The neighbour that the client likes best, or the file itself."""
        now = monotonic_ns()
        for ending in wanted(accepted, self.endings):
            if now - copy.absent.get(ending, -FRESH) < FRESH:
                continue
            found, other = self._find(exchange, copy.name, ending)
            if found is not None and found.changed >= copy.changed:
                _close(fd)
                return found, other
            if found is not None:
                _close(other)
            copy.absent[ending] = now
        return copy, fd

    def _to_folder(self, exchange: Exchange) -> int:
        """A folder without its slash: relative links in its index would break, so the client is sent to the slash."""
        path, mark, query = exchange.head.target.partition(b"?")
        location = b"/" + quote_url(path.lstrip(b"/")) + b"/" + mark + query
        return exchange.reply(301, [b"Location: " + location], b"")

    def _nothing(self, exchange: Exchange) -> ClientError:
        return ClientError(self.missing, exchange.say("nowhere" if self.missing == 404 else "forbidden"))


def _partial(exchange: Exchange, copy: FileCopy, fd: int, fields: Asked, value: bytes) -> int:
    """The answer to a Range: 206, 416, or the whole file."""
    found = ranges.parse(value, copy.size) if range_applies(fields, copy.etag, copy.modified) else None
    if found is None:
        return _deliver(exchange, 200, copy.head, copy, fd, None)
    if not found:
        _close(fd)
        lines = [b"Content-Range: bytes */%d" % copy.size, b"Accept-Ranges: bytes"]
        return exchange.refuse(416, exchange.say("range", size=copy.size), lines=lines)
    if len(found) == 1:
        head = copy.head + b"\r\n" + ranges.content_range(found[0], copy.size)
        return _deliver(exchange, 206, head, copy, fd, [found[0]])
    boundary = exchange.worker.new_request_id()
    parts = ranges.multipart(found, copy.size, copy.content_type, boundary)
    own = b"Content-Type: multipart/byteranges; boundary=" + boundary
    return _deliver(exchange, 206, copy.head.replace(b"Content-Type: " + copy.content_type, own, 1), copy, fd, parts)


def _deliver(
    exchange: Exchange, status: int, head: bytes, copy: FileCopy, fd: int, parts: list[bytes | ranges.Range] | None
) -> int:
    """Send a file, or the parts of it."""
    length = copy.size if parts is None else ranges.length_of(parts)
    body = copy.body
    if body is None and length and exchange.head.method != b"HEAD":
        sending = Sending(exchange, fd, [(0, copy.size)] if parts is None else parts)
        sending.begin(status, exchange.block(status, [head]), length)
        return PAUSED
    _close(fd)
    if parts is not None and body is not None:
        body = b"".join(part if isinstance(part, bytes) else body[part[0] : part[0] + part[1]] for part in parts)
    return _whole(exchange, status, head, body or b"", length, copy)


def _whole(exchange: Exchange, status: int, head: bytes, body: bytes, length: int, copy: FileCopy) -> int:
    """An answer that is all here."""
    exchange.handler = None
    exchange.status = status
    exchange.started = True
    bodyless = status == 304 or exchange.head.method == b"HEAD"
    block = exchange.block(status, [head])
    sink = exchange.sink
    if isinstance(sink, Hsts):  # a line that does not change, so it may be remembered with the rest
        block, sink = sink.head(block), sink.inner
    if copy.body is not None and isinstance(sink, Downstream):
        _recallable(sink, exchange, block, b"" if bodyless else body, length, bodyless, copy.seen)
    else:
        sink.whole(block, body, length, bodyless, monotonic_ns())
    return ANSWERED


def _recallable(sink: Downstream, exchange: Exchange, block: bytes, body: bytes, length: int, bodyless: bool, seen: int) -> None:
    """Answer, and remember it for the next one who asks with the same bytes."""
    raw, sink.raw = sink.raw, b""
    alone = raw and sink.keep_alive and not sink.reader.buffer
    sink.whole(block, body, length, bodyless, monotonic_ns())
    if alone:
        exchange.worker.recall.learn(sink, raw, exchange, seen, block, length, body)


def _close(fd: int) -> None:
    if fd >= 0:
        os.close(fd)
