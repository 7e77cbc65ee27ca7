"""What is in a folder, as a page for people or in JSON for programs (nginx: autoindex).

A folder may be huge, so it is read and written down in slices between which others have their turn, and cut off at MOST entries.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator
from html import escape
from typing import Final
from urllib.parse import quote_from_bytes

from gapura.edge import pages
from gapura.edge.date import dated, format_date
from gapura.edge.exchange import Exchange
from gapura.edge.folder import MISSING, Folder
from gapura.edge.preconditions import asked
from gapura.edge.router import PAUSED
from gapura.edge.weights import weights
from gapura.errors import ClientError

MOST: Final = 10_000
"""Entries that are shown."""
SLICE: Final = 200
"""Entries that are looked at, or written down, in one go: about a millisecond."""
COLUMNS: Final = ("name", "size", "date")

_WORDS: Final = {
    "en": {"name": "Name", "size": "Size", "date": "Changed", "title": "Files in {path}", "up": "Folder above",
           "cut": "Only {most} entries are shown.", "none": "This folder is empty.", "count": "{folders} folders, {files} files"},
    "id": {"name": "Nama", "size": "Ukuran", "date": "Diubah", "title": "Berkas di {path}", "up": "Folder di atas",
           "cut": "Hanya {most} yang ditampilkan.", "none": "Folder ini kosong.", "count": "{folders} folder, {files} berkas"},
}  # fmt: skip
_STYLE: Final = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:2rem 1.25rem 4rem}"
    "h1{font-size:1.25rem;font-weight:600;overflow-wrap:anywhere;margin:0 0 1rem}h1 a{font-weight:400}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .75rem .4rem 0;"
    "border-bottom:1px solid color-mix(in srgb,currentColor 14%,transparent)}"
    "td:first-child{overflow-wrap:anywhere;width:99%}td:not(:first-child),th:not(:first-child){white-space:nowrap;text-align:right;"
    "font-variant-numeric:tabular-nums;padding-right:0;padding-left:1.5rem}th a,h1 a{color:inherit}a{text-decoration:none}"
    "a:hover{text-decoration:underline}tbody tr:hover{background:color-mix(in srgb,currentColor 5%,transparent)}"
    "p{opacity:.7;font-size:.875rem}@media(max-width:34rem){td:last-child,th:last-child{display:none}}"
)
_PAGE: Final = (
    '<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    '<meta name="robots" content="noindex"><title>{title}</title><style>{style}</style></head><body><main><h1>{path}</h1>'
    "<table><thead><tr>{columns}</tr></thead><tbody>"
)

Entry = tuple[str, bool, int, int]
"""Name, whether it is a folder, size in bytes, change in s since 1970."""


class Listing:
    """Handler that gathers the entries of an open folder and answers with them. It closes `fd`."""

    __slots__ = ("exchange", "folder", "name", "top", "entries", "cut", "_fd", "_scan", "_parts", "_gone", "_sorted")

    def __init__(self, exchange: Exchange, folder: Folder, name: bytes, fd: int, top: bool) -> None:
        self.exchange = exchange
        self.folder = folder
        self.name = name
        self.top = top
        self.entries: list[Entry] = []
        self.cut = False
        self._fd = fd
        self._scan: Iterator[os.DirEntry[str]] | None = None
        self._parts: Iterator[bytes] | None = None
        self._gone = False
        self._sorted: list[bytes] = []

    def begin(self) -> int:
        """Read the folder; small ones are answered at once. Raises ClientError 403 for one that cannot be read."""
        try:
            self._scan = os.scandir(self._fd)
        except OSError:
            self.cancel()
            raise ClientError(403, self.exchange.say("forbidden")) from None
        self.exchange.handler = self
        self._gather()
        return PAUSED

    def _gather(self) -> None:
        if self._gone or self._scan is None:
            return
        try:
            for looked, entry in enumerate(self._scan, 1):
                self._take(entry)
                if len(self.entries) > MOST:
                    self.cut = True
                    self.entries.pop()
                    break
                if looked >= SLICE:
                    self.exchange.worker.busy(self._gather)
                    return
        except OSError:  # the disk, in the middle of it
            self.exchange.refuse(403, self.exchange.say("forbidden"))
            return
        self._close()
        column, down = self._order()
        self.entries.sort(key=_KEYS[column], reverse=down)
        self.entries.sort(key=lambda entry: not entry[1])
        self._parts = self._json() if self._wants_json() else self._page(column, down)
        self._write()

    def _take(self, entry: os.DirEntry[str]) -> None:
        """Note an entry, if it is one that is sent when somebody asks for it."""
        if entry.name[:1] == ".":
            return
        try:
            info = entry.stat()
            outside = entry.is_symlink() and not self._opens(os.fsencode(entry.name))
        except OSError:
            return
        kind = stat.S_ISDIR(info.st_mode)
        if not outside and (kind or stat.S_ISREG(info.st_mode)):
            self.entries.append((entry.name, kind, 0 if kind else info.st_size, dated(info.st_mtime)))

    def _opens(self, name: bytes) -> bool:
        fd, _ = self.folder.open(self.name + b"/" + name if self.name else name)
        if fd == MISSING:
            return False
        if fd >= 0:
            os.close(fd)
        return True

    def _write(self) -> None:
        """Make the next slice of the answer; send it when that was the last."""
        if self._gone or self._parts is None:
            return
        part = next(self._parts, None)
        if part is not None:
            self._sorted.append(part)
            if len(self.entries) > SLICE:
                self.exchange.worker.busy(self._write)
                return
            self._sorted += self._parts
        kind = b"application/json" if self._wants_json() else b"text/html; charset=utf-8"
        if part is not None or self._sorted:
            lines = [b"Content-Type: " + kind, b"Cache-Control: no-cache", b"Vary: Accept, Accept-Language"]
            self._parts = None
            self.exchange.reply(200, [*lines, b"X-Content-Type-Options: nosniff"], b"".join(self._sorted))

    # -- what is asked for ----------------------------------------------------------------------------------------------

    def _wants_json(self) -> bool:
        said = weights(asked(self.exchange.head.lines).get(b"accept", b""))
        return said.get(b"application/json", 0) > said.get(b"text/html", 0)

    def _order(self) -> tuple[str, bool]:
        """The column to sort by and whether downward, of `?sort=size&order=desc`; anything else is by name."""
        query = self.exchange.head.target.partition(b"?")[2].decode("latin-1")
        said = dict(item.partition("=")[::2] for item in query.split("&")[:8])
        column = said.get("sort", "name")
        return (column if column in COLUMNS else "name"), said.get("order") == "desc"

    # -- the answer -----------------------------------------------------------------------------------------------------

    def _json(self) -> Iterator[bytes]:
        """An array of objects with nginx's names (autoindex_format json)."""
        yield b"["
        for start in range(0, len(self.entries), SLICE):
            rows = [
                json.dumps({
                    "name": _shown(name), "type": "directory" if kind else "file",
                    "mtime": format_date(changed).decode(), **({} if kind else {"size": size}),
                })
                for name, kind, size, changed in self.entries[start : start + SLICE]
            ]  # fmt: skip
            yield (",\n" if start else "\n").encode() + ",\n".join(rows).encode()
        yield b"\n]\n"

    def _page(self, column: str, down: bool) -> Iterator[bytes]:
        lang = pages.language(self.exchange.head)
        words = _WORDS[lang]
        path = "/" + self.exchange.head.path.decode("utf-8", "replace").strip("/")
        heads = "".join(
            f'<th aria-sort="{"descending" if down else "ascending"}">' * (name == column) + "<th>" * (name != column)
            + f'<a href="?sort={name}&amp;order={"desc" if name == column and not down else "asc"}">{words[name]}'
            + ("&nbsp;↓" if down else "&nbsp;↑") * (name == column) + "</a></th>"
            for name in COLUMNS
        )  # fmt: skip
        title = escape(words["title"].format(path=path))
        yield _PAGE.format(lang=lang, title=title, style=_STYLE, path=_crumbs(path), columns=heads).encode()
        if not self.top:
            yield f'<tr><td><a href="../">↑ {words["up"]}</a></td><td></td><td></td></tr>\n'.encode()
        for start in range(0, len(self.entries), SLICE):
            yield "".join(_row(*entry) for entry in self.entries[start : start + SLICE]).encode()
        folders = sum(entry[1] for entry in self.entries)
        foot = words["count"].format(folders=folders, files=len(self.entries) - folders) if self.entries else words["none"]
        if self.cut:
            foot = words["cut"].format(most=MOST)
        yield f"</tbody></table><p>{foot}</p></main></body></html>\n".encode()

    # -- a handler ------------------------------------------------------------------------------------------------------

    def body(self, data: bytes) -> None:
        """A body on GET means nothing here (RFC 9110 §9.3.1)."""

    def body_end(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...

    def cancel(self) -> None:
        self._gone = True
        self._close()

    def _close(self) -> None:
        scan, self._scan = self._scan, None
        if scan is not None:
            scan.close()  # type: ignore[attr-defined]  # what os.scandir gives has it
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


_KEYS: Final = {
    "name": lambda entry: (entry[0].casefold(), entry[0]),
    "size": lambda entry: (entry[2], entry[0]),
    "date": lambda entry: (entry[3], entry[0]),
}


def _shown(name: str) -> str:
    """A name as text: bytes that are not UTF-8 become replacement characters."""
    return os.fsencode(name).decode("utf-8", "replace")


def _row(name: str, kind: bool, size: int, changed: int) -> str:
    # "./", or a name with a colon would be taken for a scheme
    link = "./" + quote_from_bytes(os.fsencode(name), safe="") + "/" * kind
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(changed))
    text = escape(_shown(name)) + "/" * kind
    return f'<tr><td><a href="{link}">{text}</a></td><td>{"" if kind else _size(size)}</td><td>{when}</td></tr>\n'


def _size(size: int) -> str:
    """Bytes for people: at most four characters and a unit, powers of 1024."""
    if size < 1024:
        return f"{size} B"
    unit, amount = "B", float(size)
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB"):  # noqa: B007  # the last one is the result
        amount /= 1024
        if amount < 999.5:
            break
    return f"{amount:.1f} {unit}" if amount < 99.95 else f"{amount:.0f} {unit}"


def _crumbs(path: str) -> str:
    """The path with a link on each folder above; they lead upward from here, whatever is in front of the path."""
    parts = [part for part in path.split("/") if part]
    links = [f'<a href="{"../" * (len(parts) - number - 1) or "./"}">{escape(part)}</a>' for number, part in enumerate(parts)]
    return " / ".join([f'<a href="{"../" * len(parts) or "./"}">/</a>' if not parts else "", *links]).lstrip(" /") if parts else "/"
