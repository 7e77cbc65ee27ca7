"""`gapura start`, `stop`, `restart` and `scale`: verbs for the apps' instances."""

from __future__ import annotations

import json
from typing import Any

import click

from gapura.cli import talk
from gapura.cli.place import Place, json_option, takes_place
from gapura.config.plan import MAX_INSTANCES
from gapura.errors import EXIT_USAGE, CommandError

Target = tuple[str, int | None]


class _Target(click.ParamType[Target]):
    """`APP` or `APP:N`."""

    name = "APP[:N]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Target:
        if isinstance(value, tuple):
            return value
        return parse_target(value)


def parse_target(text: str) -> Target:
    """`APP` or `APP:N` taken apart. Raises `CommandError`."""
    app, colon, index = text.partition(":")
    if not colon:
        return app, None
    if not (app and index.isascii() and index.isdigit() and len(index) < 6):
        raise CommandError(f"{text!r} is no instance", "write APP or APP:N, for example dumbflix:0", EXIT_USAGE)
    return app, int(index)


TARGET = _Target()


@click.command()
@click.argument("target", type=TARGET, metavar="APP[:N]")
@json_option
@takes_place
def start(place: Place, target: Target, as_json: bool) -> None:
    """Start an app, or one of its instances (dumbflix:0 is the first one of dumbflix). Returns when it answers."""
    _operate(place, "start", target, as_json)


@click.command()
@click.argument("target", type=TARGET, metavar="APP[:N]")
@json_option
@takes_place
def stop(place: Place, target: Target, as_json: bool) -> None:
    """Stop an app, or one of its instances, after its requests have ended.

    The other instances go on. When none is left, visitors get a page that says so, until `gapura start`.
    """
    _operate(place, "stop", target, as_json)


@click.command()
@click.argument("target", type=TARGET, metavar="APP[:N]")
@json_option
@takes_place
def restart(place: Place, target: Target, as_json: bool) -> None:
    """Restart an app without a gap: one instance after the other, never all at once.

    A new process that does not get ready leaves the old one where it is. An app with a fixed port has to end first; its
    visitors wait up to `hold`.
    """
    _operate(place, "restart", target, as_json)


@click.command()
@click.argument("app")
@click.argument("instances", type=click.IntRange(0, MAX_INSTANCES), metavar="N")
@json_option
@takes_place
def scale(place: Place, app: str, instances: int, as_json: bool) -> None:
    """Run an app in N instances, until the number in the file changes."""
    known_app(place, app)
    _report(talk.ask(place, "scale", _progress(as_json), app=app, instances=instances), as_json)


def known_app(place: Place, app: str) -> dict[str, Any]:
    """The app's part of the status document. Raises `CommandError` with the name that was probably meant."""
    from gapura.cli.main import did_you_mean

    apps: list[dict[str, Any]] = talk.ask(place, "status", timeout=talk.PATIENCE).get("apps", [])
    names = [str(item["name"]) for item in apps]
    for item in apps:
        if item["name"] == app:
            return item
    known = f"the apps are: {', '.join(names)}" if names else "the configuration has no apps"
    raise CommandError(f"there is no app {app!r}", did_you_mean(app, names) or known)


def _operate(place: Place, verb: str, target: Target, as_json: bool) -> None:
    app, index = target
    instances = known_app(place, app)["instances"]
    if index is not None and index not in [instance["index"] for instance in instances]:
        known = ", ".join(f"{app}:{instance['index']}" for instance in instances) or "none"
        raise CommandError(f"{app} has no instance {index}", f"its instances are: {known}")
    _report(talk.ask(place, verb, _progress(as_json), app=app, index=index), as_json)


def _progress(as_json: bool) -> Any:
    return None if as_json else click.echo


def _report(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(result))
        return
    instances = result.get("instances")
    if isinstance(instances, list):
        for instance in instances:
            if isinstance(instance, dict):
                where = f"  {instance['address']}" if instance.get("address") else ""
                click.echo(f"{result.get('app')}:{instance.get('index')}  {instance.get('state')}{where}")
