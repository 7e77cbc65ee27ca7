"""`gapura check` and `gapura schema`: the configuration before it runs."""

from __future__ import annotations

import json
import os

import click

from gapura.cli.place import Place, json_option, short, takes_place
from gapura.config.place import paths_of
from gapura.config.plan import Plan, RoutePlan, join_address, listens, upstreams_of
from gapura.errors import EXIT_CONFIG, ConfigError, Problem


@click.command()
@json_option
@takes_place
@click.pass_context
def check(ctx: click.Context, place: Place, as_json: bool) -> None:
    """Find everything that is wrong with the configuration: what is written, and what this machine has against it.

    The exit status is 78 when Gapura could not run with it.
    """
    plan, problems = examine(place)
    errors = [problem for problem in problems if not problem.warning]
    if as_json:
        document = {"ok": not errors, "problems": [problem.as_dict() for problem in problems], "overrides": said_since(place)}
        click.echo(json.dumps(document, indent=2))
    else:
        for problem in problems:
            click.echo(problem.render(), err=True)
        if plan is not None and not errors:
            click.echo(summary(plan))
            for sentence in said_since(place):
                click.echo(f"stays: {sentence}")
        else:
            click.echo(f"{len(errors)} error{'s' if len(errors) != 1 else ''} in {short(place.file)}", err=True)
    ctx.exit(EXIT_CONFIG if errors else 0)


@click.command()
def schema() -> None:
    """Print the JSON Schema of gapura.toml, with which editors complete and check it.

    Save it as gapura.schema.json, and begin gapura.toml with the line `#:schema ./gapura.schema.json`, which editors with a TOML
    extension understand.
    """
    from gapura.config.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


def examine(place: Place) -> tuple[Plan | None, list[Problem]]:
    """The plan, if the file makes one, and all problems: those of the file, then those that this machine has with it."""
    try:
        plan = place.plan()
    except ConfigError as error:
        return None, error.problems
    from gapura.config.check import check as ask_machine

    return plan, ask_machine(plan, place.file)


def said_since(place: Place) -> list[str]:
    """What commands have said of single servers: it holds beside the file."""
    from gapura.config.overrides import sentences
    from gapura.master.overrides import NAME, KeptOverrides

    lib = paths_of(place.file)["lib"]
    return sentences(KeptOverrides(lib).said) if os.access(os.path.join(lib, NAME), os.R_OK) else []


def _targets(route: RoutePlan) -> list[str]:
    return ["dashboard"] if route["dashboard"] else upstreams_of(route) or [route["action"]]


def summary(plan: Plan) -> str:
    """What would run, in a few lines."""
    listeners = ", ".join(join_address(listen["host"], listen["port"]) for listen in listens(plan["edge"]))
    lines = [f"{short(plan['file'])} is fine. It would run:", f"  {plan['edge']['workers']} workers, listening on {listeners}"]
    for app in plan["apps"].values():
        copies = f"{app['instances']} × " if app["instances"] != 1 else ""
        lines.append(f"  app {app['name']}: {copies}{app['command']}")
    for site in plan["sites"]:
        targets = dict.fromkeys(target for route in site["routes"] for target in _targets(route))
        lines.append(f"  site {', '.join(site['hosts'])} → {', '.join(targets)}")
    return "\n".join(lines)
