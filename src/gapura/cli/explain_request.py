"""`gapura explain ID`: where the time of one request went, which servers were tried, and why it ended as it did."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import click

from gapura.access_lines import Entry, parse
from gapura.cli import admin
from gapura.cli.log_reader import LogReader
from gapura.cli.place import Place, short
from gapura.errors import CommandError, ConfigError
from gapura.log import escape

STAGES: Final = {
    "accept": "connection open, nothing sent yet",
    "tls": "TLS handshake",
    "route": "its head arrives, a route is found",
    "wait": "waits for a server",
    "connect": "connection to the server",
    "first_byte": "until the server's answer begins",
    "done": "until the last byte is sent",
}
WIDTH: Final = 24
"""Characters of the bars."""
_ID: Final = re.compile(r"[A-Za-z0-9_=+-]{8,128}")
_IDS: Final = re.compile(r"[A-Za-z0-9._:=+/-]{1,128}")


def is_id(word: str) -> bool:
    """Whether a word is the id of a request rather than a URL: long, with a digit, without what makes a host or a path."""
    return _ID.fullmatch(word) is not None and any(letter.isdigit() for letter in word)


def tell(place: Place, request: str, as_json: bool) -> None:
    """Print what is known of a request. Raises `CommandError` when nothing is."""
    if _IDS.fullmatch(request) is None:
        raise CommandError(f"{escape(request)!r} cannot be the id of a request", "it stands in X-Request-Id of the answer")
    try:
        found = admin.get(place, "requests", request)
    except CommandError as error:
        found = _from_logs(place, request, error)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif "stages" in found:
        _tell_record(found)
    else:
        _tell_line(found)


def summary(found: dict[str, Any]) -> str:
    """One line about a request of the API."""
    path = escape(str(found["path"]))
    return f"{escape(str(found['method']))} {path} of {escape(str(found['site']) or '(no site)')}: {found['status']}"


def milliseconds(value: float) -> str:
    """As people read it."""
    if abs(value) < 10:
        return f"{value:.2f} ms"
    return f"{value:,.0f} ms" if abs(value) < 10_000 else f"{value / 1000:,.1f} s"


def _tell_record(found: dict[str, Any]) -> None:
    click.secho(summary(found), bold=True)
    server = f", server {found['server']}" if found["server"] else ""
    click.echo(f"{found['at']}, from {found['client']}{server}, {milliseconds(found['ms'])}, id {found['id']}\n")
    begin = min([0.0, *(stage["from_ms"] for stage in found["stages"])])
    whole = max(found["ms"] - begin, 0.001)
    for stage in found["stages"]:
        start = min(WIDTH - 1, int((stage["from_ms"] - begin) / whole * WIDTH))
        length = min(WIDTH - start, max(1, round(stage["ms"] / whole * WIDTH)))
        bar = " " * start + "#" * length
        click.echo(
            f"{milliseconds(stage['from_ms']):>11}  |{bar:<{WIDTH}}| {milliseconds(stage['ms']):>10}  {STAGES[stage['name']]}"
        )
    if found["trials"]:
        click.echo("\nServers that were tried before:")
        for trial in found["trials"]:
            click.echo(f"{milliseconds(trial['at_ms']):>11}  {trial['why']}")
    click.echo(f"\n{found['why']}")
    if found["advice"]:
        click.echo(f"→ {found['advice']}")


# -- what the access log still knows --------------------------------------------------------------------------------------------


def _from_logs(place: Place, request: str, error: CommandError) -> dict[str, Any]:
    """The line of a request in the access logs. Raises `error` when there is none, or none that can be read."""
    for path in _paths(place):
        log = LogReader(path)
        try:
            lines = log.last(1, lambda line: request in line and _said(line, request) is not None, lambda line: False)
        finally:
            log.close()
        for line in lines:
            entry = _said(line, request)
            if entry is not None:
                return {"id": request, "log": path, "line": line, **entry.fields}
    if isinstance(error, admin.NotFound):
        raise CommandError(
            f"nothing is known of the request {request}",
            "records are kept of the last thousands of requests, and the access logs do not name it either",
        )
    raise error


def _paths(place: Place) -> list[str]:
    try:
        plan = place.plan()
    except (ConfigError, CommandError):
        return []
    logs = [plan["edge"]["access_log"]]
    for site in plan["sites"]:
        logs += [log for log in (site["access_log"], *(route["access_log"] for route in site["routes"])) if log is not None]
    return list(dict.fromkeys(log["path"] for log in logs if log["path"] not in ("", "-") and log["syslog"] is None))


def _said(line: str, request: str) -> Entry | None:
    entry = parse(line)
    return entry if entry is not None and entry.fields.get("request_id") == request else None


def _tell_line(found: dict[str, Any]) -> None:
    click.secho(
        f"{escape(str(found.get('request_method', '?')))} {escape(str(found.get('request_uri', '?')))}: {found.get('status')}",
        bold=True,
    )
    click.echo(f"There is no record of it any more; {short(found['log'])} says:\n")
    click.echo(escape(found["line"]))
    server, tries = found.get("server"), found.get("tries")
    if server and server != "-":
        again = f", the {tries}th that was tried" if isinstance(tries, int) and tries > 3 else ""
        again = again or {2: ", the second that was tried", 3: ", the third that was tried"}.get(
            tries if isinstance(tries, int) else 0, ""
        )
        click.echo(f"\nIt was sent to {escape(str(server))}{again}.")
    else:
        click.echo("\nNo server was asked.")
