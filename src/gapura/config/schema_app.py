"""`[apps.NAME]`: a program under care; it is an upstream whose servers are its instances."""

from __future__ import annotations

import re
import signal
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

from .addresses import is_numeric
from .plan import MAX_INSTANCES
from .quantities import Bytes, PositiveBytes, PositiveSeconds, Seconds
from .schema_upstream import Balancing, HealthPath
from .section import Also, Text, Texts
from .words import did_you_mean, shown, wrong

SIGNALS: Final = tuple(sorted(item.name for item in signal.Signals if item.name.startswith("SIG") and "RT" not in item.name))
VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def _instances(value: object) -> object:
    if value == "max":
        return 0
    if isinstance(value, str):
        raise wrong(f'"{shown(value)}" is not a number of instances', 'write a number or "max" (one for each CPU)')
    if isinstance(value, int) and not isinstance(value, bool) and not 1 <= value <= MAX_INSTANCES:
        raise wrong(f"instances must be from 1 to {MAX_INSTANCES}", '"max" means one for each CPU; stop an app with `gapura stop`')
    return value


def _stop_signal(value: object) -> object:
    if not isinstance(value, str):
        return value
    name = value.upper() if value.upper().startswith("SIG") else f"SIG{value.upper()}"
    if name not in SIGNALS:
        raise wrong(f'there is no signal "{shown(value)}"', did_you_mean(name, SIGNALS, label="one of"))
    return name


def _command(value: object) -> object:
    if isinstance(value, str):
        if not value.strip():
            raise wrong("command is empty", 'write what starts the app, such as "npm start"')
        if "\0" in value:
            raise wrong("command has a NUL character")
    return value


def _host(value: object) -> object:
    if isinstance(value, str) and not is_numeric(value):
        raise wrong(f'"{shown(value)}" is not a numeric address', 'write "127.0.0.1", where the app listens')
    return value


def _variable(name: object) -> object:
    if isinstance(name, str) and not VARIABLE.fullmatch(name):
        raise wrong(f'"{shown(name)}" is not a name of an environment variable', "letters, digits and _ only")
    return name


def _variable_value(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise wrong("must be a text or a number", 'write NAME = "value"')
    if "\0" in str(value):
        raise wrong("has a NUL character")
    return str(value)


Variable = Annotated[str, BeforeValidator(_variable)]
VariableValue = Annotated[str, BeforeValidator(_variable_value), WithJsonSchema({"type": ["string", "number", "boolean"]})]


class App(Balancing):
    """A program that Gapura starts, watches and restarts."""

    command: Annotated[str, BeforeValidator(_command)]
    """What starts one instance, as typed in a shell; $PORT in it becomes the port of the instance. pm2: script and args."""
    directory: Text = "."
    """Folder in which it is started, relative to the folder of this file. pm2: cwd."""
    instances: Annotated[
        int,
        BeforeValidator(_instances),
        WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_INSTANCES}),
        Also({"const": "max"}),
    ] = 1
    """How many run at the same time; "max" means one for each CPU. pm2: instances."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Port of the first instance; the next ones get the ports after it. Left out: free ports are chosen and given as $PORT. pm2:
    increment_var."""
    host: Annotated[str, BeforeValidator(_host)] = "127.0.0.1"
    """Address on which the instances listen."""
    env: dict[Variable, VariableValue] = Field(default_factory=dict)
    """Environment variables. pm2: env."""
    env_file: Texts = Field(default_factory=list)
    """Files with lines NAME=value, relative to the folder of this file; a later file wins over an earlier one, `env` over all."""
    user: Text = ""
    """System user that it runs as; only where Gapura was started by root. pm2: uid."""
    stop_signal: Annotated[str, BeforeValidator(_stop_signal)] = "SIGTERM"
    """Signal that asks it to end. pm2: PM2_KILL_SIGNAL."""
    stop_timeout: Seconds = 5.0
    """How long it may take to end after the signal; then it is killed with all its child processes. pm2: kill_timeout."""
    drain_timeout: Seconds = 10.0
    """How long the requests that it is answering may take before the signal is sent; new ones go to the other instances."""
    start_timeout: PositiveSeconds = 60.0
    """How long it may take until it answers; then it is ended and started again. pm2: listen_timeout."""
    autorestart: bool = True
    """Whether it is started again when it ends by itself. pm2: autorestart."""
    max_restarts: Annotated[int, Field(ge=0, le=1_000_000)] = 16
    """After so many failures in a row it is left alone as `crashed`; 0: never. pm2: max_restarts."""
    max_memory: Bytes = 0
    """It is restarted when it and its child processes use more memory than this; 0: no limit. pm2: max_memory_restart."""
    ready_path: HealthPath | None = None
    """Path that is asked for until it answers; only then it gets requests. Left out: the path of `health`. pm2: wait_ready."""
    log_size: PositiveBytes = 10 << 20
    """What it prints is written to a file; at this size a new one is begun. pm2: the module pm2-logrotate."""
    log_files: Annotated[int, Field(ge=0, le=1000)] = 5
    """How many of the old files are kept."""
