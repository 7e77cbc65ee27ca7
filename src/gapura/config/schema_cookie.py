"""A cookie by which a visitor is known again: for sticky sessions and for splits."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator

from .quantities import PositiveSeconds
from .section import Among, Section, Text
from .words import shown, wrong

SAME_SITE: Final = ("lax", "strict", "none")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}", re.ASCII)


def _name(value: object) -> object:
    if isinstance(value, str):
        if not _TOKEN.fullmatch(value):
            hint = "1 to 64 letters, digits, - _ and . (RFC 6265 §4.1.1)"
            raise wrong(f'"{shown(value)}" cannot be the name of a cookie', hint)
        if value.lower().startswith(("__host-", "__secure-")):
            raise wrong(f'"{shown(value)}" would be refused over HTTP', "choose a name without this prefix")
    return value


class VisitorCookie(Section):
    """A cookie by which a visitor is known again. It is HttpOnly and for the whole site."""

    cookie: Annotated[Text, BeforeValidator(_name)] | None = None
    """Its name. Left out: one that is different for each upstream and split."""
    max_age: PositiveSeconds | None = None
    """How long the browser keeps it. Left out: until it is closed; for a split, 30 days. nginx: expires."""
    secure: bool | None = None
    """Whether it is sent over HTTPS only. Left out: when the visitor came over HTTPS. nginx: secure."""
    same_site: Annotated[str, Among("value of same_site", SAME_SITE)] = "lax"
    """From which other sites it is sent: lax, strict or none. nginx: samesite."""
