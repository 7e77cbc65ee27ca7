"""`gapura certificates`: which certificates Gapura gets by itself, how long they last, and what keeps it from getting one."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from gapura.cli import render, talk
from gapura.cli.place import Place, json_option, takes_place

SOURCES = {"acme": "public", "local": "local CA", None: "none yet"}
"""How people call where a certificate is from."""


@click.command()
@click.option("--renew", metavar="HOST", help='Get a new certificate for HOST now, or for "all".')
@json_option
@takes_place
def certificates(place: Place, renew: str | None, as_json: bool) -> None:
    """Show the certificates of sites with tls = "auto": from whom, until when, when Gapura tries again, and why it must.

    A host without a public certificate is served with one of the local CA meanwhile; `gapura trust` lets browsers here accept it.
    """
    if renew is not None:
        hosts = talk.ask(place, "renew", timeout=talk.PATIENCE, host=renew)["hosts"]
        click.echo(json.dumps({"hosts": hosts}) if as_json else f"Getting new certificates for {', '.join(hosts)}.")
        return
    rows = talk.ask(place, "status", timeout=talk.PATIENCE)["certificates"]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo('No site has tls = "auto": Gapura gets no certificates here.')
        return
    now = time.time()
    render.table(("host", "source", "issuer", "until", "next try"), [_row(row, now) for row in rows])
    for row in rows:
        if row["problem"]:
            times = f" ({row['failures']} times)" if row["failures"] > 1 else ""
            click.echo(f"\n{row['host']}{times}: {row['problem']}")


def _row(row: dict[str, Any], now: float) -> tuple[object, ...]:
    at = row["next_try"]
    then = "now" if row["busy"] or (at is not None and at <= now) else "" if at is None else f"in {render.duration(at - now)}"
    return row["host"], SOURCES.get(row["source"], row["source"]), row["issuer"] or "", _until(row["not_after"], now), then


def _until(not_after: float | None, now: float) -> str:
    """The day on which a certificate ends, and how far away that is."""
    if not_after is None:
        return ""
    day = time.strftime("%Y-%m-%d", time.localtime(not_after))
    return f"{day} (over)" if not_after <= now else f"{day} ({render.duration(not_after - now)})"
