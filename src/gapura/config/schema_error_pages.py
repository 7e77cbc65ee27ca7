"""Keys of the edge, a site and its routes: pages of one's own for errors."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator

from .section import Section, Text
from .words import shown, wrong

STATUS: Final = re.compile(r"[45]([0-9][0-9]|xx)", re.ASCII)
"""A status of an error, or all of a kind."""


def _pages(value: object) -> object:
    if not isinstance(value, dict):
        raise wrong("error_pages is a table of files by status", 'write error_pages = { 404 = "errors/404.html" }')
    for key, page in value.items():
        if not STATUS.fullmatch(str(key)):
            raise wrong(f'"{shown(str(key))}" is not the status of an error', 'write a number from 400 to 599, "4xx" or "5xx"')
        if isinstance(page, str) and (not page.strip("/") or page.endswith("/")):
            raise wrong(f"the page for {key} must be a file", f'write {key} = "errors/{key}.html"')
    return value


class ErrorPagesOptions(Section):
    """Pages of one's own for errors."""

    error_pages: Annotated[dict[str, Text] | None, BeforeValidator(_pages)] = None
    """Files that are sent in place of Gapura's error pages, by status or kind of status: { 404 = "errors/404.html", "5xx" =
    "errors/oops.html" }. They are relative to the folder of this file; what begins with a / is looked for in the folder of `files`
    first. $status, $reason and $request_id in them are replaced. What a route says adds to what its site and [edge] say. nginx:
    error_page."""
    intercept_errors: bool | None = None
    """Whether `error_pages` also replace the errors that servers behind answer with. Left out: false. nginx:
    proxy_intercept_errors."""
