"""Whether the pages are there that errors and maintenance ask for. Asks the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from .findings import Findings
from .plan import Plan
from .plan_error_pages import ErrorPagesPlan
from .positions import Path
from .reach import first_obstacle
from .words import shown


def check_pages(findings: Findings, plan: Plan, user: str) -> None:
    """Warn of pages that workers, running as `user` ("": as whoever starts Gapura), cannot send."""
    inside = os.path.join(plan["folder"], "")
    for path, file in _pages(findings.sources.data, plan):
        name = shown(file.removeprefix(inside))
        if not os.path.isfile(file):
            trouble = f"there is no file {name}"
        elif obstacle := first_obstacle(user, [file]) if user else "":
            trouble = f"workers run as {shown(user)}, and {obstacle}"
        elif not os.access(file, os.R_OK):
            trouble = f"{name} cannot be read"
        else:
            continue
        findings.warn(path, trouble, "as long as that is so, visitors get Gapura's own page")


def _pages(written: Mapping[str, Any], plan: Plan) -> Iterator[tuple[Path, str]]:
    """The files, each with the place where it is named."""
    yield from _named(("edge",), written.get("edge", {}), plan["edge"]["error_pages"])
    for (key, site), made in zip(written.get("sites", {}).items(), plan["sites"], strict=False):
        path: Path = ("sites", key)
        yield from _named(path, site, made["error_pages"])
        look = made["maintenance"]
        if look is not None and look["page"]:
            yield (*path, "maintenance"), look["page"]
        for index, (route, compiled) in enumerate(zip(site.get("routes", []), made["routes"], strict=False)):
            yield from _named((*path, "routes", index), route, compiled["error_pages"])


def _named(path: Path, table: Mapping[str, Any], pages: ErrorPagesPlan | None) -> Iterator[tuple[Path, str]]:
    for status in table.get("error_pages", {}):
        if pages is not None and str(status) in pages["pages"]:
            yield (*path, "error_pages", status), pages["pages"][str(status)]
