"""The apps of a plan."""

from __future__ import annotations

import os

from ..errors import ConfigError
from .build_upstreams import absolute, check_name
from .env_file import read_env_file
from .findings import Findings
from .plan import AppPlan, ListenPlan
from .positions import Path
from .schema_app import App


def build_app(findings: Findings, name: str, app: App, folder: str) -> AppPlan:
    """One app, with `env_file` read in and "max" counted out."""
    path: Path = ("apps", name)
    check_name(findings, path, name)
    instances = app.instances or cpu_count()
    if app.port is not None and app.port + instances - 1 > 65535:
        findings.error((*path, "port"), f"{instances} instances from port {app.port} on end above 65535", "begin lower")
    if "PORT" in app.env and app.port is None:
        findings.warn(
            (*path, "env"), "PORT is given by Gapura, this one is not used", f"write port = {app.env['PORT']}", at_key=True
        )
    return {
        "name": name,
        "command": app.command,
        "directory": absolute(folder, app.directory),
        "instances": instances,
        "port": app.port or 0,
        "host": app.host,
        "env": _environment(findings, path, app, folder),
        "user": app.user,
        "stop_signal": app.stop_signal,
        "stop_timeout": app.stop_timeout,
        "drain_timeout": app.drain_timeout,
        "start_timeout": app.start_timeout,
        "autorestart": app.autorestart,
        "max_restarts": app.max_restarts,
        "max_memory": app.max_memory,
        "ready_path": app.ready_path or (app.health.path if app.health and app.health.enabled else "/"),
        "log_size": app.log_size,
        "log_files": app.log_files,
    }


def cpu_count() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


def _environment(findings: Findings, path: Path, app: App, folder: str) -> dict[str, str]:
    result: dict[str, str] = {}
    for index, file in enumerate(app.env_file):
        whole = absolute(folder, file)
        if not os.path.isfile(whole):
            findings.error((*path, "env_file", index), f"there is no file {whole}", "paths are seen from the folder of this file")
            continue
        try:
            result |= read_env_file(whole)
        except ConfigError as error:
            findings.problems += error.problems
    return result | app.env


def check_ports(findings: Findings, apps: dict[str, AppPlan], listeners: list[ListenPlan]) -> None:
    """Fixed ports of instances meet neither each other nor a listener."""
    taken = {listener["port"]: "[edge] http" for listener in listeners}
    for name, app in apps.items():
        if not app["port"]:
            continue
        ports = range(app["port"], app["port"] + app["instances"])
        clash = next((port for port in ports if port in taken), None)
        if clash is not None:
            hint = "choose another first port, or leave port out: then one is chosen"
            findings.error(("apps", name, "port"), f"port {clash} is taken by {taken[clash]}", hint)
        for port in ports:
            taken.setdefault(port, f"[apps.{name}]")
