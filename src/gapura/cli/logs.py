"""`gapura logs`: what the apps print, and what Gapura itself logs."""

from __future__ import annotations

import heapq
import ipaddress
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from gapura.access_lines import KNOWN, Entry, Filters, parse, statuses_of
from gapura.cli.access_lines import coloured
from gapura.cli.apps import parse_target
from gapura.cli.log_reader import LogReader
from gapura.cli.place import Place, short, takes_place
from gapura.config.plan import Plan
from gapura.config.plan_log import AccessLogPlan
from gapura.errors import EXIT_USAGE, CommandError
from gapura.log import escape
from gapura.procs import logfile

LINES: Final = 15
HINT: Final = "`gapura up` starts them; `gapura logs --access` shows what visitors asked for"
_PAUSE: Final = 0.1
_MARGIN: Final = 5.0
"""Seconds by which lines of several workers may be out of order."""
_SPAN: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|min|h|d|)", re.ASCII)
_UNITS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_COLOURS: Final = re.compile(r"(\x1b\[[0-9;:]{0,40}m)")


def _statuses(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> list[tuple[int, int]]:
    ranges = []
    for value in values:
        try:
            ranges += statuses_of(value)
        except ValueError as error:
            raise click.BadParameter(f'"{escape(str(error))}" is no status: 404, 5xx or 400-499') from None
    return ranges


def _span(context: click.Context, option: click.Parameter, value: str | None) -> float:
    match = _SPAN.fullmatch(value or "0")
    if match is None:
        raise click.BadParameter(f'"{escape(value or "")}" is not a duration: 500ms, 10s, 5m, 1h or 2d')
    return float(match[1]) * _UNITS[match[2]]


def _networks(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> list[Any]:
    try:
        return [ipaddress.ip_network(value, strict=False) for value in values]
    except ValueError:
        raise click.BadParameter("a client is an address or a network: 10.0.0.7 or 10.0.0.0/8") from None


@click.command()
@click.argument("target", metavar="[APP[:N] | SITE]", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is added, until Ctrl-C.")
@click.option(
    "-n", "--lines", type=click.IntRange(0), metavar="N", help=f"Begin with the last N lines of each.  [default: {LINES}]"
)
@click.option("--access", is_flag=True, help="The access logs instead, or that of SITE.")
@click.option("--errors", is_flag=True, help="The error log of the workers instead.")
@click.option("--status", "statuses", multiple=True, metavar="S", callback=_statuses, help="Access: 404, 5xx, 400-499.")
@click.option("--slow", metavar="TIME", callback=_span, help="Access: requests that took so long (500ms, 2s).")
@click.option("--path", metavar="GLOB", default="", help="Access: paths such as '/api/*'.")
@click.option("--client", "clients", multiple=True, metavar="NET", callback=_networks, help="Access: an address or network.")
@click.option("--method", metavar="M", default="", help="Access: GET, POST, ….")
@click.option("--since", metavar="TIME", callback=_span, help="Access: all lines of the last 10m, 1h, 2d.")
@click.option("--json", "as_json", is_flag=True, help="Access: one JSON object a line, whatever the format.")
@takes_place
def logs(
    place: Place,
    target: str | None,
    follow: bool,
    lines: int | None,
    access: bool,
    errors: bool,
    statuses: list[tuple[int, int]],
    slow: float,
    path: str,
    clients: list[Any],
    method: str,
    since: float,
    as_json: bool,
) -> None:
    """Show what the apps print: all of them, one app, or one instance (dumbflix:0).

    With --access it is what Gapura writes about requests, of all sites or one; with --errors, what went wrong with them.
    """
    filters = Filters(statuses, slow, path, clients, method, time.time() - since if since else 0.0)
    if (filters or as_json) and not access:
        raise CommandError("these options are for access logs", "write --access as well", EXIT_USAGE)
    if errors and (access or target):
        raise CommandError("one kind of log at a time", "APP[:N], --access [SITE], or --errors", EXIT_USAGE)
    count = lines if lines is not None else None if since else LINES
    if access:
        chosen = _access_logs(place.plan(), target)
        show(list(chosen.paths), count, follow, Printer(filters, as_json, chosen))
    elif errors:
        show([_file(place.plan()["edge"]["error_log"])], count, follow, Printer(filters, False, None))
    else:
        printed(captured(place, target), LINES if lines is None else lines, follow)


def printed(paths: dict[str, Path], lines: int, follow: bool) -> None:
    """Show the output of instances."""
    for file in paths.values():
        open(file, "rb").close()  # or one that may not be read would seem to be empty
    names = {str(path): f"{name} " if len(paths) > 1 else "" for name, path in paths.items()}
    for entry in logfile.follow(list(names), lines, follow, lambda: False):
        stamp = entry.stamp.partition("T")[2] or entry.stamp
        click.echo(click.style(f"{names[entry.path]}{stamp} ", dim=True) + harmless(entry.text))


def harmless(text: str) -> str:
    """What an app prints, with its colours, but nothing else that could command a terminal."""
    if text.isprintable():
        return text
    parts = [part if _COLOURS.fullmatch(part) else escape(part.replace("\t", "    ")) for part in _COLOURS.split(text)]
    return "".join(parts) + ("\x1b[0m" if len(parts) > 1 else "")


class Chosen:
    """The access logs that are meant: the formats in each file, and the site whose lines are wanted when others share it."""

    def __init__(self) -> None:
        self.paths: dict[str, set[str]] = {}
        self.site = ""

    def add(self, plan: AccessLogPlan) -> None:
        """One more log."""
        if plan["path"] not in ("", "-") and plan["syslog"] is None:
            self.paths.setdefault(plan["path"], set()).add(plan["format"])


def _access_logs(plan: Plan, target: str | None) -> Chosen:
    """The logs of all sites, or of one. Raises `CommandError`."""
    chosen = Chosen()
    if target is None:
        chosen.add(plan["edge"]["access_log"])
    for site in plan["sites"]:
        if target in (None, *site["hosts"]):
            for item in [site, *site["routes"]]:
                said = item["access_log"]
                if said is not None:
                    chosen.add(said)
    if not chosen.paths and target is not None:
        _of_site(plan, target, chosen)
    if not chosen.paths:
        raise CommandError("this log is not written to a file", "the configuration says so")
    if not any(os.path.exists(path) for path in chosen.paths):
        _file(next(iter(chosen.paths)))
    return chosen


def _of_site(plan: Plan, target: str, chosen: Chosen) -> None:
    """A site without a log of its own: its lines are in the edge's, which tells the site only in JSON."""
    from gapura.cli.main import did_you_mean

    site = next((site for site in plan["sites"] if target in site["hosts"]), None)
    if site is None:
        known = [host for item in plan["sites"] for host in item["hosts"]]
        raise CommandError(f"there is no site {escape(target)}", did_you_mean(target, known) or f"sites are: {', '.join(known)}")
    edge = plan["edge"]["access_log"]
    if edge["format"] != "json":
        hint = f'write access_log = "{target}.log" into [sites."{target}"], or format = "json" into [edge.access_log]'
        raise CommandError(f"{escape(target)} has no access log of its own", hint)
    chosen.add(edge)
    chosen.site = site["hosts"][0]


def _file(path: str) -> str:
    """A log that can be read. Raises `CommandError`, PermissionError."""
    if path in ("", "-"):
        raise CommandError("this log is not written to a file", "the configuration says so")
    try:
        open(path, "rb").close()
    except FileNotFoundError:
        raise CommandError(f"there is no {short(path)} yet", "it is written when the first request comes") from None
    return path


class Printer:
    """Decides about each line and prints it. Raises `CommandError` for filters on a format that cannot be taken apart."""

    def __init__(self, filters: Filters, as_json: bool, chosen: Chosen | None) -> None:
        if chosen is not None and chosen.site:
            filters.of_site(chosen.site)
        self.filters = filters
        self.as_json = as_json
        self.names: dict[str, str] = {}
        if chosen is not None:
            own = [path for path, formats in chosen.paths.items() if not formats.issubset(KNOWN)]
            if own and (filters or as_json):
                raise CommandError(
                    f"{short(own[0])} has a format of its own", "filters and --json understand combined, common and json"
                )
            if len(chosen.paths) > 1:
                self.names = {path: click.style(f"{Path(path).name} ", dim=True) for path in chosen.paths}

    def want(self, text: str) -> bool:
        """Whether a line is shown."""
        if not self.filters and not self.as_json:
            return True
        entry = parse(text)
        return entry is not None and self.filters.want(entry)

    def too_old(self, text: str) -> bool:
        """Whether this line, and so all before it, are older than what is asked for."""
        if not self.filters.since:
            return False
        entry = parse(text)
        return entry is not None and entry.when < self.filters.since - _MARGIN

    def show(self, path: str, text: str, entry: Entry | None) -> None:
        """Print a line."""
        if self.as_json and entry is not None:
            click.echo(json.dumps(entry.fields))
        else:
            click.echo(self.names.get(path, "") + coloured(text, entry, self.filters.slow))


def show(paths: list[str], count: int | None, follow: bool, printer: Printer) -> None:
    """The last lines of some logs in order of time, then with `follow` what is added."""
    readers = [LogReader(path) for path in paths]
    try:
        groups = [reader.last(count, printer.want, printer.too_old, printer.filters.since) for reader in readers]
        _print(readers, groups, printer)
        while follow:
            groups = [[text for text in reader.added() if printer.want(text)] for reader in readers]
            if any(groups):
                _print(readers, groups, printer)
            else:
                time.sleep(_PAUSE)
    finally:
        for reader in readers:
            reader.close()


def _print(readers: list[LogReader], groups: list[list[str]], printer: Printer) -> None:
    """Print lines of several logs in order of time; each log stays in its own."""

    def stamped(reader: LogReader, lines: list[str]) -> Iterator[tuple[float, str, str, Entry | None]]:
        moment = 0.0
        for text in lines:
            entry = parse(text)
            moment = entry.when if entry is not None else moment
            yield moment, reader.path, text, entry

    several = [stamped(reader, lines) for reader, lines in zip(readers, groups, strict=True)]
    for _, path, text, entry in heapq.merge(*several, key=lambda item: item[0]):
        printer.show(path, text, entry)


def captured(place: Place, target: str | None) -> dict[str, Path]:
    """The logs of the instances meant, by the instance's name. Raises `CommandError` when there are none."""
    from gapura.cli.main import did_you_mean

    found = {}
    for path in sorted(Path(place.logs).glob("*-*.log")):
        name, _, number = path.stem.rpartition("-")
        if number.isdigit():
            found[f"{name}:{number}"] = path
    if target is None:
        if not found:
            raise CommandError(f"no app has printed anything yet (no logs in {short(place.logs)})", HINT)
        return found
    app, index = parse_target(target)
    chosen = {name: path for name, path in found.items() if name == target or (index is None and name.rpartition(":")[0] == app)}
    if not chosen:
        known = sorted({name if ":" in target else name.partition(":")[0] for name in found})
        hint = did_you_mean(target, known) or (f"there are logs of: {', '.join(known)}" if known else "start it with `gapura up`")
        raise CommandError(f"there is no log of {target} in {short(place.logs)}", hint)
    return chosen
