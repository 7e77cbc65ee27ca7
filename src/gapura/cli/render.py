"""Tables and figures for people: in colour on a terminal, plain text otherwise."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from typing import Any

import click

COLOURS = {
    "up": "green",
    "ready": "green",
    "starting": "yellow",
    "stopping": "yellow",
    "draining": "yellow",
    "benched": "yellow",
    "full": "yellow",
    "backoff": "yellow",
    "down": "red",
    "unhealthy": "red",
    "crashed": "red",
    "stopped": "bright_black",
    "disabled": "bright_black",
}
"""What colour a state of an instance or a server has."""


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their headers. Words that are states get their colour on a terminal."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _rich_table(headers, cells)
    else:
        _plain_table(headers, cells)


def _rich_table(headers: Sequence[str], rows: list[list[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, header in enumerate(headers):
        figures = all(row[number].replace(".", "").isdigit() for row in rows)
        drawn.add_column(header, justify="right" if rows and figures else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell, style=COLOURS.get(cell, "")) for cell in row))
    Console(highlight=False).print(drawn)


def _plain_table(headers: Sequence[str], rows: list[list[str]]) -> None:
    lines = [list(headers), *rows]
    widths = [max(len(line[number]) for line in lines) for number in range(len(headers))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def size(count: float | None) -> str:
    """Bytes as people read them: "48.2 MB"."""
    if count is None:
        return ""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def maintenance(closed: dict[str, Any] | None) -> str:
    """How it stands with a site: "open", or since when it is in maintenance, until when, and what visitors are told."""
    if not closed:
        return "open"
    now = time.time()
    since = duration(now - closed["since"]) if now - closed["since"] >= 1 else ""
    then = f", opens in {duration(max(1, math.ceil(closed['until'] - now)))}" if closed["until"] else ""
    said = f": {closed['message']}" if closed["message"] else ""
    return f"in maintenance{f', begun {since} ago' if since else ''}{then}{said}"


def duration(seconds: float | None) -> str:
    """A time span as people read it, in its two largest units: "3 d 4 h"."""
    if seconds is None:
        return ""
    whole = int(seconds)
    units = (("d", whole // 86400), ("h", whole // 3600 % 24), ("min", whole // 60 % 60), ("s", whole % 60))
    first = next((place for place, (_, number) in enumerate(units) if number), 3)
    return " ".join(f"{number} {unit}" for unit, number in units[first : first + 2] if number) or "0 s"
