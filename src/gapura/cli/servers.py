"""`gapura drain` and `enable`: verbs for single servers of an upstream."""

from __future__ import annotations

import json
from typing import Any

import click

from gapura.cli import talk
from gapura.cli.place import Place, json_option, takes_place
from gapura.errors import CommandError


@click.command()
@click.argument("upstream")
@click.argument("address")
@json_option
@takes_place
def drain(place: Place, upstream: str, address: str, as_json: bool) -> None:
    """Send a server no new requests; those under way end in peace.

    ADDRESS is what `gapura status` shows: 10.0.0.1:3000, or dumbflix:1 for an instance of an app. It stays so until
    `gapura enable`, also across reloads.
    """
    _administer(place, "drain", upstream, address, as_json)


@click.command()
@click.argument("upstream")
@click.argument("address")
@json_option
@takes_place
def enable(place: Place, upstream: str, address: str, as_json: bool) -> None:
    """Send a drained server requests again."""
    _administer(place, "enable", upstream, address, as_json)


def _administer(place: Place, verb: str, upstream: str, address: str, as_json: bool) -> None:
    server = _known_server(place, upstream, address)
    result = talk.ask(place, verb, upstream=upstream, address=server["id"])
    if as_json:
        click.echo(json.dumps(result))
        return
    told = "gets no new requests" if verb == "drain" else "gets requests again"
    click.echo(f"{server['id']} of {upstream} {told}.")


def _known_server(place: Place, upstream: str, address: str) -> dict[str, Any]:
    """The server meant, by its address or its id. Raises `CommandError` with the name that was probably meant."""
    from gapura.cli.main import did_you_mean

    upstreams = {item["name"]: item["servers"] for item in talk.ask(place, "status", timeout=talk.PATIENCE).get("upstreams", [])}
    if upstream not in upstreams:
        known = f"the upstreams are: {', '.join(upstreams)}" if upstreams else "the configuration has no upstreams"
        raise CommandError(f"there is no upstream {upstream!r}", did_you_mean(upstream, upstreams) or known)
    for server in upstreams[upstream]:
        if address in (server["address"], server["id"]):
            found: dict[str, Any] = server
            return found
    names = [name for server in upstreams[upstream] for name in (server["id"], server["address"]) if name]
    known = f"its servers are: {', '.join(server['address'] or server['id'] for server in upstreams[upstream])}"
    raise CommandError(f"{upstream} has no server {address}", did_you_mean(address, names) or known)
