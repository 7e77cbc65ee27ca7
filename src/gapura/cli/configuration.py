"""The configuration as the master would read it: by the config process, so that pydantic's weight stays out of the command."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import NamedTuple

from gapura.config.plan import Plan
from gapura.errors import CommandError, ConfigError, Problem


class Loaded(NamedTuple):
    """A plan and the warnings that came with it."""

    plan: Plan
    warnings: list[Problem]


def load(file: str) -> Loaded:
    """Read and check a configuration file. Raises `ConfigError` with every problem found."""
    command = [sys.executable, "-P", "-m", "gapura.config", "load", file]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise CommandError(f"the configuration could not be read (status {done.returncode})", "".join(last)) from None
    if "plan" not in answer:
        raise ConfigError([Problem(**problem) for problem in answer["problems"]])
    return Loaded(answer["plan"], [Problem(**problem) for problem in answer.get("warnings", [])])
