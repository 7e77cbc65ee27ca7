"""`gapura version`."""

from __future__ import annotations

import json
import platform

import click

from gapura import __version__
from gapura.cli.place import json_option


@click.command()
@json_option
def version(as_json: bool) -> None:
    """Print the version."""
    if as_json:
        click.echo(json.dumps({"version": __version__, "python": platform.python_version()}))
    else:
        click.echo(f"gapura {__version__}")
