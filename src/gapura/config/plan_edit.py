"""The part of a route's plan that says what is changed about requests and answers."""

from __future__ import annotations

from typing import TypedDict


class HeadersPlan(TypedDict):
    """Changes of header fields. Values may hold $variables; names of `remove` are lower case."""

    remove: list[str]  # all fields of these names go first,
    add: list[list[str]]  # then [name, value] come: those of `set` are in both


class RewritePlan(TypedDict):
    match: str  # regex, "" = every path
    to: str  # target with $variables
    reroute: bool


class RedirectPlan(TypedDict):
    path: str  # exactly this path, or ""
    match: str  # regex, or ""
    to: str
    status: int


class EditPlan(TypedDict):
    """What is changed about requests and answers."""

    request: HeadersPlan | None
    response: HeadersPlan | None
    redirects: list[RedirectPlan]
    rewrites: list[RewritePlan]
    strip: str  # beginning of the path that the server does not get, or ""
