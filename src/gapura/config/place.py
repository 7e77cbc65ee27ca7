"""Which folders belong to a configuration file."""

from __future__ import annotations

import os
from typing import Final

from .plan import PathsPlan

SYSTEM: Final = "/etc/gapura"
"""The folder of the system's configuration; files in conf.d below it are read too."""
NAME: Final = "gapura.toml"


def is_system(file: str) -> bool:
    """Whether `file` lies in the system's folder."""
    return os.path.dirname(os.path.abspath(file)) == SYSTEM


def paths_of(file: str) -> PathsPlan:
    """`.gapura` beside the file, or the system's folders for a file in /etc/gapura."""
    if is_system(file):
        return {"run": "/run/gapura", "logs": "/var/log/gapura", "lib": "/var/lib/gapura"}
    state = os.path.join(os.path.dirname(os.path.abspath(file)), ".gapura")
    return {"run": state, "logs": os.path.join(state, "logs"), "lib": os.path.join(state, "lib")}


def conf_d(file: str) -> tuple[list[str], list[str]]:
    """The files of conf.d that are read with `file`, and the leftovers there that are not; both sorted."""
    if not (is_system(file) and os.path.basename(file) == NAME):
        return [], []
    folder = os.path.join(SYSTEM, "conf.d")
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return [], []
    read = [name for name in names if name.endswith(".toml") and not name.startswith((".", "#"))]
    left = [name for name in names if name not in read]
    return [os.path.join(folder, name) for name in read], [os.path.join(folder, name) for name in left]
