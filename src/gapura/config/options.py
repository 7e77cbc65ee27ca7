"""Keys that a route has, or inherits from its site: the route's own value wins, key by key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .findings import Findings
from .positions import Path
from .schema_site import Action


class Options:
    """The keys of a route, with those of its site behind them. `folder`: the one of the file, for relative paths.

    `upstream(where, text)` finds or makes the upstream that a text names as `proxy` would; its mistakes are reported at `where`.
    """

    __slots__ = ("route", "site", "path", "site_path", "findings", "folder", "upstream")

    def __init__(
        self,
        route: Action,
        path: Path,
        site: Action,
        site_path: Path,
        findings: Findings,
        folder: str,
        upstream: Callable[[Path, str], str],
    ) -> None:
        self.route = route
        self.path = path
        self.site = site
        self.site_path = site_path
        self.findings = findings
        self.folder = folder
        self.upstream = upstream

    def get(self, key: str) -> Any:
        """The value of a key: the route's, else the site's, else None."""
        value = getattr(self.route, key)
        return getattr(self.site, key) if value is None else value

    def where(self, key: str, *below: str | int) -> Path:
        """Where the value of a key stands in the file, for findings."""
        base = self.path if getattr(self.route, key) is not None else self.site_path
        return (*base, key, *below)
