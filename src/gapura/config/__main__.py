"""`python -P -m gapura.config load FILE`: prints {"plan": …, "warnings": […]}, or {"problems": […]} and exits 78."""

from __future__ import annotations

import json
import os
import sys

from ..errors import EXIT_CONFIG, EXIT_USAGE, ConfigError, Problem
from .certificates import check_certificates
from .check import resolve
from .findings import Findings
from .load import Loaded, examine
from .reach import check_app_folders, edge_user
from .trust import untrusted


def main(arguments: list[str]) -> int:
    """Load one file and print what came of it as one JSON object. Returns the exit status."""
    if len(arguments) != 2 or arguments[0] != "load":
        print("usage: python -P -m gapura.config load FILE", file=sys.stderr)
        return EXIT_USAGE
    try:
        loaded = examine(arguments[1], resolve)
        warnings = [*loaded.warnings, *grant(loaded)]
    except ConfigError as error:
        print(json.dumps({"problems": [problem.as_dict() for problem in error.problems]}))
        return EXIT_CONFIG
    print(json.dumps({"plan": loaded.plan, "warnings": [problem.as_dict() for problem in warnings]}))
    return 0


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
    return findings.warnings


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
