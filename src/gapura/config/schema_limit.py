"""Keys of a site and its routes: how often and how many at a time somebody may ask."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

from .section import Also, OneOfMany, Section, Text, check_variables, short
from .words import shown, wrong

MOST_BURST: Final = 1_000_000
_RATE: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(?:r|req)? ?/ ?(s|m|min|h|d)", re.ASCII)
_RATE_HINT: Final = 'write "10/s", "600/m", "1000/h" or "5000/d"'
_PERIODS: Final = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def rate_of(text: str) -> tuple[float, float]:
    """(requests, seconds) of "600/m". Raises ValueError."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return float(match[1]), _PERIODS[match[2]]


def _rate(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise wrong("a rate needs the time that it is for", f'write "{shown(str(value))}/s"')
    if not isinstance(value, str):
        raise wrong("a rate is a text", _RATE_HINT)
    try:
        count, period = rate_of(value)
    except ValueError:
        raise wrong(f'"{shown(value)}" is not a rate', _RATE_HINT) from None
    if not count:
        raise wrong("a rate of 0 would refuse everybody", 'to close a site, write respond = { status = 403, body = "closed" }')
    if count / period > 1e6:
        raise wrong("a rate is at most 1,000,000/s", "leave the limit out")
    return value


def key(value: object) -> object:
    """What tells clients apart: a text with at least one variable. Raises PydanticCustomError."""
    if isinstance(value, str):
        check_variables(value)
        if "$" not in value:
            hint = 'write key = "$remote_addr"; for one limit, "$site"'
            raise wrong("key has no variable: all clients would share one limit", hint)
    return value


def _most(value: object) -> object:
    if not isinstance(value, int | dict) or isinstance(value, bool):
        raise wrong("limit_connections is a number of requests", "write limit_connections = 10, or a table with most = 10 and key")
    return {"most": value} if isinstance(value, int) else value


def _count(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and not 1 <= value <= MOST_BURST:
        hint = "an empty list, limit_connections = [], takes away the limit of the site" if value <= 0 else ""
        raise wrong("must be from 1 to 1,000,000", hint)
    return value


def _delay(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and not 0 <= value <= MOST_BURST:
        raise wrong("delay must be from 0 to 1,000,000", "so many requests of the burst are let through at once")
    return value


Key = Annotated[Text, BeforeValidator(key)]
Status = Annotated[int, Field(ge=400, le=599)]
Count = Annotated[int, BeforeValidator(_count), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MOST_BURST})]


class RateLimit(Section):
    """How often one client may ask, counted over all workers. nginx: limit_req_zone, limit_req."""

    rate: Annotated[str, BeforeValidator(_rate), WithJsonSchema({"type": "string", "pattern": _RATE.pattern})]
    """Requests for a second, minute, hour or day: "10/s", "600/m". nginx: rate."""
    burst: Annotated[int, Field(ge=0, le=MOST_BURST)] | None = None
    """So many may come early. Left out: the rate's number less one: with "10/s" ten may come at once. nginx: burst."""
    key: Key = "$remote_addr"
    """What tells clients apart: an address (of IPv6 the /64 network), a header ("$http_x_api_key"), a cookie ("$cookie_session"),
    or several. Requests for which it is empty are not counted. nginx: key."""
    delay: Annotated[bool | int, BeforeValidator(_delay)] = False
    """true: what comes early waits until its time has come; a number: so many may come early without waiting. nginx: delay,
    nodelay."""
    status: Status = 429
    """Status of the refusal. nginx: limit_req_status."""


class ConnectionLimit(Section):
    """How many requests one client may have under way at the same time, counted over all workers. nginx: limit_conn."""

    most: Count
    """So many; one more is refused. nginx: limit_conn."""
    key: Key = "$remote_addr"
    """What tells clients apart, as in `limit`. nginx: limit_conn_zone."""
    status: Status = 429
    """Status of the refusal. nginx: limit_conn_status."""


class LimitOptions(Section):
    """How often and how many at a time somebody may ask."""

    limit: Annotated[list[Annotated[RateLimit, short("rate"), Also({"type": "string"})]] | None, OneOfMany()] = None
    """How often one client may ask: a rate such as "10/s", a table with a rate and more, or a list of them; an empty list: no
    limit. Too many get 429 with Retry-After. nginx: limit_req."""
    limit_connections: Annotated[
        list[Annotated[ConnectionLimit, BeforeValidator(_most), Also({"type": "integer"})]] | None,
        OneOfMany(),
    ] = None
    """How many requests one client may have under way at the same time: a number, a table with `most` and more, or a list of them;
    an empty list: no limit. nginx: limit_conn."""
