"""Posters: each film's is drawn as a small inline SVG from its hue and motif, so that no image is fetched."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from html import escape

WIDTH, HEIGHT = 200, 300


@cache
def draw(number: int, title: str, hue: int, motif: str) -> str:
    """The SVG of one film. `number` seeds the details, so that a film looks the same at every copy of the app."""
    art = MOTIFS[motif](random.Random(number), hue)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Poster: {escape(title)}">'
        f'<defs><linearGradient id="sky{number}" x1="0" y1="0" x2="0" y2="1">'
        f'<stop offset="0" stop-color="hsl({hue} 62% 26%)"/><stop offset="1" stop-color="hsl({(hue + 50) % 360} 72% 58%)"/>'
        f'</linearGradient></defs><rect width="{WIDTH}" height="{HEIGHT}" fill="url(#sky{number})"/>{art}</svg>'
    )


def _circle(x: float, y: float, radius: float, fill: str) -> str:
    return f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{radius:.1f}" fill="{fill}"/>'


def _gate(_: random.Random, hue: int) -> str:
    dark = f"hsl({hue} 60% 12%)"
    return (
        _circle(100, 150, 52, "#fff3")
        + f'<path d="M40 300V150a60 60 0 0 1 120 0V300h-26V150a34 34 0 0 0-68 0V300Z" fill="{dark}"/>'
        + f'<path d="M28 132h144v12H28ZM84 300l10-90h12l10 90Z" fill="{dark}"/>'
    )


def _rain(dice: random.Random, hue: int) -> str:
    drops = "".join(f"M{dice.randint(0, 220)} {dice.randint(-20, 250)}l-7 30" for _ in range(46))
    return (
        _circle(140, 74, 30, "#fff6")
        + f'<path d="{drops}" stroke="#fff8" stroke-width="1.6"/>'
        + f'<path d="M0 262h200v38H0Z" fill="hsl({hue} 60% 12%)"/><path d="M30 262v-34h86l14 34Z" fill="hsl({hue} 55% 20%)"/>'
    )


def _planets(dice: random.Random, hue: int) -> str:
    stars = "".join(_circle(dice.randint(0, 200), dice.randint(0, 300), dice.uniform(0.6, 1.8), "#fffb") for _ in range(34))
    return (
        stars
        + _circle(112, 158, 58, f"hsl({(hue + 30) % 360} 80% 66%)")
        + f'<ellipse cx="112" cy="158" rx="92" ry="17" transform="rotate(-18 112 158)" fill="none" stroke="hsl({hue} 60% 16%)"'
        ' stroke-width="7"/>' + _circle(44, 78, 16, f"hsl({(hue + 190) % 360} 70% 74%)")
    )


def _waves(_: random.Random, hue: int) -> str:
    rows = "".join(
        f'<path d="M-40 {y}q30-{26 - row * 2} 60 0t60 0 60 0 60 0 60 0V300H-40Z" transform="translate({row % 2 * -30})"'
        f' fill="hsl({hue} {64 - row * 4}% {46 - row * 8}%)"/>'
        for row, y in enumerate(range(170, 290, 26))
    )
    return _circle(100, 128, 46, "#ffe9b8") + rows


def _twins(_: random.Random, hue: int) -> str:
    def person(x: int, fill: str) -> str:
        return _circle(x, 134, 24, fill) + f'<path d="M{x - 42} 300v-74a42 42 0 0 1 84 0v74Z" fill="{fill}"/>'

    return (
        _circle(100, 120, 84, "#fff2") + person(74, f"hsl({hue} 60% 14%)") + person(126, f"hsl({(hue + 50) % 360} 70% 84% / .82)")
    )


def _grid(dice: random.Random, hue: int) -> str:
    lights = "".join(
        f'<rect x="{x}" y="{y}" width="15" height="7" rx="2" fill="hsl({dice.choice((hue, hue + 40, hue + 180))} 85% {light}%)"/>'
        for y in range(60, 250, 16)
        for x in range(42, 150, 20)
        if (light := dice.choice((20, 26, 70))) != 20
    )
    return f'<rect x="32" y="48" width="136" height="212" rx="8" fill="hsl({hue} 50% 11%)"/>{lights}'


def _kite(_: random.Random, hue: int) -> str:
    return (
        '<path d="M0 250q60-50 110-24t90-30v104H0Z" fill="#0004"/>'
        f'<path d="M112 60l44 52-44 78-44-78Z" fill="hsl({(hue + 190) % 360} 80% 72%)"/>'
        f'<path d="M112 60v130M68 112h88" stroke="hsl({hue} 60% 20%)" stroke-width="3"/>'
        '<path d="M112 190q-40 30-10 56t-24 54" fill="none" stroke="#fffc" stroke-width="3"/>'
    )


def _skyline(dice: random.Random, hue: int) -> str:
    towers, windows = "", ""
    for x in range(0, 200, 25):
        top = dice.randint(110, 220)
        towers += f'<rect x="{x}" y="{top}" width="24" height="{HEIGHT - top}" fill="hsl({hue} 55% {dice.randint(9, 15)}%)"/>'
        windows += "".join(
            f'<rect x="{x + 5 + column * 9}" y="{y}" width="5" height="7" fill="hsl(48 95% 70%)"/>'
            for y in range(top + 10, 290, 16)
            for column in (0, 1)
            if dice.random() < 0.45
        )
    return _circle(148, 66, 26, "#fff8") + towers + windows


def _peaks(_: random.Random, hue: int) -> str:
    return (
        _circle(60, 92, 28, "#ffe9b8")
        + f'<path d="M-10 300L78 130l52 84 28-40 62 126Z" fill="hsl({hue} 40% 34%)"/>'
        + '<path d="M78 130l28 46-16-6-12 14-10-16-14 10Z" fill="#fffd"/>'
        + f'<path d="M-20 300L40 226l50 48 46-58 84 84Z" fill="hsl({hue} 55% 15%)"/>'
    )


MOTIFS: dict[str, Callable[[random.Random, int], str]] = {
    "gate": _gate,
    "rain": _rain,
    "planets": _planets,
    "waves": _waves,
    "twins": _twins,
    "grid": _grid,
    "kite": _kite,
    "skyline": _skyline,
    "peaks": _peaks,
}
