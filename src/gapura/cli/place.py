"""Where a configuration lives: its file, and the folders of a Gapura that runs with it."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from gapura.config.place import NAME, SYSTEM, paths_of
from gapura.config.plan import Plan
from gapura.errors import EXIT_CONFIG, CommandError


@dataclass(frozen=True, slots=True)
class Place:
    """`file` is absolute. `run` holds the control socket, `logs` the captured output and the log of `gapura up -d`."""

    file: str
    run: str
    logs: str

    @property
    def running(self) -> bool:
        """Is there a control socket? Whether somebody answers on it is another question."""
        return os.path.exists(os.path.join(self.run, "control.sock"))

    def plan(self) -> Plan:
        """The plan that the file makes. Raises `ConfigError` with every problem found.

        This is where pydantic is imported: only commands that need the file's content pay for it.
        """
        from gapura.config.check import resolve
        from gapura.config.load import load

        return load(self.file, resolve)


def place_of(file: str) -> Place:
    """The place of a configuration file, without reading it."""
    paths = paths_of(file)
    return Place(os.path.abspath(file), paths["run"], paths["logs"])


def find(file: str | None = None) -> Place:
    """The place meant by `-c FILE` (a folder means the gapura.toml in it), or without it ./gapura.toml, then the system's.

    Raises `CommandError` when there is no such file, unless Gapura runs there all the same.
    """
    if file is not None:
        place = place_of(os.path.join(file, NAME) if os.path.isdir(file) else file)
        if os.path.exists(place.file) or place.running:
            return place
        raise CommandError(f"there is no file {short(place.file)}", "", EXIT_CONFIG)
    here = place_of(NAME)
    system = place_of(os.path.join(SYSTEM, NAME))
    for place in (here, system):
        if os.path.exists(place.file):
            return place
    if here.running:
        return here
    raise CommandError(
        f"there is no {NAME} in this folder",
        f"write one, go to the folder that has it, or name it with -c FILE (or in {SYSTEM}); `gapura demo` makes an example",
        EXIT_CONFIG,
    )


def short(path: str) -> str:
    """A path as a person here would write it: relative when it lies in the current folder."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def takes_place(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `-c FILE`, behind the verb as well as before it, and the `Place` found as its first argument."""

    @click.option("-c", "--config", "file", metavar="FILE", help=f"The configuration (default: ./{NAME}).")
    @click.pass_context
    @functools.wraps(command)
    def with_place(context: click.Context, /, file: str | None, **arguments: Any) -> Any:
        chosen = file if file is not None else context.find_root().params.get("config")
        return command(find(chosen), **arguments)

    return with_place


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
