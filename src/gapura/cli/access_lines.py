"""Lines of an access log as they look on a terminal."""

from __future__ import annotations

import re
from typing import Any, Final

import click

from gapura.access_lines import COMBINED, Entry
from gapura.log import escape

SLOW: Final = 1.0
"""Seconds from which on a request is coloured as slow when nobody says otherwise."""
_JSON_STATUS: Final = re.compile(r'"status": ?([0-9]{3})')
_COLOURS: Final = {2: ("green", None), 3: ("cyan", None), 4: ("yellow", None), 5: ("red", True)}


def coloured(text: str, entry: Entry | None, slow: float) -> str:
    """A line for a terminal: nothing in it can command the terminal, status, method and slow times stand out."""
    if entry is None:
        return escape(text)
    colour, bold = _COLOURS.get(entry.status // 100, (None, None))
    spans: list[tuple[int, int, dict[str, Any]]] = []
    match = COMBINED.fullmatch(text)
    if match is not None:
        spans = [(*match.span("request_method"), {"bold": True}), (*match.span("status"), {"fg": colour, "bold": bold})]
        if entry.seconds is not None and entry.seconds >= (slow or SLOW):
            spans.append((*match.span("request_time"), {"fg": "magenta", "bold": True}))
    elif found := _JSON_STATUS.search(text):
        spans = [(*found.span(1), {"fg": colour, "bold": bold})]
    out, position = [], 0
    for start, end, style in spans:
        out += [escape(text[position:start]), click.style(escape(text[start:end]), **style)]
        position = end
    return "".join([*out, escape(text[position:])])
