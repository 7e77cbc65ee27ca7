"""`gapura maintenance`: close sites for visitors while they are worked on."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import click

from gapura.cli import render, talk
from gapura.cli.place import Place, json_option, takes_place
from gapura.errors import EXIT_USAGE, CommandError

ACTIONS: Final = ("status", "on", "off")
_SPAN: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(s|m|min|h|d)", re.ASCII)
_UNITS: Final = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
LONGEST: Final = 366 * 86400.0
"""Longest time that may be named, in seconds."""


def _span(context: click.Context, option: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    match = _SPAN.fullmatch(value)
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not 0 < seconds <= LONGEST:
        raise click.BadParameter("a time such as 90s, 30m, 2h or 1d, at most a year", context, option)
    return seconds


@click.command()
@click.argument("action", type=click.Choice(ACTIONS), default="status", metavar="[status|on|off]")
@click.argument("sites", nargs=-1, metavar="[SITE]...")
@click.option("--all", "everything", is_flag=True, help="All sites.")
@click.option("--for", "seconds", metavar="TIME", callback=_span, help="on: open it again after this time (30m, 2h).")
@click.option("--message", metavar="TEXT", default="", help="on: a sentence for the visitors.")
@json_option
@takes_place
def maintenance(
    place: Place, action: str, sites: tuple[str, ...], everything: bool, seconds: float | None, message: str, as_json: bool
) -> None:
    """Close sites for visitors while they are worked on, and open them again.

    Visitors get a page that says so (503 with Retry-After); who is in `maintenance.allow` sees the site as it is. It stays so until
    `off`, or for the time of `--for`, also across reloads, crashes and restarts. SITE is one of its hosts.
    """
    _check(action, sites, everything, seconds, message)
    document = talk.ask(place, "status", timeout=talk.PATIENCE)
    if action != "status":
        names = [site["hosts"][0] for site in document["sites"]] if everything else _known(document, sites)
        if action == "on":
            done = talk.ask(place, "close_sites", sites=names, seconds=seconds, message=message)
        else:
            done = talk.ask(place, "open_sites", sites=names)
        if problem := done.get("problem"):
            click.echo(f"warning: {problem}", err=True)
        document = talk.ask(place, "status", timeout=talk.PATIENCE)
        document["sites"] = [site for site in document["sites"] if site["hosts"][0] in names]
    elif sites:
        names = _known(document, sites)
        document["sites"] = [site for site in document["sites"] if site["hosts"][0] in names]
    rows = [{"site": site["hosts"][0], "maintenance": site.get("closed")} for site in document["sites"]]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"{row['site']}: {render.maintenance(row['maintenance'])}")
    if not rows:
        click.echo("The configuration has no sites.")


def _check(action: str, sites: tuple[str, ...], everything: bool, seconds: float | None, message: str) -> None:
    """Refuse words that do not go together."""
    if action != "status" and not sites and not everything:
        raise CommandError("which site?", f"gapura maintenance {action} SITE, or --all", EXIT_USAGE)
    if sites and everything:
        raise CommandError("--all means every site already", "leave the names out, or --all", EXIT_USAGE)
    if action != "on" and (seconds is not None or message):
        raise CommandError("--for and --message belong to on", f"leave them out with {action}", EXIT_USAGE)


def _known(document: dict[str, Any], sites: tuple[str, ...]) -> list[str]:
    """The first hosts of the sites meant. Raises `CommandError` with the name that was probably meant."""
    from gapura.cli.main import did_you_mean

    owners = {host: site["hosts"][0] for site in document["sites"] for host in site["hosts"]}
    for site in sites:
        if site.lower() not in owners:
            known = f"the sites are: {', '.join(dict.fromkeys(owners.values()))}" if owners else "the configuration has no sites"
            raise CommandError(f"there is no site {site!r}", did_you_mean(site, owners) or known)
    return list(dict.fromkeys(owners[site.lower()] for site in sites))
