"""From the keys of the edge, a site and a route to their plan: pages of one's own for errors."""

from __future__ import annotations

import os

from .findings import Findings
from .plan_error_pages import ErrorPagesPlan
from .schema_error_pages import ErrorPagesOptions


class ErrorPages:
    """What was said so far, from the outside inwards: the edge, a site, a route. `folder`: that of the file, for relative paths."""

    def __init__(self, folder: str, pages: dict[str, str] | None = None, intercept: bool = False) -> None:
        self._folder = folder
        self._pages = pages or {}
        self._intercept = intercept

    def with_those(self, options: ErrorPagesOptions, files: str | None = None) -> ErrorPages:
        """What holds where `options` are said inside. `files` is the folder of the action `files`."""
        pages = dict(self._pages)
        for status, text in (options.error_pages or {}).items():
            if status.endswith("xx"):
                pages = {other: file for other, file in pages.items() if other[0] != status[0]}
            pages[status] = page_file(self._folder, text, files)
        intercept = self._intercept if options.intercept_errors is None else options.intercept_errors
        return ErrorPages(self._folder, pages, intercept)

    def plan(self) -> ErrorPagesPlan | None:
        """The plan; None when nothing is asked for."""
        return {"pages": self._pages, "intercept": self._intercept} if self._pages else None


def edge_pages(findings: Findings, edge: ErrorPagesOptions) -> ErrorPagesPlan | None:
    """What holds where no site answers."""
    return ErrorPages(os.path.dirname(findings.sources.file)).with_those(edge).plan()


def page_file(folder: str, text: str, files: str | None) -> str:
    """The file that `text` names: one with a leading slash inside the folder of `files` if it is there, else absolute."""
    if not text.startswith("/"):
        return os.path.normpath(os.path.join(folder, text))
    inside = None if files is None else os.path.normpath(os.path.join(folder, files, text.lstrip("/")))
    if inside is None or (os.path.isfile(text) and not os.path.isfile(inside)):
        return os.path.normpath(text)
    return inside
