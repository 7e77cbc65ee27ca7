"""What commands have said of single servers, kept in a file that outlives masters and the machine's uptime."""

from __future__ import annotations

import os
from typing import Any

from gapura.config import overrides
from gapura.config.overrides import Overrides
from gapura.master.kept import Kept

NAME = "overrides.json"


class KeptOverrides:
    """The overrides that hold. `folder` is where their file lies, "" for none (tests)."""

    def __init__(self, folder: str) -> None:
        self._kept = Kept(os.path.join(folder, NAME) if folder else "")
        self.said: Overrides = self._kept.read(_understood, {}, "servers are as the configuration says")

    @property
    def problem(self) -> str:
        """Why the next master will not know what holds now."""
        return self._kept.problem

    def keep(self, said: Overrides) -> None:
        """These hold from now on."""
        if said != self.said or self.problem:
            self.said = said
            self._kept.write({"upstreams": said})


def _understood(document: Any) -> Overrides:
    return overrides.understood(document["upstreams"])
