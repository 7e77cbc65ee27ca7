"""`gapura server`: servers of an upstream without the file."""

from __future__ import annotations

import json
from typing import Any

import click

from gapura.cli import talk
from gapura.cli.place import Place, json_option, takes_place
from gapura.errors import CommandError


class Actions(click.Group):
    """The group; a wrong word gets "did you mean"."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The command meant. Raises `CommandError` with the one that was probably meant."""
        from gapura.cli.main import did_you_mean

        if args and args[0] not in self.commands and not args[0].startswith("-"):
            hint = did_you_mean(args[0], list(self.commands)) or "see `gapura server --help`"
            raise CommandError(f"there is no command `gapura server {args[0]}`", hint, 2)
        return super().resolve_command(ctx, args)


@click.group(cls=Actions)
def server() -> None:
    """Add, remove and weigh servers of an upstream while everything runs.

    What is said stays so across reloads, restarts and upgrades, until `gapura server reset UPSTREAM` or until the file says
    something else of that server: then the file counts. Instances of apps are changed with `gapura scale`.
    """


@server.command()
@click.argument("upstream")
@click.argument("address")
@click.option("--weight", type=int, metavar="N", help="Its share of the requests (default: 1).")
@click.option("--backup", is_flag=True, help="It gets requests only when none of the others can answer.")
@click.option("--max-fails", type=int, metavar="N", help="As max_fails in the file (default: as the upstream says).")
@click.option("--fail-timeout", metavar="TIME", help="As fail_timeout in the file, such as 10s.")
@click.option("--max-conns", type=int, metavar="N", help="Most requests at the same time.")
@json_option
@takes_place
def add(place: Place, upstream: str, address: str, as_json: bool, **words: Any) -> None:
    """Add a server to an upstream.

    ADDRESS is what stands in the file: 10.0.0.1:3000, name:80 for all addresses of a DNS name, or unix:/run/app.sock.
    """
    _known_upstream(place, upstream)
    given = {key: value for key, value in words.items() if value not in (None, False)}
    _tell(talk.ask(place, "server_add", upstream=upstream, address=address, **given), as_json, f"{address} is one of {upstream}.")


@server.command()
@click.argument("upstream")
@click.argument("address")
@click.option("--force", is_flag=True, help="Also when it is the last one that serves.")
@click.option(
    "--wait", "seconds", type=float, metavar="SECONDS", help="Wait at most so long for its requests (default: edge.timeouts.drain)."
)
@json_option
@takes_place
def remove(place: Place, upstream: str, address: str, force: bool, seconds: float | None, as_json: bool) -> None:
    """Take a server out of an upstream.

    It gets no new requests at once, and leaves when those under way have ended, or when the time is over: they end in peace then,
    too. One that the file has stays away until `gapura server reset UPSTREAM`.
    """
    label = _known_server(place, upstream, address)
    result = talk.ask(place, "server_remove", _progress, upstream=upstream, server=label, force=force, seconds=seconds)
    _tell(result, as_json, f"{label} has left {upstream}.")


@server.command()
@click.argument("upstream")
@click.argument("address")
@click.argument("weight", type=int)
@json_option
@takes_place
def weight(place: Place, upstream: str, address: str, weight: int, as_json: bool) -> None:
    """Change a server's share: with WEIGHT 2 it gets twice as many requests as with 1."""
    label = _known_server(place, upstream, address)
    result = talk.ask(place, "server_weight", upstream=upstream, server=label, weight=weight)
    _tell(result, as_json, f"{label} of {upstream} has weight {weight}.")


@server.command()
@click.argument("upstream")
@click.argument("address", required=False)
@click.option("--force", is_flag=True, help="Also when no server is left that serves.")
@json_option
@takes_place
def reset(place: Place, upstream: str, address: str | None, force: bool, as_json: bool) -> None:
    """Have an upstream, or one of its servers, as the file says again."""
    label = "" if address is None else _known_server(place, upstream, address, removed=True)
    result = talk.ask(place, "server_reset", upstream=upstream, server=label, force=force)
    _tell(result, as_json, f"{label + ' of ' if label else ''}{upstream} is as the file says.")


def _tell(result: dict[str, Any], as_json: bool, done: str) -> None:
    if problem := result.get("problem"):
        click.echo(f"warning: {problem}", err=True)
    if as_json:
        click.echo(json.dumps(result))
        return
    for change in result.get("changes") or ["nothing has changed"]:
        click.echo(change)
    click.echo(f"{done} Generation {result.get('generation')} is serving.")


def _progress(text: str) -> None:
    click.echo(text, err=True)


def _known_upstream(place: Place, upstream: str) -> dict[str, Any]:
    """The upstream meant. Raises `CommandError` with the name that was probably meant."""
    from gapura.cli.main import did_you_mean

    upstreams = {item["name"]: item for item in talk.ask(place, "status", timeout=talk.PATIENCE).get("upstreams", [])}
    if upstream in upstreams:
        found: dict[str, Any] = upstreams[upstream]
        return found
    names = [name for name, item in upstreams.items() if not item.get("app")]
    known = f"the upstreams are: {', '.join(names)}" if names else "the configuration has no upstreams"
    raise CommandError(f"there is no upstream {upstream!r}", did_you_mean(upstream, names) or known)


def _known_server(place: Place, upstream: str, address: str, removed: bool = False) -> str:
    """How the server meant is called: what is written, or what was added. Raises `CommandError` with the one probably meant."""
    from gapura.cli.main import did_you_mean

    found = _known_upstream(place, upstream)
    names = [*(item["id"] for item in found["servers"]), *found.get("names", ()), *(found.get("removed", ()) if removed else ())]
    if address in names or found.get("app"):
        return address
    known = f"its servers are: {', '.join(names)}" if names else "it has none"
    raise CommandError(f"{upstream} has no server {address}", did_you_mean(address, names) or known)
