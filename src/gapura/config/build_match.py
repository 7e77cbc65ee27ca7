"""From the keys of a route that say which requests it is for, to their plan."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from . import regexes
from .findings import Findings
from .plan_match import MatchPlan, TestPlan
from .positions import Path
from .schema_match import Match, MatchOptions, item_regex, says_any

_SLASH: Final = re.compile("%2[Ff]")


def match(route: MatchOptions, path: Path, findings: Findings) -> MatchPlan | None:
    """The conditions beside the path; None when there are none, so that they cost nothing."""
    if route.kind == "regex":
        warn_of_nesting(findings, (*path, "path"), route.path)
    elif route.kind == "exact" and route.before_regex:
        findings.error((*path, "before_regex"), "an exact path goes before every regex in any case", "leave it out", at_key=True)
    if route.kind == "regex" and route.before_regex:
        findings.error((*path, "before_regex"), "before_regex belongs to a prefix", "regexes are tried in their order", at_key=True)
    if route.methods is not None and not route.methods:
        findings.error((*path, "methods"), "the route is for no method", 'write methods = ["GET"], or leave it out')
    if route.match is not None and not says_any(route.match):
        findings.warn((*path, "match"), "match has no condition", 'write match = { header = { "X-Beta" = "1" } }', at_key=True)
    found = route.match or Match()
    plan: MatchPlan = {
        "methods": _with_head(route.methods or []),
        "header": _tests(found.header, lower=True),
        "query": _tests(found.query),
        "cookie": _tests(found.cookie),
        "client": found.client or [],
    }
    for group in ("header", "query", "cookie"):
        for name, value in (getattr(found, group) or {}).items():
            for item in value if isinstance(value, list) else []:
                if item.startswith("~"):
                    warn_of_nesting(findings, (*path, "match", group, name), item_regex(item))
    return plan if any(plan.values()) else None


def decoded(path: str) -> str:
    """A path as requests are compared with it: percent-decoded but for slashes (`gapura.wire.target`)."""
    return "%2F".join(unquote(part) for part in _SLASH.split(path))


def warn_of_nesting(findings: Findings, path: Path, text: str) -> None:
    """Say so when a visitor could keep a worker busy with a regex (CWE-1333)."""
    if not findings.is_faulty(path) and regexes.nested(text):
        hint = "a visitor could keep a worker busy with it: repeat the inner part or the outer one, not both"
        findings.warn(path, "in this regex a repeat stands within a repeat", hint)


def _with_head(methods: list[str]) -> list[str]:
    found = list(dict.fromkeys(methods))
    if "GET" in found and "HEAD" not in found:
        found.insert(found.index("GET") + 1, "HEAD")
    return found


def _tests(tests: dict[str, bool | list[str]] | None, lower: bool = False) -> list[TestPlan]:
    return [_one(name.lower() if lower else name, value) for name, value in (tests or {}).items()]


def _one(name: str, value: bool | list[str]) -> TestPlan:
    if isinstance(value, bool):
        return {"name": name, "present": value, "values": [], "patterns": []}
    return {
        "name": name,
        "present": True,
        "values": [item for item in value if not item.startswith("~")],
        "patterns": [regexes.translated(item_regex(item)) for item in value if item.startswith("~")],
    }
