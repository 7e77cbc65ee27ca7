"""`gapura hosts`: names for this configuration's sites, on machines that no DNS server knows."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile

import click

from gapura.cli.place import Place, json_option, takes_place
from gapura.config import hosts as block
from gapura.errors import EXIT_USAGE, CommandError

LINUX, WINDOWS = block.place("Linux"), block.place("Windows")


@click.command()
@click.option(
    "--address", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="The address under which this machine is reached."
)
@click.option("--write", is_flag=True, help="Edit the block marked as Gapura's; everything else in the file stays.")
@click.option("--remove", is_flag=True, help="Take the block out again.")
@click.option("--file", "target", default=LINUX, show_default=True, metavar="HOSTS", help="The hosts file to edit.")
@json_option
@takes_place
def hosts(place: Place, address: str, write: bool, remove: bool, target: str, as_json: bool) -> None:
    """Show or write the lines for the hosts file, so that a browser finds the sites by their names.

    Names that end in .localhost need no line. The lines belong on the machine where the browser runs.
    """
    try:
        lines = [] if remove else block.host_lines(place.plan(), address)
    except ValueError:
        raise CommandError(f"{address!r} is no IP address", "write it in figures, for example 192.168.1.20", EXIT_USAGE) from None
    if as_json and not (write or remove):
        click.echo(json.dumps({"lines": lines, "linux": LINUX, "windows": WINDOWS}, indent=2))
    elif write or remove:
        click.echo(_edit(target, place.file, lines))
    elif lines:
        click.echo(f'Linux and macOS ({LINUX}), or let `sudo env "PATH=$PATH" gapura hosts --write` do it:\n')
        click.echo("\n".join(lines))
        click.echo(f"\nWindows, in an editor started as administrator ({WINDOWS}): the same lines.")
    else:
        click.echo("No lines are needed: every site is a name that browsers find by themselves (like *.localhost), or a wildcard.")


def _edit(path: str, label: str, lines: list[str]) -> str:
    """Change the block in a hosts file and say what was done. Raises `CommandError`."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            before = file.read()
        after = block.with_block(before, label, lines)
        if after == before:
            return f"{path} is as it should be."
        _replace(path, after)
    except PermissionError:
        raise CommandError(
            f"{path} may not be changed by this account", f'with sudo: sudo env "PATH=$PATH" gapura hosts --write --file {path}'
        ) from None
    except OSError as error:
        raise CommandError(f"{path} could not be changed: {error.strerror}") from None
    count = f"{len(lines)} line{'s' if len(lines) != 1 else ''}"
    return f"{path}: wrote {count}." if lines else f"{path}: took the block out."


def _replace(path: str, text: str) -> None:
    """Write the whole new file beside the old one and swap; where it cannot be swapped (a mount in a container), write into it."""
    mode = os.stat(path).st_mode & 0o7777
    real = os.path.realpath(path)
    fd, fresh = tempfile.mkstemp(dir=os.path.dirname(real), prefix=".gapura-hosts-")
    try:
        with open(fd, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)
            os.fchmod(file.fileno(), mode)
        os.replace(fresh, real)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh)
        with open(real, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)
