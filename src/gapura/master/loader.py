"""Asking the config process for a plan: loading costs memory that the master would keep, so another process does it and ends."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

from gapura.config.plan import FORMAT, Plan
from gapura.errors import CommandError, ConfigError, Problem
from gapura.master.loop import READ, Loop, Steps, until
from gapura.procs import launch, tree

ARGV = [sys.executable, "-P", "-m", "gapura.config", "load"]
PATIENCE = 60.0
"""Seconds that loading may take; names that do not resolve are what takes long."""


def load(loop: Loop, file: str, argv: list[str] | None = None) -> Steps[tuple[Plan, list[Problem]]]:
    """The plan of a file, and warnings. Raises `ConfigError` with every problem, `CommandError` when loading itself failed."""
    answer = yield from _run(loop, [*(argv or ARGV), file])
    try:
        document: dict[str, Any] = json.loads(answer)
        problems = [Problem(**item) for item in document.get("problems", [])]
        warnings = [Problem(**item) for item in document.get("warnings", [])]
        plan: Plan | None = document.get("plan")
    except (ValueError, TypeError, AttributeError):
        last = answer.decode(errors="replace").strip().splitlines()[-3:]
        raise CommandError(f"{file} could not be loaded", "\n".join(last)) from None
    if plan is None:
        raise ConfigError(problems or [Problem("the file could not be loaded", file=file)])
    if plan.get("format") != FORMAT:
        raise CommandError("the configuration was loaded by another version of Gapura", "Run `gapura up` again.")
    return plan, warnings


def _run(loop: Loop, argv: list[str]) -> Steps[bytes]:
    """What a process prints."""
    read, write = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(read, False)
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    data = bytearray()
    ended = False
    process: launch.Process | None = None

    def ready() -> None:
        nonlocal ended
        chunk = os.read(read, 1 << 20)
        data.extend(chunk)
        if not chunk:
            ended = True
            loop.forget(read)

    try:
        try:
            process = launch.spawn(argv, "/", dict(os.environ), "", nothing, write, 0, capable=True)
        except launch.LaunchError as error:
            raise CommandError(f"the configuration cannot be loaded: {error.message}", error.hint) from None
        finally:
            os.close(write)
            os.close(nothing)
        loop.watch(read, READ, ready)
        if not (yield from until(lambda: ended, PATIENCE)):
            raise CommandError(f"loading the configuration takes longer than {PATIENCE:.0f} s", "The name server may not answer.")
    finally:
        if not ended:
            loop.forget(read)
            if process is not None:
                tree.kill(process.pid, signal.SIGKILL, process.started)
        os.close(read)
    return bytes(data)
