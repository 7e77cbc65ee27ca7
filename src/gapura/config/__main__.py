"""The config process: what needs libraries and time, and ends when it is done. It prints one JSON object and exits 0, or 78.

    load FILE      {"plan", "warnings", "texts"} or {"problems"}; `texts` are the files as they were read
    try FILE       the same with the texts of a job (on standard input) in the place of files'
    check FILE     {"problems", "diff"} and the plan if it makes one: also what this machine has against it, as `gapura check`
    server FILE    one server that a command adds: {"server", "warnings"} or {"problems"}

A job: `texts` (file: text), `running` (the texts that are in use, for the diff), `guard` (the plan that is in use, for what may
come from files only), or `plan`, `upstream` and `server`.
"""

from __future__ import annotations

import json
import os
import sys
import tomllib
from collections.abc import Mapping
from typing import Any

from ..errors import EXIT_CONFIG, EXIT_USAGE, ConfigError, Problem
from .build import MAX_SLOTS
from .build_admin import add_implicit
from .certificates import check_certificates
from .check import check, resolve
from .difference import difference
from .file_only import Refused, fresh_files, refused
from .findings import Findings
from .load import Loaded, examine
from .one_server import check_server
from .reach import check_app_folders, edge_user
from .source import Sources
from .trust import untrusted

VERBS = ("load", "try", "check", "server")
Job = Mapping[str, Any]


def main(arguments: list[str]) -> int:
    """Carry out one verb and print what came of it as one JSON object. Returns the exit status."""
    if len(arguments) != 2 or arguments[0] not in VERBS:
        print(f"usage: python -P -m gapura.config {'|'.join(VERBS)} FILE", file=sys.stderr)
        return EXIT_USAGE
    verb, file = arguments
    job: Job = {} if verb == "load" else json.load(sys.stdin)
    if verb == "check":
        print(json.dumps(_checked(file, job)))
        return 0
    try:
        print(json.dumps(_server(job) if verb == "server" else _loaded(file, job)))
    except ConfigError as error:
        print(json.dumps({"problems": [problem.as_dict() for problem in error.problems]}))
        return EXIT_CONFIG
    return 0


def _loaded(file: str, job: Job) -> dict[str, Any]:
    """The plan of a file. Raises ConfigError."""
    if "guard" in job:
        _guard_files(file, job)
    loaded = examine(file, resolve, job.get("texts"))
    if "guard" in job:
        _refuse(loaded.sources, refused(job["guard"], loaded.plan))
    warnings = [*loaded.warnings, *grant(loaded)]
    texts = {source.file: source.text for source in loaded.sources.all}
    return {"plan": loaded.plan, "warnings": [problem.as_dict() for problem in warnings], "texts": texts}


def _checked(file: str, job: Job) -> dict[str, Any]:
    """All problems of a text, and how it differs from what is in use."""
    answer: dict[str, Any] = {}
    texts = job.get("texts")
    try:
        answer |= _loaded(file, job)
        # from the API not more than from the file: what this machine has against it tells what there is on this machine
        found = answer.pop("warnings") if "guard" in job else [one.as_dict() for one in check(answer["plan"], file, texts)]
        answer["problems"] = found
    except ConfigError as error:
        answer["problems"] = [problem.as_dict() for problem in error.problems]
    present = answer.pop("texts", None) or {source.file: source.text for source in Sources(file, texts).all} | (texts or {})
    answer["diff"] = difference(job.get("running") or {}, present)
    return answer


def _server(job: Job) -> dict[str, Any]:
    """The server of a job. Raises ConfigError."""
    server, warnings = check_server(job["plan"], job["upstream"], job["server"], resolve)
    return {"server": server, "warnings": [problem.as_dict() for problem in warnings]}


def _guard_files(file: str, job: Job) -> None:
    """Before anything else is read: no other files than those in use. Raises ConfigError."""
    before: dict[str, Any] = {}
    for text in job["running"].values():
        for name, table in tomllib.loads(text).items():
            before.setdefault(name, {}).update(table) if isinstance(table, dict) else before.setdefault(name, table)
    sources = Sources(file, job.get("texts"))
    _refuse(sources, fresh_files(before, sources.data))


def _refuse(sources: Sources, found: list[Refused]) -> None:
    """Raise ConfigError when there is something that only the file may say."""
    hint = "write it into the file by hand, then `gapura reload`: Gapura runs as root, and this could give away root's rights"
    problems = [sources.problem(path, f"this is not taken from the API: {what}", hint) for path, what in found]
    if problems:
        raise ConfigError(problems)


def grant(loaded: Loaded) -> list[Problem]:
    """Settle in a plan what the rights of this process decide: as whom workers run. Returns warnings.

    Raises ConfigError when root should execute what others may write, or when a user cannot reach what it is to serve.
    """
    findings = Findings(loaded.sources)
    if os.geteuid() == 0:
        findings.problems += untrusted(loaded.sources, loaded.plan)
    loaded.plan["edge"]["user"] = edge_user(findings, loaded.plan)
    check_app_folders(findings, loaded.plan)
    check_certificates(findings, loaded.plan)
    findings.close()
    add_implicit(findings, loaded.plan, MAX_SLOTS)
    return findings.warnings


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
