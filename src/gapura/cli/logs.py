"""`gapura logs`: what the apps print, and what Gapura itself logs."""

from __future__ import annotations

from pathlib import Path

import click

from gapura.cli.apps import parse_target
from gapura.cli.place import Place, short, takes_place
from gapura.errors import EXIT_USAGE, CommandError
from gapura.procs import logfile


@click.command()
@click.argument("target", metavar="[APP[:N]]", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is added, until Ctrl-C.")
@click.option(
    "-n", "--lines", type=click.IntRange(0), metavar="N", default=15, show_default=True, help="Begin with the last N lines of each."
)
@click.option("--access", is_flag=True, help="The access log instead.")
@click.option("--errors", is_flag=True, help="The error log of the workers instead.")
@takes_place
def logs(place: Place, target: str | None, follow: bool, lines: int, access: bool, errors: bool) -> None:
    """Show what the apps print: all of them, one app, or one instance (dumbflix:0).

    With --access or --errors it is what Gapura writes about requests, or about what went wrong with them.
    """
    if access or errors:
        if target or (access and errors):
            raise CommandError("one kind of log at a time", "APP[:N], --access, or --errors", EXIT_USAGE)
        edge = place.plan()["edge"]
        path = edge["access_log"]["path"] if access else edge["error_log"]
        if path in ("", "-"):
            raise CommandError("this log is not written to a file", "the configuration says so")
        try:
            open(path, "rb").close()
        except FileNotFoundError:
            raise CommandError(f"there is no {short(path)} yet", "it is written when the first request comes") from None
        for entry in logfile.follow([path], lines, follow, lambda: False):
            click.echo(f"{entry.stamp} {entry.text}" if entry.stamp else entry.text)
        return
    paths = captured(place, target)
    for file in paths.values():
        open(file, "rb").close()  # or one that may not be read would seem to be empty
    names = {str(path): f"{name} " if len(paths) > 1 else "" for name, path in paths.items()}
    for entry in logfile.follow(list(names), lines, follow, lambda: False):
        stamp = entry.stamp.partition("T")[2] or entry.stamp
        click.echo(click.style(f"{names[entry.path]}{stamp} ", dim=True) + entry.text)


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
            raise CommandError(f"no app has printed anything yet (no logs in {short(place.logs)})", "start them with `gapura up`")
        return found
    app, index = parse_target(target)
    chosen = {name: path for name, path in found.items() if name == target or (index is None and name.rpartition(":")[0] == app)}
    if not chosen:
        known = sorted({name if ":" in target else name.partition(":")[0] for name in found})
        hint = did_you_mean(target, known) or (f"there are logs of: {', '.join(known)}" if known else "start it with `gapura up`")
        raise CommandError(f"there is no log of {target} in {short(place.logs)}", hint)
    return chosen
