"""Whose word a Gapura that runs as root takes for what it executes (CWE-732, CWE-250)."""

from __future__ import annotations

import os
import pwd
import stat

from ..errors import Problem
from .build_upstreams import absolute
from .plan import Plan
from .source import Sources


def untrusted(sources: Sources, plan: Plan) -> list[Problem]:
    """What keeps root from executing the commands of these files: somebody else may write them.

    A file with an app, with a command that sets DNS records or with `on_event`, must belong to root and be writable by nobody else;
    so must the env_file of an app that runs as root, because a variable such as LD_PRELOAD is as good as a command. Whose a
    configuration is was asked of the very descriptor that it was read from, so that it cannot be exchanged in between.
    """
    acme = plan["edge"]["acme"]
    events = plan["events"]
    if not plan["apps"] and not (acme and acme["exec"]) and not (events and events["on_event"]):
        return []
    problems = [_told(source.file, source.facts) for source in sources.all]
    for name, app in plan["apps"].items():
        if app["user"] in ("", "root"):
            for file in _env_files(sources, name):
                whole = absolute(plan["folder"], file)
                problems.append(_told(whole, os.stat(whole)))
    return [problem for problem in problems if problem is not None]


def _env_files(sources: Sources, app: str) -> list[str]:
    written = sources.data["apps"][app].get("env_file", [])
    return [written] if isinstance(written, str) else list(written)


def _told(file: str, facts: os.stat_result) -> Problem | None:
    name = os.path.basename(file)
    if facts.st_uid != 0:
        owner = _name(facts.st_uid)
        return Problem(
            f"this file belongs to {owner}, and Gapura runs as root: {owner} could run anything as root through it",
            file,
            hint=f"start Gapura as {owner}, without sudo (`gapura startup` makes a service that may use port 80 all the same); "
            f"or, if only root shall change it: chown root {name} && chmod go-w {name}",
        )
    if facts.st_mode & stat.S_IWOTH or (facts.st_mode & stat.S_IWGRP and facts.st_gid != 0):
        return Problem(
            "others may write this file, and Gapura runs as root: they could run anything as root through it",
            file,
            hint=f"chmod go-w {name}",
        )
    return None


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
