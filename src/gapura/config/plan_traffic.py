"""The part of a route's plan that says: where copies and shares of the requests go."""

from __future__ import annotations

from typing import TypedDict


class CookiePlan(TypedDict):
    """A cookie by which a visitor is known again."""

    name: str
    max_age: int | None  # seconds; None = until the browser is closed
    secure: bool | None  # None = when the visitor came over HTTPS
    same_site: str  # "Lax", "Strict", "None"


class StickyPlan(TypedDict):
    """Of an upstream: visitors stay with a server."""

    cookie: CookiePlan
    secret: str  # what the servers' names in cookies are hashed with; "" = something that only this machine knows


class ChoicePlan(TypedDict):
    upstream: str
    share: int  # thousandths of what was written
    value: str  # what the cookie says


class SplitPlan(TypedDict):
    choices: list[ChoicePlan]
    cookie: CookiePlan


class MirrorPlan(TypedDict):
    upstream: str
    share: float  # of 1
    body: int  # bytes of a request body that are copied; a longer one is not mirrored
    at_once: int  # copies under way, for each worker
    timeout: float


class TrafficPlan(TypedDict):
    """Where copies and shares of the requests go."""

    split: SplitPlan | None
    mirrors: list[MirrorPlan]
