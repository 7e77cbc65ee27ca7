"""Asking the config process for a plan: loading costs memory that the master would keep, so another process does it and ends."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any, NamedTuple

from gapura.config.plan import FORMAT, Plan
from gapura.errors import CommandError, ConfigError, Problem
from gapura.master.loop import READ, Loop, Steps, until
from gapura.procs import launch, tree

ARGV = [sys.executable, "-P", "-m", "gapura.config"]
Document = dict[str, Any]
PATIENCE = 60.0
"""Seconds that loading may take; names that do not resolve are what takes long."""


class Loaded(NamedTuple):
    """What the config process made of a file: the plan, warnings, and the files as they were read."""

    plan: Plan
    warnings: list[Problem]
    texts: dict[str, str]


def load(loop: Loop, file: str, argv: list[str] | None = None, job: Document | None = None) -> Steps[Loaded]:
    """The plan of a file, or of the texts of a job. Raises `ConfigError` with every problem, `CommandError` when loading itself
    failed.
    """
    document = yield from ask(loop, "load" if job is None else "try", file, argv, job)
    plan: Plan | None = document.get("plan")
    try:
        warnings = [Problem(**item) for item in document.get("warnings", [])]
    except TypeError:
        raise _unintelligible(file) from None
    if plan is None:
        raise ConfigError([Problem("the file could not be loaded", file=file)])
    if plan.get("format") != FORMAT:
        raise CommandError("the configuration was loaded by another version of Gapura", "Run `gapura up` again.")
    return Loaded(plan, warnings, document.get("texts") or {})


def ask(loop: Loop, verb: str, file: str, argv: list[str] | None = None, job: Document | None = None) -> Steps[Document]:
    """What the config process answers (`config/__main__.py`). Raises `ConfigError` when the answer is nothing but problems."""
    raw = yield from _run(loop, [*(argv or ARGV), verb, file], json.dumps(job or {}).encode())
    try:
        document: Document = json.loads(raw)
        problems = [Problem(**item) for item in document.get("problems", [])]
    except (ValueError, TypeError, AttributeError):
        raise _unintelligible(file, raw) from None
    if problems and verb != "check":
        raise ConfigError(problems)
    return document


def _unintelligible(file: str, answer: bytes = b"") -> CommandError:
    last = answer.decode(errors="replace").strip().splitlines()[-3:]
    return CommandError(f"{file} could not be loaded", "\n".join(last))


def _run(loop: Loop, argv: list[str], given: bytes) -> Steps[bytes]:
    """What a process prints that gets `given` on its standard input."""
    read, write = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(read, False)
    stdin = os.memfd_create("job", os.MFD_CLOEXEC)
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
            with open(stdin, "wb", closefd=False) as stream:
                stream.write(given)
            os.lseek(stdin, 0, os.SEEK_SET)
            process = launch.spawn(argv, "/", dict(os.environ), "", stdin, write, 0, capable=True)
        except launch.LaunchError as error:
            raise CommandError(f"the configuration cannot be loaded: {error.message}", error.hint) from None
        finally:
            os.close(write)
            os.close(stdin)
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
