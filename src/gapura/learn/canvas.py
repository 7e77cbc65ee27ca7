"""An SVG that is read in light and in dark, by eyes and by screen readers, and that needs nothing from elsewhere."""

from __future__ import annotations

import textwrap
from html import escape
from typing import Final

FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"
LIGHT: Final = {
    "paper": "#ffffff",
    "ink": "#1d2530",
    "faint": "#5a6675",
    "edge": "#8a97a8",
    "box": "#f3f6fa",
    "accent": "#1f5fbf",
    "good": "#1a7f4b",
    "warn": "#8a5d00",
    "bad": "#c1272d",
}
DARK: Final = {
    "paper": "#12171e",
    "ink": "#e8edf3",
    "faint": "#a3afbd",
    "edge": "#6c7a8c",
    "box": "#1d2530",
    "accent": "#7fb2ff",
    "good": "#4ecb8a",
    "warn": "#e3b341",
    "bad": "#ff7b7b",
}
"""Every colour of text has a contrast of at least 4.5 to the paper and the box (WCAG AA)."""


class Canvas:
    """Shapes are added in the order in which they lie upon each other; `svg` gives the text. Coordinates are pixels."""

    def __init__(self, width: float, height: float, title: str, description: str) -> None:
        self.width, self.height = width, height
        self.title, self.description = title, description
        self.parts: list[str] = []

    def box(self, x: float, y: float, width: float, height: float, kind: str = "box", radius: float = 8) -> None:
        """A rounded rectangle; `kind` "box", or the colour of its border."""
        border = "edge" if kind == "box" else kind
        self.parts.append(
            f'<rect class="f-box s-{border}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}"/>'
        )

    def bar(self, x: float, y: float, width: float, height: float, kind: str = "accent") -> None:
        """A filled bar of a chart."""
        self.parts.append(f'<rect class="f-{kind}" x="{x:g}" y="{y:g}" width="{max(0, width):.1f}" height="{height:g}" rx="2"/>')

    def text(
        self, x: float, y: float, text: str, kind: str = "ink", size: int = 14, anchor: str = "start", bold: bool = False
    ) -> None:
        """A line of text; `y` is its base line."""
        more = f'font-size="{size}" text-anchor="{anchor}"' + (' font-weight="600"' if bold else "")
        self.parts.append(f'<text class="f-{kind}" x="{x:g}" y="{y:g}" {more}>{escape(text, quote=False)}</text>')

    def lines(self, x: float, y: float, text: str, columns: int, kind: str = "ink", size: int = 13, anchor: str = "start") -> float:
        """Text in lines of at most so many letters; the base line of what would come next."""
        for line in textwrap.wrap(text, columns):
            self.text(x, y, line, kind, size, anchor)
            y += size * 1.4
        return y

    def arrow(self, x1: float, y1: float, x2: float, y2: float, kind: str = "edge", width: float = 2, dashed: bool = False) -> None:
        """A curve from left to right (or a straight line downward) with a head at its end."""
        dash = ' stroke-dasharray="5 5"' if dashed else ""
        middle = (x1 + x2) / 2
        path = (
            f"M{x1:g} {y1:g} L{x2:g} {y2:g}"
            if x1 == x2 or y1 == y2
            else f"M{x1:g} {y1:g} C{middle:g} {y1:g} {middle:g} {y2:g} {x2:g} {y2:g}"
        )
        self.parts.append(
            f'<path class="s-{kind}" d="{path}" fill="none" stroke-width="{width:.1f}"{dash} marker-end="url(#h-{kind})"/>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str = "edge", width: float = 1, dashed: bool = False) -> None:
        dash = ' stroke-dasharray="4 4"' if dashed else ""
        self.parts.append(
            f'<line class="s-{kind}" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke-width="{width:g}"{dash}/>'
        )

    def visitors(self, x: float, y: float, label: str) -> None:
        """The sign for visitors: three heads; (x, y) is the middle."""
        for shift, size in ((-16, 7), (16, 7), (0, 9)):
            self.parts.append(
                f'<g class="f-box s-accent"><circle cx="{x + shift:g}" cy="{y - 9:g}" r="{size}"/>'
                f'<path d="M{x + shift - size * 1.5:g} {y + 14:g} a{size * 1.5:g} {size * 1.5:g} 0 0 1 {size * 3:g} 0 z"/></g>'
            )
        self.text(x, y + 34, label, size=14, anchor="middle", bold=True)

    def svg(self) -> str:
        """The drawing as a file of its own."""
        heads = "".join(
            f'<marker id="h-{kind}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" '
            f'markerUnits="userSpaceOnUse" orient="auto"><path class="f-{kind}" d="M0 0 L8 4 L0 8 z"/></marker>'
            for kind in ("edge", "accent", "good", "warn", "bad", "faint")
        )
        size = f'width="{self.width:g}" height="{self.height:g}" viewBox="0 0 {self.width:g} {self.height:g}"'
        head = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="t d" font-family="{FONT}">',
            f'<title id="t">{escape(self.title, quote=False)}</title>',
            f'<desc id="d">{escape(self.description, quote=False)}</desc>',
            f"<style>{_rules(LIGHT)} @media (prefers-color-scheme: dark) {{ {_rules(DARK)} }}</style>",
            f"<defs>{heads}</defs>",
            f'<rect class="f-paper" width="{self.width:g}" height="{self.height:g}" rx="10"/>',
        ]
        return "\n".join([*head, *self.parts, "</svg>"]) + "\n"


def _rules(colours: dict[str, str]) -> str:
    return " ".join(f".f-{name}{{fill:{colour}}} .s-{name}{{stroke:{colour}}}" for name, colour in colours.items())
