"""`gapura why`: why the last requests failed, those that are alike together."""

from __future__ import annotations

import json
from typing import Any

import click

from gapura.cli import admin
from gapura.cli.explain_request import summary
from gapura.cli.place import Place, json_option, takes_place


@click.command()
@click.option("-n", "--lines", type=click.IntRange(1, 100), default=10, metavar="N", help="So many kinds at most.  [default: 10]")
@json_option
@takes_place
def why(place: Place, lines: int, as_json: bool) -> None:
    """Tell why requests failed: the last failures in a sentence each, with what to do, those that are alike together.

    It goes by what the workers recorded since they started. `gapura explain ID` shows one request as a whole.
    """
    failures = admin.get(place, "failures")["failures"][:lines]
    if as_json:
        click.echo(json.dumps({"failures": failures}, indent=2))
    elif not failures:
        click.echo("No request has failed since Gapura was started.")
    for failure in () if as_json else failures:
        _tell(failure)


def _tell(failure: dict[str, Any]) -> None:
    last, alike = failure["last"], failure["alike"]
    click.secho(summary(last), bold=True)
    click.echo(f"  {failure['why']}")
    if failure["advice"]:
        click.echo(f"  → {failure['advice']}")
    when = f"{alike} alike since {failure['first_at']}, last {last['at']}" if alike > 1 else f"at {last['at']}"
    click.echo(f"  {when}; gapura explain {last['id']}\n")
