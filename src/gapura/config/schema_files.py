"""Keys of a site and its routes: how files are sent, beyond their folder."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, WithJsonSchema

from .section import Also, Section, Text, wrapped
from .words import did_you_mean, shown, wrong

ENCODINGS: Final = {"br": "br", "zst": "zst", "zstd": "zst", "gz": "gz", "gzip": "gz"}
"""What a neighbour is compressed with, and the ending that it has."""
MEDIA_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+( *; *[A-Za-z0-9-]+=[^;]+)*", re.ASCII)
_ENDING: Final = re.compile(r"\.?[A-Za-z0-9_+-]{1,32}(\.[A-Za-z0-9_+-]{1,32})?", re.ASCII)
_AGE: Final = re.compile(r"([0-9]{1,10})(s|m|min|h|d|w|y)?", re.ASCII)
_UNITS: Final = {None: 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
_DIRECTIVES: Final = (
    *("no-cache", "no-store", "no-transform", "private", "public", "must-revalidate", "proxy-revalidate", "must-understand"),
    "immutable",
)
_WITH_AGE: Final = ("max-age", "s-maxage", "stale-while-revalidate", "stale-if-error")
OLDEST: Final = 10 * 365 * 86400
"""Longest age that makes sense here, in seconds."""
_CACHE_HINT: Final = 'write "no-cache", "1h", or "1y immutable"'


def cache_control(text: object) -> str:
    """The value of Cache-Control: words of RFC 9111 §5.2.2 and RFC 8246, a duration means max-age. Raises PydanticCustomError."""
    if not isinstance(text, str):
        raise wrong("a rule of cache is a text", _CACHE_HINT)
    words = text.replace(",", " ").lower().split()
    if not words:
        raise wrong("the rule is empty", _CACHE_HINT)
    parts: list[str] = []
    for word in words:
        name, equals, age = word.partition("=")
        if word in _DIRECTIVES:
            parts.append(word)
        elif equals and name in _WITH_AGE:
            parts.append(f"{name}={_age(age)}")
        elif word[0].isdigit():
            parts.append(f"max-age={_age(word)}")
        else:
            raise wrong(f'there is no cache rule "{shown(word)}"', did_you_mean(name, (*_DIRECTIVES, *_WITH_AGE)))
    return ", ".join(dict.fromkeys(parts))


def _age(text: str) -> int:
    match = _AGE.fullmatch(text)
    if match is None:
        raise wrong(f'"{shown(text)}" is not a duration', 'write seconds, or "10m", "1h", "30d", "1y"')
    age = int(match[1]) * _UNITS[match[2]]
    if age > OLDEST:
        raise wrong("nothing is cached for more than ten years", "a year is as good as for ever")
    return age


def _cache(value: object) -> object:
    if not isinstance(value, dict):
        return value
    for pattern in value:
        if not isinstance(pattern, str) or not pattern.strip("/") or not pattern.isprintable() or len(pattern) > 200:
            raise wrong(f'"{shown(pattern)}" is not the pattern of a file', 'write "*.html" or "assets/*"')
    return {pattern: cache_control(text) for pattern, text in value.items()}


def _tries(value: object) -> object:
    """nginx's words: `$uri`, `$uri/`, `$uri.html`, a file of the folder, at the end perhaps `=404`."""
    if not isinstance(value, list):
        return value
    for number, text in enumerate(value):
        if not isinstance(text, str):
            continue
        if text.startswith("="):
            if number + 1 < len(value) or number == 0:
                raise wrong(f'"{shown(text)}" is not at the end', "a status comes last: it answers when no file is there")
            if text not in ("=404", "=403", "=410"):
                raise wrong(f'"{shown(text)}" is no answer for a missing file', 'write "=404", "=403" or "=410"')
        elif "$" in text.replace("${uri}", "").replace("$uri", ""):
            raise wrong(f'"{shown(text)}" has a variable that is not $uri', "$uri stands for what follows the matched path")
        elif ".." in text.split("/") or not text.strip("/") or not text.isprintable():
            raise wrong(f'"{shown(text)}" is not a file inside the folder', 'write "$uri", "$uri.html" or "/index.html"')
    if not value:
        raise wrong("try_files is empty", 'write ["$uri", "$uri.html", "/index.html"]')
    return value


def _precompressed(value: object) -> object:
    if isinstance(value, bool):
        return ["br", "zst", "gz"] if value else []
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        return value
    endings = []
    for item in value:
        if not isinstance(item, str) or item not in ENCODINGS:
            raise wrong(f'there is no encoding "{shown(item)}"', did_you_mean(str(item), ("br", "zst", "gz")))
        endings.append(ENCODINGS[item])
    return list(dict.fromkeys(endings))


def _types(value: object) -> object:
    if not isinstance(value, dict):
        return value
    for ending, kind in value.items():
        if not isinstance(ending, str) or not _ENDING.fullmatch(ending):
            raise wrong(f'"{shown(ending)}" is not the ending of a file', 'write ".foo"')
        if isinstance(kind, str) and not MEDIA_TYPE.fullmatch(kind):
            raise wrong(f'"{shown(kind)}" is not a media type', 'write "text/html; charset=utf-8"')
    return {ending.lstrip(".").lower(): kind for ending, kind in value.items()}


class FilesOptions(Section):
    """How files are sent, beyond their folder."""

    listing: bool | None = None
    """`files`: whether a folder without an index shows what is in it, as a page, or in JSON if asked. nginx: autoindex."""
    try_files: Annotated[list[Text] | None, BeforeValidator(_tries), wrapped, Also({"type": "string"})] = None
    """`files`: what is looked for, in this order: "$uri" (what follows the matched path), "$uri/" (an index in it), "$uri.html",
    "/file"; at the end "=404", "=403" or "=410" may say the status when nothing is there. nginx: try_files."""
    precompressed: Annotated[
        list[Annotated[str, WithJsonSchema({"enum": list(ENCODINGS)})]] | None,
        BeforeValidator(_precompressed),
        Also({"type": ["boolean", "string"]}),
    ] = None
    """`files`: whether a neighbour that is compressed already (app.js.br, .zst, .gz) is sent to who accepts it; or a list of
    endings, the most wanted first. One that is older than the file does not count. nginx: gzip_static."""
    cache: Annotated[dict[str, str] | None, BeforeValidator(_cache)] = None
    """`files`: Cache-Control by file: patterns of names ("*.html") or of paths ("assets/*"), the first that fits counts; words such
    as "no-cache", a duration for max-age: "1y immutable". nginx: expires."""
    immutable: bool | None = None
    """`files`: whether names that hold a hash of their content (app.3f9a1c2b.js) are cached for a year, unless `cache` says
    something else. Left out: true."""
    types: Annotated[dict[str, Text] | None, BeforeValidator(_types)] = None
    """`files`: Content-Type by the ending of the name, such as { ".gpx" = "application/gpx+xml" }, before the known ones.
    nginx: types."""
