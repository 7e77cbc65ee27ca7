"""Files of passwords and keys: who could read them that should not. Asks the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator

from .findings import Findings
from .plan import Plan, RoutePlan
from .reach import file_routes, routes, stands
from .words import shown


def check_secrets(findings: Findings, plan: Plan) -> None:
    """Tell of files of passwords and secrets that a `files` route would send to anybody."""
    folders = dict.fromkeys(os.path.realpath(route["folder"]) for _, route in file_routes(findings, plan))
    told: set[str] = set()
    for path, route in routes(findings, plan):
        for key, file in secrets_of(route):
            folder = next((folder for folder in folders if _served(os.path.realpath(file), folder)), "")
            if folder and file not in told:
                message = f"{shown(file)} lies in {shown(folder)}, whose files everybody can read"
                hint = "move it out of there, or give it a name that begins with a dot"
                findings.error(stands(findings, path, key), message, hint)
            told.add(file)


def secrets_of(route: RoutePlan) -> Iterator[tuple[str, str]]:
    """The files of passwords and secrets of a route, each with the key that names it. Sets of public keys are none."""
    access = route["access"]
    if access is not None and access["basic_auth"] and access["basic_auth"]["file"]:
        yield "basic_auth", access["basic_auth"]["file"]
    if access is not None and access["jwt"] and access["jwt"]["keys"]:
        yield "jwt", access["jwt"]["keys"]


def _served(file: str, folder: str) -> bool:
    """Whether a file is below a folder and no part of its way is hidden."""
    way = os.path.relpath(file, folder).split(os.sep)
    return not any(part.startswith(".") for part in way)
