"""Packaging: the dashboard is built first, where Node is there, and goes into the wheel and the sdist."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface[Any]):
    """Called by hatchling, which finds it by its name."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the dashboard. A package without one works, and serves a plain page in its place."""
        root = Path(self.root)
        tool = root / "tools" / "dashboard"
        if tool.is_file():
            done = subprocess.run([tool, "--if-able"], cwd=root, capture_output=True, text=True, check=False)
            if done.returncode:
                self.app.display_warning(done.stderr.strip())
        if not (root / "src" / "gapura" / "control" / "dashboard" / "index.html").is_file():
            self.app.display_warning("the dashboard is not in this package: Node 20.19 or newer with npm builds it")
