"""Pages of the user's own for errors: in place of ours, and, where asked for, in place of what servers behind say."""

from __future__ import annotations

import logging
import os
import re
from functools import lru_cache
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from gapura import small_file
from gapura.config.plan_error_pages import ErrorPagesPlan
from gapura.edge import pages
from gapura.edge.media_types import media_type

if TYPE_CHECKING:
    from gapura.edge.exchange import Exchange

LARGEST: Final = 1 << 20
"""Bytes of a page; they are held in memory."""
FRESH: Final = 1_000_000_000
"""Nanoseconds for which a page is used without a look at the disk."""

_VARIABLE: Final = re.compile(rb"\$(status|reason|request_id)(?![A-Za-z0-9_])")
"""What is put in is digits, a phrase of ours, and letters that were checked: nothing that would need escaping anywhere."""

log = logging.getLogger("edge")


class Page:
    """One file, read again when it has changed."""

    __slots__ = ("path", "type", "_text", "_looked_at", "_seen", "_trouble")

    def __init__(self, path: str) -> None:
        self.path = path
        self.type = media_type(os.fsencode(path))
        self._text: bytes | None = None
        self._looked_at = -FRESH
        self._seen: small_file.Facts | None = None
        self._trouble = ""

    def body(self, status: int, request_id: bytes) -> bytes | None:
        """The page for a request; None when it cannot be read."""
        now = monotonic_ns()
        if now - self._looked_at >= FRESH:
            self._looked_at = now
            self._look()
        text = self._text
        if text is None or b"$" not in text or not self.type.startswith((b"text/", b"application/")):
            return text
        words = {
            b"status": b"%d" % status,
            b"reason": pages.REASONS.get(status, "Error").encode(),
            b"request_id": request_id,
        }
        return _VARIABLE.sub(lambda match: words[match[1]], text)

    def _look(self) -> None:
        try:
            seen = small_file.facts_of(self.path)
            if seen != self._seen or seen == small_file.NOTHING:
                self._text = small_file.read(self.path, LARGEST)[0]
                self._seen = seen
            trouble = ""
        except (OSError, ValueError) as error:
            self._text = self._seen = None
            trouble = getattr(error, "strerror", None) or str(error)
        if trouble and trouble != self._trouble:
            log.warning("the error page %s cannot be used: %s", self.path, trouble)
        self._trouble = trouble


@lru_cache(maxsize=64)
def page(path: str) -> Page:
    """The page of a file, the same for all that use it."""
    return Page(path)


def find(plan: ErrorPagesPlan | None, status: int) -> Page | None:
    """The page for a status."""
    if plan is None:
        return None
    path = plan["pages"].get(str(status)) or plan["pages"].get(f"{status // 100}xx")
    return page(path) if path else None


def of(exchange: Exchange) -> ErrorPagesPlan | None:
    """What holds for an exchange: its route's, its site's or the edge's."""
    if exchange.route is not None:
        return exchange.route.plan.get("error_pages")
    if exchange.site is not None:
        return exchange.site.plan.get("error_pages")
    return exchange.snapshot.plan["edge"].get("error_pages")


def own(exchange: Exchange, status: int) -> tuple[bytes, list[bytes]] | None:
    """(body, header lines) of the user's page for an error of ours; None when there is none, or it cannot be read."""
    found = find(of(exchange), status)
    body = found.body(status, exchange.request_id) if found is not None else None
    if found is None or body is None:
        return None
    return body, [b"Content-Type: " + found.type, b"Cache-Control: no-store"]
