"""Keys of a site and its routes: whether answers are compressed."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from .quantities import Bytes
from .section import Also, Among, Section, Text, wrapped
from .words import shown, wrong

ALGORITHMS: Final = ("zstd", "br", "gzip")
TYPES: Final = (
    "text/*",
    "application/*+json",
    "application/*+xml",
    "application/javascript",
    "application/json",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-javascript",
    "application/x-ndjson",
    "application/xml",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/svg+xml",
    "image/vnd.microsoft.icon",
    "image/x-icon",
)
"""What becomes much smaller; pictures, sound, films and archives are compressed already."""
_PATTERN: Final = re.compile(r"\*|[a-z0-9!#$&^_.+*-]+/[a-z0-9!#$&^_.+*-]+", re.ASCII)


def _algorithms(value: object) -> object:
    if isinstance(value, list) and len({*map(str, value)}) < len(value):
        raise wrong("an algorithm is named twice", "keep the first: the one named first is preferred")
    return value


def _type(value: object) -> object:
    if not isinstance(value, str):
        return value
    lower = value.lower()
    if not _PATTERN.fullmatch(lower):
        hint = 'write it without a charset: "text/html"' if ";" in value else 'write "text/html", "text/*" or "*" for all'
        raise wrong(f'"{shown(value)}" is not a media type', hint)
    return lower


def _compress(value: object) -> object:
    if isinstance(value, bool):
        return {} if value else {"algorithms": []}
    if isinstance(value, str | list):
        return {"algorithms": value}
    if not isinstance(value, dict):
        raise wrong("compress is true, false, a list of algorithms or a table", 'write compress = true, or ["br", "gzip"]')
    return value


_SHORT: Final[dict[str, object]] = {
    "anyOf": [{"type": "boolean"}, {"enum": list(ALGORITHMS)}, {"type": "array", "items": {"enum": list(ALGORITHMS)}}]
}


class Compress(Section):
    """How answers are compressed."""

    algorithms: Annotated[
        list[Annotated[str, Among("algorithm", ALGORITHMS)]],
        BeforeValidator(_algorithms),
        wrapped,
        Also({"enum": list(ALGORITHMS)}),
    ] = Field(default_factory=lambda: list(ALGORITHMS))
    """What is offered, the one liked best first; the client's own weights come before that. An empty list is the same as false."""
    types: Annotated[list[Annotated[Text, BeforeValidator(_type)]], wrapped, Also({"type": "string"})] = Field(
        default_factory=lambda: list(TYPES)
    )
    """Media types that are compressed; `*` stands for anything: "text/*", "*". nginx: gzip_types."""
    minimum: Bytes = 512
    """Shorter answers are sent as they are. nginx: gzip_min_length."""
    level: Annotated[int, Field(ge=1, le=9)] = 2
    """From 1 (fast) to 9 (small), the same for all algorithms. nginx: gzip_comp_level."""


class CompressOptions(Section):
    """Whether answers are compressed."""

    compress: Annotated[Compress | None, BeforeValidator(_compress), Also(_SHORT)] = None
    """Compresses answers for clients that accept it: true, false, a list of algorithms (zstd, br, gzip), or a table. Left out:
    false. nginx: gzip."""
