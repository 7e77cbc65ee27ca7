"""Changes of header fields: of the request for the server, and of the answer for the client.

This is where words of visitors get into heads, so that what could end a line is taken out here, whatever it came from
(CWE-113): a value is one line without control characters.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Final

from gapura.config.plan_edit import HeadersPlan
from gapura.edge.exchange import Exchange
from gapura.edge.filter import Filter
from gapura.edge.variables import compile_text
from gapura.wire.headers import OWS

_CONTROL: Final = bytes((*range(0x20), 0x7F))
MAX_VALUE: Final = 8192
"""Bytes of a value with variables; what is longer is cut, so that no head grows without end."""

Edit = Callable[[Exchange, list[bytes]], list[bytes]]


def clean(value: bytes) -> bytes:
    """A value as it may stand in a head (RFC 9110 §5.5)."""
    return value[:MAX_VALUE].translate(None, _CONTROL).strip(OWS)


def compile_edit(plan: HeadersPlan, groups: Container[str] = ()) -> Edit:
    """A function from header lines to the edited ones. A field whose value turns out empty is not sent, as in nginx."""
    removed = frozenset(name.encode() for name in plan["remove"])
    fixed: list[bytes] = []
    made: list[tuple[bytes, Callable[[Exchange], bytes]]] = []
    for name, value in plan["add"]:
        if "$" in value:
            made.append((name.encode() + b": ", compile_text(value, groups=groups)))
        else:
            fixed.append(name.encode() + b": " + clean(value.encode()))

    def edit(exchange: Exchange, lines: list[bytes]) -> list[bytes]:
        # a value is read before the field of the same name is gone
        added = [start + value for start, read in made if (value := clean(read(exchange)))]
        if removed:
            lines = [line for line in lines if line.partition(b":")[0].lower() not in removed]
        return [*lines, *fixed, *added]

    return edit


class HeaderFilter(Filter):
    """Edits the head of whatever answers: a server, a file, an error page."""

    __slots__ = ("edit",)

    def __init__(self, exchange: Exchange, edit: Edit) -> None:
        super().__init__(exchange)
        self.edit = edit

    def head(self, block: bytes) -> bytes:
        """The head with the changes."""
        first, *lines = block.split(b"\r\n")
        return b"\r\n".join([first, *self.edit(self.exchange, lines)])
