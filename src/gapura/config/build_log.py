"""From the keys about logs to their plans: what a site leaves out is as in [edge.access_log], key by key."""

from __future__ import annotations

import os
from typing import Any, Final

from .build_upstreams import absolute
from .findings import Findings
from .options import Options
from .plan import PathsPlan
from .plan_log import AccessLogPlan, LogFilePlan, RotatePlan, SamplePlan
from .positions import Path
from .schema_log import AccessLog, ErrorLog, Rotate, Sample
from .syslog import parse_syslog
from .words import shown

_NO_FILE: Final = ("", "-")


class LogPlans:
    """Collects the logs of a plan: those of the edge first, then those of sites and routes, and the files that they are in."""

    def __init__(self, findings: Findings, paths: PathsPlan, folder: str, edge: AccessLog, errors: ErrorLog) -> None:
        self.findings = findings
        self.paths = paths
        self.folder = folder
        self.edge = edge
        self.files: list[LogFilePlan] = []
        self._said: dict[str, tuple[Rotate, Path]] = {}
        self.access: AccessLogPlan = self._plan([edge], ("edge", "access_log"))
        self.error: str = self._path(errors.path, "error.log")
        self._file(self.error, errors.rotate, ("edge", "error_log"))

    def of(self, options: Options) -> AccessLogPlan | None:
        """The log of a route; None: that of the edge."""
        tables = [table for table in (options.route.access_log, options.site.access_log) if table is not None]
        if not tables:
            return None
        return self._plan([*tables, self.edge], options.where("access_log"))

    def of_site(self, table: AccessLog | None, path: Path) -> AccessLogPlan | None:
        """The log of what a site answers without a route; None: that of the edge."""
        return None if table is None else self._plan([table, self.edge], path)

    def _plan(self, tables: list[AccessLog], path: Path) -> AccessLogPlan:
        """The plan of a log from its own table and those that it inherits from."""

        def get(key: str) -> Any:
            return next((value for table in tables if (value := getattr(table, key)) is not None), None)

        written = self._path(get("path"), "access.log")
        only, sample, mask = get("only"), get("sample"), get("mask")
        plan: AccessLogPlan = {
            "path": written,
            "format": get("format") or "combined",
            "escape": get("escape") or "text",
            "mask": None if mask in (True, None) else mask or [],
            "anonymize": bool(get("anonymize")),
            "only": [_range(word) for word in only or []],
            "sample": _sample(sample) if sample else None,
            "syslog": parse_syslog(written) if written.startswith("syslog:") else None,
        }
        if plan["syslog"] is None:
            self._file(written, tables[0].rotate, path)
            if tables[0] is not self.edge and tables[0].rotate is None:
                self._settle(written, next((table.rotate for table in tables if table.rotate is not None), None))
        return plan

    def add(self, path: str, rotate: Rotate | None, where: Path) -> None:
        """Note a file that is no log of requests, "" for none."""
        self._file(path, rotate, where)

    def _path(self, written: str | None, name: str) -> str:
        if written is None:
            return os.path.join(self.paths["logs"], name)
        return written if written in _NO_FILE or written.startswith("syslog:") else absolute(self.folder, written)

    def _file(self, path: str, rotate: Rotate | None, where: Path) -> None:
        """Note a file. Two tables that name the same one must not want different things of it."""
        if path in _NO_FILE:
            return
        known = next((file for file in self.files if file["path"] == path), None)
        if rotate is not None:
            before = self._said.setdefault(path, (rotate, where))[0]
            if before != rotate:
                self.findings.error(
                    (*where, "rotate"), f"{shown(os.path.basename(path))} is rotated otherwise elsewhere", "a file has one rotate"
                )
        if known is None:
            self.files.append({"path": path, "rotate": _rotate(rotate or Rotate())})
        elif rotate is not None:
            known["rotate"] = _rotate(rotate)

    def _settle(self, path: str, rotate: Rotate | None) -> None:
        """What a site's file inherits, unless a table says it."""
        if rotate is not None and path not in self._said:
            for file in self.files:
                if file["path"] == path:
                    file["rotate"] = _rotate(rotate)


def _rotate(rotate: Rotate) -> RotatePlan | None:
    if not rotate.size and not rotate.every:
        return None
    return {"size": rotate.size, "every": rotate.every, "keep": rotate.keep, "compress": rotate.compress}


def _sample(sample: Sample) -> SamplePlan | None:
    if sample.rate >= 1.0:
        return None
    return {"rate": sample.rate, "errors": sample.errors, "slow": sample.slow or 0.0}


def _range(word: str) -> list[int]:
    low, _, high = word.partition("-")
    if word.endswith("xx"):
        return [100 * int(word[0]), 100 * int(word[0]) + 99]
    return [int(low), int(high or low)]
