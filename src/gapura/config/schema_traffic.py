"""Keys of a site and its routes: where copies and shares of the requests go."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from .quantities import PositiveBytes, PositiveSeconds
from .schema_cookie import VisitorCookie
from .section import Also, OneOfMany, Section, Text, short
from .words import wrong

MOST_SHARE: Final = 1_000_000


def _share(value: object) -> object:
    if isinstance(value, str):
        raise wrong("a share is a number", f"write share = {value.rstrip('% ')}" if value.rstrip("% ").isdecimal() else "")
    if isinstance(value, int | float) and not isinstance(value, bool) and not 0 <= value <= MOST_SHARE:
        raise wrong("share must be from 0 to 1,000,000", "shares such as 90 and 10, or 99.5 and 0.5")
    return value


def _percent(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool) and not 0 < value <= 100:
        raise wrong("share is a percentage, above 0 and at most 100", "without mirror there are no copies")
    return value


def _to(value: object) -> object:
    if value == []:
        raise wrong("a split without upstreams", 'write split = [{ proxy = "a", share = 90 }, { proxy = "b", share = 10 }]')
    return {"to": value} if isinstance(value, list) else value


class Share(Section):
    """An upstream and its share of the visitors."""

    proxy: Text
    """An upstream or an app by its name, or an address. nginx: proxy_pass."""
    share: Annotated[float, BeforeValidator(_share)]
    """Its part of the new visitors, in percent or in proportion to the others; 0: only those who have been there before. nginx:
    split_clients."""


class Split(VisitorCookie):
    """Visitors are shared out among upstreams, and stay with theirs by a cookie."""

    to: Annotated[list[Share], Field(min_length=1)]
    """The upstreams and their shares."""


class Mirror(Section):
    """Copies of the requests go to another upstream; what it answers is thrown away."""

    proxy: Text
    """An upstream or an app by its name, or an address. nginx: mirror."""
    share: Annotated[float, BeforeValidator(_percent)] = 100.0
    """Percentage of the requests that are copied."""
    body: PositiveBytes = 1 << 20
    """Requests with a longer body are not copied. nginx: mirror_request_body."""
    at_once: Annotated[int, Field(ge=1, le=10_000)] = 64
    """Most copies under way, for each worker; what comes beyond is not copied."""
    timeout: PositiveSeconds = 10.0
    """A copy that has no answer by then is broken off."""


class TrafficOptions(Section):
    """Where copies and shares of the requests go."""

    split: Annotated[
        Split | None, BeforeValidator(_to), Also({"type": "array", "items": {"type": "object", "required": ["proxy", "share"]}})
    ] = None
    """In place of proxy: a list of upstreams with their shares, or a table with `to` and the words of the cookie. Visitors stay
    where they came first. nginx: split_clients."""
    mirror: Annotated[list[Annotated[Mirror, short("proxy"), Also({"type": "string"})]] | None, OneOfMany()] = None
    """Copies of all requests go there, too, and visitors do not notice: an upstream, a table with `proxy` and more, or a list of
    them; an empty list: none. nginx: mirror."""
