"""`gapura token`: who may come to the admin API from elsewhere."""

from __future__ import annotations

import json
import time
from datetime import datetime

import click

from gapura.cli import render, talk
from gapura.cli.place import Place, json_option, takes_place


@click.group()
def token() -> None:
    """Make, list and revoke the tokens of the admin API.

    A token lets a program or a person in over HTTPS, at a site with `dashboard = true`, or at the port of [admin] listen. Gapura
    keeps only its hash: it is shown once.
    """


@token.command()
@click.argument("name")
@click.option("--role", type=click.Choice(("read", "full")), default="read", show_default=True, help="What it may do.")
@click.option("--days", type=click.FloatRange(0, 3650), default=90, show_default=True, help="How long it is valid; 0: for ever.")
@json_option
@takes_place
def create(place: Place, name: str, role: str, days: float, as_json: bool) -> None:
    """Make a token, and show it this once.

    The token goes to standard output, the rest to standard error: `gapura token create ci > token` keeps it in a file.
    """
    made = talk.ask(place, "token_create", timeout=talk.PATIENCE, token=name, role=role, days=days)
    if as_json:
        click.echo(
            json.dumps({"token": made["text"], **{key: made[key] for key in ("name", "role", "created", "expires")}}, indent=2)
        )
        return
    until = f"valid until {_day(made['expires'])}" if made["expires"] else "valid until it is revoked"
    click.echo(f"Token {name}: {'may change everything' if role == 'full' else 'may read'}, {until}.", err=True)
    click.echo("It is not shown again:", err=True)
    click.echo(made["text"])
    click.echo("Use it so: curl -H 'Authorization: Bearer …' https://SITE/v1/status", err=True)


@token.command(name="list")
@json_option
@takes_place
def list_tokens(place: Place, as_json: bool) -> None:
    """Show the tokens: names, roles, until when. Not the tokens themselves, which nobody knows."""
    rows = talk.ask(place, "token_list", timeout=talk.PATIENCE)["tokens"]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo("There are no tokens. `gapura token create NAME` makes one.")
        return
    render.table(
        ("name", "role", "created", "expires"), [(row["name"], row["role"], _day(row["created"]), _end(row)) for row in rows]
    )


@token.command()
@click.argument("name")
@takes_place
def revoke(place: Place, name: str) -> None:
    """Have a token count no longer, from this moment on; who has logged in with it is logged out."""
    talk.ask(place, "token_revoke", timeout=talk.PATIENCE, token=name)
    click.echo(f"Token {name} is revoked.")


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment).strftime("%Y-%m-%d")


def _end(row: dict[str, float]) -> str:
    if not row["expires"]:
        return "never"
    return _day(row["expires"]) if row["expires"] > time.time() else f"expired {_day(row['expires'])}"
