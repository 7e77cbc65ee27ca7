"""The explanations: where their texts are, and how they look in a terminal and in a browser.

They are pages of `docs/`, shipped in the wheel with their drawings, in the same folders.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Final

from gapura.learn.words import LANGUAGES

TOPICS: Final = ("web-server", "load-balancing", "homework")
_IMAGE: Final = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
_MARK: Final = re.compile(r"<!--.*?-->\n?", re.DOTALL)
_LINK: Final = re.compile(r'<a href="(?!https?://|#)([^"]*)">(.*?)</a>', re.DOTALL)

STYLE: Final = """\
:root { color-scheme: light dark; --ink: #1d2530; --paper: #fff; --faint: #5a6675; --box: #f3f6fa; --accent: #1f5fbf }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8edf3; --paper: #12171e; --faint: #a3afbd; --box: #1d2530; --accent: #7fb2ff }
}
body { margin: 0 auto; max-width: 50rem; padding: 1rem 1.2rem 4rem; font: 1.05rem/1.6 system-ui, sans-serif;
  color: var(--ink); background: var(--paper) }
h1, h2, h3 { line-height: 1.25; margin-top: 2em } h1 { margin-top: .5em }
a { color: var(--accent) } nav { color: var(--faint) }
img { max-width: 100%; height: auto; display: block; margin: 1.5rem auto }
pre { background: var(--box); padding: .8rem 1rem; overflow-x: auto; border-radius: 8px; line-height: 1.4 }
code { font-family: ui-monospace, monospace; font-size: .9em } :not(pre) > code { background: var(--box); padding: .1em .3em }
.wide { overflow-x: auto } table { border-collapse: collapse } td, th { padding: .35rem .7rem; text-align: left;
  border-bottom: 1px solid var(--box); vertical-align: top }
"""


def folder() -> Path:
    """Where the pages are: in the installed package, else in a checkout. Raises FileNotFoundError."""
    here = Path(__file__).resolve().parent
    for found in (here / "pages", here.parent.parent.parent / "docs"):
        if (found / f"{TOPICS[0]}.md").is_file():
            return found
    raise FileNotFoundError(here / "pages")


def path_of(topic: str, language: str) -> Path:
    """The page about a topic. Raises KeyError for a topic or language that does not exist."""
    if topic not in TOPICS or language not in LANGUAGES:
        raise KeyError(topic)
    return folder() / ("" if language == "en" else language) / f"{topic}.md"


def text(topic: str, language: str) -> str:
    """The page in Markdown, without marks for the tests of documents."""
    return _MARK.sub("", path_of(topic, language).read_text(encoding="utf-8"))


def title(topic: str, language: str) -> str:
    """What the page is called."""
    return text(topic, language).partition("\n")[0].removeprefix("# ")


def for_terminal(topic: str, language: str) -> str:
    """The page in Markdown with drawings told in words."""
    return _IMAGE.sub(lambda match: f"> [{match[1]}]", text(topic, language))


def drawing(name: str) -> bytes:
    """One of the pages' drawings (SVG). Raises KeyError when there is none of this name."""
    path = folder() / "drawings" / name
    if "/" in name or not name.endswith(".svg") or not path.is_file():
        raise KeyError(name)
    return path.read_bytes()


def html(topic: str, language: str, image: Callable[[str], str] | None = None) -> str:
    """The page as HTML that needs nothing from elsewhere. `image` gives the address of a drawing; without it they are inside."""
    from markdown_it import MarkdownIt  # half of rich, which is always there

    image = image or _inside
    body = MarkdownIt("commonmark").enable("table").render(text(topic, language))
    body = re.sub(r'src="(?:\.\./)?drawings/([^"]+)"', lambda match: f'src="{escape(image(match[1]))}"', body)
    body = body.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
    links = " · ".join(f'<a href="{one}.html">{escape(title(one, language))}</a>' for one in TOPICS if one != topic)
    return (
        f'<!DOCTYPE html>\n<html lang="{language}">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title(topic, language))} · Gapura</title>\n<style>\n{STYLE}</style></head>\n"
        f"<body>\n<nav>{links}</nav>\n<main>\n{_LINK.sub(_link, body)}</main>\n</body>\n</html>\n"
    )


def _link(match: re.Match[str]) -> str:
    """A link to another of these pages; one to a document that is not here is left as its words."""
    name, _, part = match[1].partition("#")
    topic = name.rpartition("/")[2].removesuffix(".md")
    if topic not in TOPICS:
        return match[2]
    return f'<a href="{topic}.html{"#" + part if part else ""}">{match[2]}</a>'


def _inside(name: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(drawing(name)).decode()
