"""`gapura events`: what has happened, and whether those who are told hear it."""

from __future__ import annotations

import json
import time
from typing import Any, Final

import click

from gapura.cli import render, talk
from gapura.cli.log_reader import LogReader
from gapura.cli.place import Place, json_option, short, takes_place
from gapura.config.plan_events import default
from gapura.errors import EXIT_USAGE, CommandError, ConfigError
from gapura.events import ERROR, GROUPS, INFO, KINDS, SEVERITIES, WARNING, Draft, moment, read, wanted
from gapura.log import escape

ACTIONS: Final = ("show", "test", "types")
LINES: Final = 20
COLOURS: Final = {INFO: "green", WARNING: "yellow", ERROR: "red"}
_PAUSE: Final = 0.1


def _types(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> list[str]:
    from gapura.cli.main import did_you_mean

    words = [word for value in values for word in value.split(",")]
    for word in words:
        if word not in KINDS and word not in GROUPS:
            hint = did_you_mean(word, [*KINDS, *GROUPS]) or "`gapura events types` shows them all"
            raise click.BadParameter(f'there is no event "{escape(word)}": {hint}', context, option)
    return words


@click.command()
@click.argument("action", type=click.Choice(ACTIONS), default="show", metavar="[show|test|types]")
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens, until Ctrl-C.")
@click.option("-n", "--lines", type=click.IntRange(0), metavar="N", default=LINES, help=f"The last N events.  [default: {LINES}]")
@click.option("--severity", type=click.Choice(SEVERITIES), metavar="S", default=INFO, help="info, warning or error, and above.")
@click.option("--type", "types", multiple=True, metavar="T", callback=_types, help="Types (app.crashed) or groups (app).")
@json_option
@takes_place
def events(place: Place, action: str, follow: bool, lines: int, severity: str, types: list[str], as_json: bool) -> None:
    """Show what has happened: crashes, outages, reloads, certificates that end.

    `events test` sends a test event to all whom [events] names, and tells what became of each; `events types` shows what there is.
    """
    if action != "show" and (follow or types or severity != INFO):
        raise CommandError(f"these options are not for {action}", "`gapura events -f --severity warning`", EXIT_USAGE)
    if action == "types":
        _show_types(as_json)
    elif action == "test":
        _test(place, as_json)
    else:
        _show(_file(place), lines, follow, Wanted(severity, types), as_json)


class Wanted:
    """Which lines are shown: at least this grave, and of these types or groups (none: all)."""

    def __init__(self, severity: str, types: list[str]) -> None:
        self._severity = severity
        self._types = types

    def event(self, line: str) -> Draft | None:
        """The event of a line, if it is wanted."""
        try:
            found = read(json.loads(line))
        except (ValueError, RecursionError):
            return None
        if found is None or found["type"] == "events.continued" or not wanted([self._severity], found):
            return None
        return found if wanted(self._types, found) else None

    def __call__(self, line: str) -> bool:
        return self.event(line) is not None


def _file(place: Place) -> str:
    """The file that events are written to. Raises `CommandError`."""
    try:
        plan = place.plan()
        path = (plan.get("events") or default(place.logs))["log"]
    except (ConfigError, CommandError):
        path = default(place.logs)["log"]  # a file that is wrong now does not hide what has happened
    if not path:
        raise CommandError("events are not written down here: [events] says log = false", "`gapura dashboard` shows the last ones")
    try:
        open(path, "rb").close()
    except FileNotFoundError:
        raise CommandError(f"there is no {short(path)} yet", "`gapura up` starts it") from None
    return path


def _show(path: str, lines: int, follow: bool, want: Wanted, as_json: bool) -> None:
    reader = LogReader(path)
    try:
        for line in reader.last(lines, want, lambda line: False):
            _print(line, want, as_json)
        while follow:
            fresh = reader.added()
            for line in fresh:
                _print(line, want, as_json)
            if not fresh:
                time.sleep(_PAUSE)
    finally:
        reader.close()


def _print(line: str, want: Wanted, as_json: bool) -> None:
    event = want.event(line)
    if event is None:
        return
    if as_json:
        click.echo(line)
        return
    at = moment(event["at"])
    today = time.strftime("%Y-%m-%d", time.localtime()) == time.strftime("%Y-%m-%d", time.localtime(at))
    when = time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S", time.localtime(at))
    severity = click.style(event["severity"].ljust(7), fg=COLOURS[event["severity"]])
    click.echo(f"{click.style(when, dim=True)} {severity} {escape(event['type'])}  {escape(event['text'])}")
    for line in _more(event["data"]):
        click.echo(f"{' ' * len(when)}         {escape(line)}")


def _more(data: dict[str, Any]) -> list[str]:
    """What helps at once: the hint, the last lines of an app."""
    lines = data.get("lines")
    hint = data.get("hint")
    shown = [f"| {line}" for line in lines[-3:]] if isinstance(lines, list) else []
    return [*([hint] if isinstance(hint, str) and hint else []), *shown]


def _show_types(as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({name: {"severity": kind.severity, "when": kind.when} for name, kind in KINDS.items()}, indent=2))
        return
    render.table(("type", "severity", "when"), [(name, kind.severity, kind.when) for name, kind in KINDS.items()])


def _test(place: Place, as_json: bool) -> None:
    """Try all sinks. Raises `CommandError` when one of them fails."""
    outcomes = talk.ask(place, "test_events")["outcomes"]
    if as_json:
        click.echo(json.dumps(outcomes, indent=2))
    for outcome in outcomes if not as_json else ():
        problem = str(outcome["problem"])
        said = click.style("ok", fg="green") if not problem else click.style(escape(problem), fg="red")
        click.echo(f"{escape(str(outcome['sink']))}: {said}")
    if not outcomes and not as_json:
        click.echo("Nobody is told: [events] names no log, webhook or command.")
    failed = sum(bool(outcome["problem"]) for outcome in outcomes)
    if failed:
        raise CommandError(f"{failed} of {len(outcomes)} did not take the test event", "see docs/events.md")
