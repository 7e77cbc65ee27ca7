"""The folders that a running Gapura keeps its things in."""

from __future__ import annotations

import os
import pwd

from gapura.config.plan import Plan
from gapura.log import open_log


def make(plan: Plan) -> str:
    """Make the state folders; returns the one for the instances' pipes. Raises OSError."""
    paths = plan["paths"]
    pipes = os.path.join(paths["run"], "pipes")
    for folder in (paths["run"], paths["logs"], paths["lib"]):
        os.makedirs(folder, exist_ok=True)
    os.makedirs(pipes, mode=0o700, exist_ok=True)
    return pipes


def give_logs(plan: Plan) -> None:
    """As root: make the edge's log files belong to the user that writes them. Raises OSError, KeyError for an unknown user."""
    user = plan["edge"]["user"]
    if not user or os.geteuid() != 0:
        return
    account = pwd.getpwnam(user)
    for path in (plan["edge"]["access_log"]["path"], plan["edge"]["error_log"]):
        if path not in ("", "-"):
            fd = open_log(path)
            os.fchown(fd, account.pw_uid, account.pw_gid)
            os.close(fd)
