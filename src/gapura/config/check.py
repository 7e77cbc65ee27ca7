"""What a syntax check misses: the things that only this machine knows. Asks the system, changes nothing."""

from __future__ import annotations

import errno
import ipaddress
import json
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..errors import ConfigError, Problem
from ..listening import port_owner
from .certificates import check_certificates
from .check_dashboard import check_dashboards
from .check_events import check_events
from .check_pages import check_pages
from .check_tracing import check_tracing
from .findings import Findings
from .load import examine
from .place import NAME
from .plan import AppPlan, ListenPlan, Plan, RoutePlan, join_address, listens
from .positions import Path
from .reach import check_app_folders, edge_user, file_routes, known_user
from .secrets import check_secrets
from .source import Sources
from .trust import untrusted
from .words import shown

RESOLVE_TIMEOUT: Final = 2.0
"""Seconds for all names together: an unreachable DNS server must not hold up a start."""

_WORD: Final = re.compile(r"[A-Za-z0-9_./+-]+", re.ASCII)
_BUILTIN: Final = frozenset(
    (
        ".",
        ":",
        "[",
        "cd",
        "command",
        "eval",
        "exit",
        "export",
        "for",
        "if",
        "set",
        "source",
        "test",
        "trap",
        "ulimit",
        "umask",
        "until",
        "while",
    )
)

Owner = tuple[int, str]
"""Process id and command line of who listens on a port."""


def resolve(names: Sequence[str]) -> Mapping[str, list[str]]:
    """Numeric addresses of DNS names from the system's resolver, sorted; names without an answer in time are left out."""
    found: dict[str, list[str]] = {}

    def ask(name: str) -> None:
        try:
            answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        found[name] = sorted({str(answer[4][0]).partition("%")[0] for answer in answers})

    threads = [threading.Thread(target=ask, args=(name,), daemon=True) for name in names]
    deadline = time.monotonic() + RESOLVE_TIMEOUT
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(found)


def check(plan: Plan, file: str, texts: Mapping[str, str] | None = None) -> list[Problem]:
    """Problems and warnings about a plan on this machine, each with its place in `file`; the file's own warnings first.

    `texts` stand for the content of files.
    """
    try:
        warnings = examine(file, lambda names: _resolved(plan), texts).warnings
    except ConfigError as error:
        return error.problems
    findings = Findings(Sources(file, texts))
    if not findings.sources.data:
        findings.warn((), "the file is empty", 'write [sites."HOST"] with proxy or files; `gapura demo` makes an example')
    _check_listeners(findings, plan)
    if os.geteuid() == 0:
        findings.problems += untrusted(findings.sources, plan)
    check_pages(findings, plan, edge_user(findings, plan))
    check_app_folders(findings, plan)
    check_certificates(findings, plan)
    check_secrets(findings, plan)
    check_events(findings, plan)
    check_tracing(findings, plan)
    check_dashboards(findings, plan)
    for name, app in plan["apps"].items():
        _check_app(findings, name, app)
    for path, route in file_routes(findings, plan):
        _check_folder(findings, path, route)
    _check_acme(findings, plan)
    paths = plan["paths"]
    for folder in dict.fromkeys((paths["run"], paths["logs"], paths["lib"])):
        _check_writable(findings, folder)
    return [*findings.problems, *warnings, *findings.warnings]


def _resolved(plan: Plan) -> dict[str, list[str]]:
    """What the names of a plan resolved to when it was loaded."""
    found: dict[str, list[str]] = {}
    for upstream in plan["upstreams"].values():
        for server in upstream["servers"]:
            if server["name"]:
                found.setdefault(server["name"].rpartition(":")[0], []).append(server["host"])
    return found


def _check_acme(findings: Findings, plan: Plan) -> None:
    """The files that `[edge.acme]` names must be there when the first certificate is ordered."""
    acme, path = plan["edge"]["acme"], ("edge", "acme")
    if acme is None:
        return
    places: list[tuple[Path, str]] = [((*path, "ca"), acme["ca"])]
    if acme["update"] is not None:
        places.append(((*path, "dns", "rfc2136", "key_file"), acme["update"]["key_file"]))
    for index, directory in enumerate(acme["directories"]):
        places.append(((*path, "directories", index, "external_account", "key_file"), directory["key_file"]))
    for place, file in places:
        if file and not os.path.isfile(file):
            findings.error(place, f"there is no file {file}", "it is seen from the folder of this file")
        elif file and not os.access(file, os.R_OK):
            findings.error(place, f"{file} cannot be read", "change its rights, or run as its owner")


def _check_listeners(findings: Findings, plan: Plan) -> None:
    ours = _own_listeners(plan["paths"]["run"])
    told: set[int] = set()
    for listener in listens(plan["edge"]):
        host, port = listener["host"], listener["port"]
        if port in told:
            continue
        code = bind_error(host, port)
        who = port_owner(port) if code == errno.EADDRINUSE else None
        if code == 0 or (code == errno.EADDRINUSE and (host, port) in ours and _is_gapura(who)):
            continue
        if host == "::" and code in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            continue  # a machine without IPv6: IPv4 alone will do
        told.add(port)
        _tell_listener(findings, listener, code, who)


def _tell_listener(findings: Findings, listener: ListenPlan, code: int, who: Owner | None) -> None:
    address, port = join_address(listener["host"], listener["port"]), listener["port"]
    key = "https" if listener["tls"] else "http"
    other = 8443 if listener["tls"] else 8080
    path: Path = ("edge", key)
    if code == errno.EADDRINUSE:
        by = f"pid {who[0]} ({who[1]})" if who else "a process of another user"
        hint = f"stop it (kill {who[0]}), or choose another port in [edge]: {key} = {other}" if who else "choose another port"
        findings.error(path, f"port {port} is in use by {by}", hint)
    elif code == errno.EACCES:
        hint = (
            f"write {key} = {other}; or a service may use it (sudo gapura startup --install); "
            f"or allow it to everybody until the next boot: sudo sysctl net.ipv4.ip_unprivileged_port_start={port}"
        )
        findings.error(path, f"port {port} needs a right that you do not have", hint)
    elif code == errno.EADDRNOTAVAIL:
        findings.error(path, f"{listener['host']} is no address of this machine", "`ip address` shows them; a bare port means all")
    else:
        findings.error(path, f"cannot listen on {address}: {os.strerror(code)}")


def bind_error(host: str, port: int) -> int:
    """The errno with which listening on an address would fail now, or 0. Nothing stays bound."""
    family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((host, port))
    except OSError as error:
        return error.errno or 1
    return 0


def _own_listeners(run: str) -> set[tuple[str, int]]:
    """The addresses that a Gapura of this configuration has bound, by its state file."""
    try:
        with open(os.path.join(run, "state.json"), encoding="utf-8") as stream:
            state: Any = json.load(stream)
        return {(listener["host"], listener["port"]) for listener in state["listeners"]}
    except (OSError, ValueError, LookupError, TypeError):
        return set()


def _is_gapura(who: Owner | None) -> bool:
    return who is None or "gapura" in who[1]


def _check_app(findings: Findings, name: str, app: AppPlan) -> None:
    path: Path = ("apps", name)
    known_user(findings, (*path, "user"), app["user"])
    if not os.path.isdir(app["directory"]):
        findings.error((*path, "directory"), f"there is no folder {app['directory']}", "it is seen from the folder of this file")
        return
    program = _program(app["command"])
    if not program:
        return
    search = app["env"].get("PATH", os.environ.get("PATH", os.defpath))
    here = os.path.join(app["directory"], program) if "/" in program else program
    if shutil.which(here, path=search) is None:
        if "/" in program and os.path.isfile(here):
            findings.error((*path, "command"), f"{program} may not be executed", f"chmod +x {shown(here)}")
        else:
            where = f"in {app['directory']}" if "/" in program else "on PATH"
            findings.error((*path, "command"), f"there is no program {program} {where}", "install it, or write its whole path")
    else:
        _check_package(findings, (*path, "command"), app)


def _program(command: str) -> str:
    """The program that a shell would start first, or "" when only a shell can tell."""
    for word in command.split():
        if word == "exec" or re.match(r"[A-Za-z_][A-Za-z0-9_]*=", word):
            continue
        return word if _WORD.fullmatch(word) and word not in _BUILTIN else ""
    return ""


def _check_package(findings: Findings, path: Path, app: AppPlan) -> None:
    """`npm start` and `npm run X` need a package.json with that script."""
    match = re.fullmatch(r"(?:npm|yarn|pnpm) (?:run )?([a-z][a-z0-9:_-]*)(?: .*)?", app["command"].strip())
    if not match or match[1] in ("exec", "install", "ci", "x", "dlx", "node"):
        return
    file = os.path.join(app["directory"], "package.json")
    try:
        with open(file, encoding="utf-8") as stream:
            package: Any = json.load(stream)
    except FileNotFoundError:
        findings.warn(path, f"there is no package.json in {app['directory']}", "directory is the folder of the app")
        return
    except (OSError, ValueError):
        return
    scripts = package.get("scripts", {}) if isinstance(package, dict) else {}
    if isinstance(scripts, dict) and match[1] not in scripts and not os.path.isfile(os.path.join(app["directory"], "server.js")):
        known = ", ".join(sorted(map(shown, scripts))) or "none"
        findings.warn(path, f'package.json has no script "{match[1]}"', f"it has: {known}")


def _check_folder(findings: Findings, path: Path, route: RoutePlan) -> None:
    folder = route["folder"]
    if not os.path.isdir(folder):
        hint = "is it built yet? (npm run build); the folder is seen from the folder of this file"
        findings.error((*path, "files"), f"there is no folder {folder}", hint)
        return
    if os.path.isfile(os.path.join(folder, NAME)):
        message = f"everybody can read {NAME}: it lies in the folder that is sent"
        findings.warn((*path, "files"), message, 'send a folder of its own, such as files = "public"')
    if route["fallback"] and not os.path.isfile(os.path.join(folder, route["fallback"])):
        findings.warn(
            (*path, "fallback"),
            f"there is no file {route['fallback']} in {folder}",
            "paths without a file get 404 until it is there",
        )
    how = route["files"]
    last = how["tries"][-1] if how and how["tries"] else ""
    if last and "$uri" not in last and not os.path.isfile(os.path.join(folder, last.strip("/"))):
        message = f"there is no file {last.strip('/')} in {folder}, where try_files ends"
        findings.warn((*path, "try_files"), message, "paths without a file get 404 until it is there")
    if how and (how["listing"] or how["tries"]):
        return
    if not any(os.path.isfile(os.path.join(folder, name)) for name in route["index"]):
        names = " or ".join(route["index"]) or "index"
        findings.warn(
            (*path, "files"), f"there is no {names} in {folder}", f"a request for {route['path']} gets 404 until it is there"
        )


def _check_writable(findings: Findings, folder: str) -> None:
    there = folder
    while not os.path.exists(there) and there != os.path.dirname(there):
        there = os.path.dirname(there)
    if not os.path.isdir(there) or not os.access(there, os.W_OK | os.X_OK):
        findings.error(
            (),
            f"cannot write to {there}, where the state is kept ({folder})",
            "run as the owner of that folder, or change its rights",
        )
