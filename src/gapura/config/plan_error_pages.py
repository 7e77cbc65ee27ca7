"""The part of a plan that says: pages of one's own for errors."""

from __future__ import annotations

from typing import TypedDict


class ErrorPagesPlan(TypedDict):
    """Pages of one's own for errors; of a route, of what a site answers without one, and of the edge without a site."""

    pages: dict[str, str]  # "404" or "4xx" → absolute path of a file; of two that fit the one with the number counts
    intercept: bool  # answers of servers behind that have such a status are replaced as well
