"""As whom workers run when root starts Gapura, and what that user, and those of the apps, can reach. Asks the machine."""

from __future__ import annotations

import grp
import importlib.util
import os
import pwd
import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Final

from .findings import Findings
from .plan import Plan, RoutePlan
from .positions import Path
from .words import shown

UNPRIVILEGED: Final = "nobody"
"""Workers and control of a root master run as this user unless `[edge] user` names one."""

_PATIENCE: Final = 10.0
"""Seconds that a look at the file system may take; a network file system may hang."""
_TEST: Final = """for path; do
    if [ -d "$path" ]; then [ -x "$path" ]; else [ -r "$path" ]; fi || printf '%s\\0' "$path"
done"""


def edge_user(findings: Findings, plan: Plan) -> str:
    """As whom workers and control are to run; "": as whoever starts Gapura. What speaks against it is added to the findings.

    Only root can run them as another user. Without `[edge] user` root takes nobody, and stays root, with a warning, where
    nobody could not even reach the program or the state folder: a virtualenv below /root, for instance. nginx: user.
    """
    written = plan["edge"]["user"]
    if not known_user(findings, ("edge", "user"), written) or os.geteuid() != 0:
        return ""
    user = written or UNPRIVILEGED
    if _is_root(user):
        return ""
    obstacle = first_obstacle(user, _necessary(plan))
    if obstacle and written:
        hint = f'move it to where {shown(user)} gets to (such as /opt, /srv), or have workers run as root: user = "root"'
        findings.error(("edge", "user"), f"workers cannot run as {shown(user)}: {obstacle}", hint)
        return ""
    if obstacle:
        hint = f'move it to where {user} gets to (such as /opt, /srv); user = "root" in [edge] says that it is meant so'
        findings.warn(("edge",), f"workers run as root, because as {user} they cannot: {obstacle}", hint)
        return ""
    for path, route in file_routes(findings, plan):
        if os.path.isdir(route["folder"]) and (obstacle := first_obstacle(user, [route["folder"]])):
            hint = 'chmod o+x the folders on the way to it, move it (such as to /srv), or write [edge] user = "root"'
            findings.error((*path, "files"), f"workers run as {shown(user)}, and {obstacle}", hint)
    _check_secrets(findings, plan, user)
    return user


def _check_secrets(findings: Findings, plan: Plan, user: str) -> None:
    """Tell of files of passwords and keys that workers, as another user, may not read."""
    told: set[str] = set()
    for path, route in routes(findings, plan):
        access = route["access"]
        if access is None:
            continue
        basic, jwt = access["basic_auth"], access["jwt"]
        named = {"basic_auth": basic["file"] if basic else "", "jwt": jwt["keys"] or jwt["jwks"] if jwt else ""}
        for key, file in named.items():
            if file not in told and os.path.isfile(file) and (obstacle := first_obstacle(user, [file])):
                hint = f"let its group read it: chgrp {shown(_group(user))} {shown(file)} && chmod 640 {shown(file)}"
                findings.error(stands(findings, path, key), f"workers run as {shown(user)}, and {obstacle}", hint)
            told.add(file)


def _group(user: str) -> str:
    try:
        return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
    except KeyError:
        return user


def known_user(findings: Findings, path: Path, user: str) -> bool:
    """Whether there is such a user, "" included; it is told when there is none, or when only root could become that user."""
    if not user:
        return True
    try:
        uid = pwd.getpwnam(user).pw_uid
    except KeyError:
        findings.error(path, f'there is no user "{shown(user)}" on this machine', f"make it: sudo useradd --system {shown(user)}")
        return False
    if os.geteuid() not in (0, uid):
        findings.warn(path, "only root can run something as another user", "leave user out, or start Gapura as root")
    return True


def check_app_folders(findings: Findings, plan: Plan) -> None:
    """Tell of apps whose user cannot enter their folder. Only root can ask."""
    for name, app in plan["apps"].items():
        user, folder = app["user"], app["directory"]
        if os.geteuid() != 0 or not user or not os.path.isdir(folder) or _is_root(user):
            continue
        if obstacle := first_obstacle(user, [folder]):
            hint = f"chown -R {shown(user)} {shown(folder)}, or move it to where {shown(user)} gets to (such as /srv)"
            findings.error(("apps", name, "directory"), f"the app runs as {shown(user)}, and {obstacle}", hint)


def file_routes(findings: Findings, plan: Plan) -> Iterator[tuple[Path, RoutePlan]]:
    """The routes with the action `files`, each with its place in the configuration."""
    return ((path, route) for path, route in routes(findings, plan) if route["action"] == "files")


def routes(findings: Findings, plan: Plan) -> Iterator[tuple[Path, RoutePlan]]:
    """All routes, each with its place in the configuration."""
    written: dict[str, Any] = findings.sources.data.get("sites", {})
    for (key, site), made in zip(written.items(), plan["sites"], strict=False):
        count = len(site.get("routes", []))
        for index, route in enumerate(made["routes"]):
            yield ("sites", key, "routes", index) if index < count else ("sites", key), route


def stands(findings: Findings, path: Path, key: str) -> Path:
    """The place of a key of a route: with the route, or with the site that it is inherited from."""
    here: Any = findings.sources.data
    for part in path:
        here = here[part]
    return (*path, key) if key in here else (*path[:2], key)


def first_obstacle(user: str, paths: Iterable[str]) -> str:
    """What keeps a user from reaching one of these files and folders, in words; "" when nothing does.

    A shell that has become that user answers, so that access lists and network file systems have their say.
    """
    steps = list(dict.fromkeys(step for path in paths for step in _way(path)))
    try:
        account = pwd.getpwnam(user)
        answer = subprocess.run(
            ["/bin/sh", "-c", _TEST, "sh", *steps],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=[],
            timeout=_PATIENCE,
            check=False,
        )
    except KeyError:
        return f"there is no user {shown(user)}"
    except (OSError, ValueError) as error:
        return f"it is not possible to become {shown(user)} here ({getattr(error, 'strerror', None) or error})"
    except subprocess.TimeoutExpired:
        return "the file system does not answer"
    if not answer.stdout:
        return ""
    path = os.fsdecode(answer.stdout.partition(b"\0")[0])
    verb = "enter the folder" if os.path.isdir(path) else "read"
    return f"{shown(user)} may not {verb} {shown(path)}"


def _necessary(plan: Plan) -> list[str]:
    """What a worker must reach: the program, and the way to the control socket and to its logs."""
    program = [sys.executable, __file__, *_origin("uvloop")]
    ours = {plan["paths"]["run"], plan["paths"]["logs"]}
    folders = [plan["paths"]["run"], *(os.path.dirname(file["path"]) for file in plan["edge"]["log_files"])]
    return [*program, *(_before(folder, ours) for folder in folders)]


def _origin(module: str) -> list[str]:
    spec = importlib.util.find_spec(module)
    return [spec.origin] if spec is not None and spec.origin else []


def _before(folder: str, ours: set[str]) -> str:
    """What is there of the way to a folder, without those of ours, which the master opens to the edge's user."""
    while folder in ours or not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def _way(path: str) -> list[str]:
    """All folders on the way to a path from the root, and the path itself, as links lead to it and as written."""
    ways = []
    for whole in dict.fromkeys((os.path.realpath(path), os.path.abspath(path))):
        parts = whole.strip("/").split("/")
        ways += ["/" + "/".join(parts[:end]) for end in range(len(parts) + 1)]
    return ways


def _is_root(user: str) -> bool:
    try:
        return pwd.getpwnam(user).pw_uid == 0
    except KeyError:
        return False
