"""Pages: HTML out of films. Everything that a page needs is inside it.

One page is one request, on purpose: were style or icon fetched beside it, two copies that take turns would show the
same copy at every reload.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from posters import draw

STYLE = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
ARCH = '<path d="M4 28V15a12 12 0 0 1 24 0v13h-6V15a6 6 0 0 0-12 0v13Z" fill="{}"/><path d="M1 10h30v3H1Z" fill="{}"/>'
ICON = "data:image/svg+xml," + quote(
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">{ARCH.format("#7a3cff", "#7a3cff")}</svg>'
)


@dataclass(frozen=True)
class Film:
    """One row of the table."""

    id: int
    title: str
    year: int
    minutes: int
    genre: str
    rating: float
    director: str
    about: str
    hue: int
    motif: str

    def poster(self) -> str:
        return f'<div class="poster">{draw(self.id, self.title, self.hue, self.motif)}</div>'


@dataclass(frozen=True)
class Copy:
    """Which copy of the app answers: what the badge in the corner shows."""

    number: str
    pid: int
    port: int

    def badge(self) -> str:
        hue = (int(self.number) * 137 + 200) % 360 if self.number.isdigit() else 0
        return (
            f'<aside class="copy" style="--hue:{hue}"><b>{escape(self.number)}</b><div>answered by copy {escape(self.number)}'
            f"<span>pid {self.pid} · port {self.port} · reload the page</span></div></aside>"
        )


def catalogue(films: Sequence[Film], genres: Sequence[str], query: str, genre: str, copy: Copy) -> str:
    """The list of films: all, those of one genre, or what a search found."""
    heading = f"{len(films)} found for “{query}”" if query else genre or "Films worth staying up for"
    links = "".join(
        f'<a href="{"/?genre=" + quote(name) if name else "/"}"{" aria-current=page" if name == genre and not query else ""}>'
        f"{escape(name or 'All')}</a>"
        for name in ("", *genres)
    )
    cards = "".join(
        f'<li><a href="/films/{film.id}">{film.poster()}<h2>{escape(film.title)}</h2>'
        f'<p class="facts">{film.year} · {escape(film.genre)} · ★\N{NO-BREAK SPACE}{film.rating:.1f}</p></a></li>'
        for film in films
    )
    return _page(heading, f'<h1>{escape(heading)}</h1><nav>{links}</nav><ul class="films">{cards}</ul>', copy, query)


def film_page(film: Film, copy: Copy) -> str:
    """One film with all that is known about it."""
    return _page(
        film.title,
        f'<div class="film">{film.poster()}<div><h1>{escape(film.title)}</h1>'
        f'<p class="facts">{film.year} · {film.minutes} min · {escape(film.genre)} · ★ {film.rating:.1f} · by '
        f"{escape(film.director)}</p>"
        f'<p>{escape(film.about)}</p><p><a class="back" href="/">← all films</a></p></div></div>',
        copy,
    )


def message(heading: str, text: str, copy: Copy) -> str:
    """A page that says one thing, such as what was not found."""
    body = f'<h1>{escape(heading)}</h1><p>{escape(text)}</p><p><a class="back" href="/">← all films</a></p>'
    return _page(heading, body, copy)


def _page(title: str, body: str, copy: Copy, query: str = "") -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>{escape(title)} · Dumbflix</title><link rel="icon" href="{ICON}"><style>{STYLE}</style></head><body>'
        '<header><a class="brand" href="/"><svg viewBox="0 0 32 32" aria-hidden="true">'
        f'{ARCH.format("currentColor", "currentColor")}</svg>Dumbflix</a><form action="/" role="search">'
        f'<input type="search" name="q" value="{escape(query)}" placeholder="Search films" aria-label="Search films">'
        f"</form></header><main>{body}</main>{copy.badge()}</body></html>"
    )
