"""The part of a route's plan that says which requests it is for, beside the path."""

from __future__ import annotations

from typing import TypedDict


class TestPlan(TypedDict):
    """What a header, argument or cookie must be. Without values and patterns it is about being there."""

    name: str  # headers: lower case
    present: bool  # False: it must not be there
    values: list[str]  # one of these,
    patterns: list[str]  # or one in which one of these regexes is found


class MatchPlan(TypedDict):
    """Conditions, all of which must hold."""

    methods: list[str]  # empty: all
    header: list[TestPlan]
    query: list[TestPlan]
    cookie: list[TestPlan]
    client: list[str]  # networks; empty: all
