"""`gapura diff`: what a reload would change."""

from __future__ import annotations

import json

import click

from gapura.cli import talk
from gapura.cli.place import Place, json_option, short, takes_place
from gapura.errors import EXIT_CONFIG, Problem

COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@click.command()
@json_option
@takes_place
@click.pass_context
def diff(ctx: click.Context, place: Place, as_json: bool) -> None:
    """Show what a reload would change: the lines of the file, and what they do.

    The configuration that runs is compared with the file as it is now. The exit status is 78 when a reload would be refused.
    """
    found = talk.ask(place, "config_check")
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        for line in found["diff"].splitlines():
            click.echo(click.style(line, fg=COLOURS.get(line[:1])))
        for problem in found["problems"]:
            click.echo(Problem(**problem).render(), err=True)
        for change in found["changes"]:
            click.echo(change)
        if not found["diff"] and not found["changes"]:
            click.echo(f"Nothing would change: what runs is what {short(place.file)} says.")
        for sentence in found["overrides"] if found["valid"] else ():
            click.echo(f"stays: {sentence}")
    ctx.exit(0 if found["valid"] else EXIT_CONFIG)
