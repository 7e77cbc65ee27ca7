"""`python -P -m gapura.config load FILE`: prints {"plan": …, "warnings": […]}, or {"problems": […]} and exits 78."""

from __future__ import annotations

import json
import sys

from ..errors import EXIT_CONFIG, EXIT_USAGE, ConfigError
from .check import resolve
from .load import examine


def main(arguments: list[str]) -> int:
    """Load one file and print what came of it as one JSON object. Returns the exit status."""
    if len(arguments) != 2 or arguments[0] != "load":
        print("usage: python -P -m gapura.config load FILE", file=sys.stderr)
        return EXIT_USAGE
    try:
        plan, warnings = examine(arguments[1], resolve)
    except ConfigError as error:
        print(json.dumps({"problems": [problem.as_dict() for problem in error.problems]}))
        return EXIT_CONFIG
    print(json.dumps({"plan": plan, "warnings": [problem.as_dict() for problem in warnings]}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
