"""`gapura demo`: the packaged example, running a few seconds after the question."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

import click

import gapura
from gapura.cli import run
from gapura.cli.place import place_of, short
from gapura.config.place import NAME
from gapura.errors import CommandError

EXAMPLE = "dumbflix"
FOLDER = "gapura-demo"
PORT = 8080


@click.command()
@click.argument("folder", default=FOLDER)
@click.option("-d", "--detach", is_flag=True, help="Go on in the background.")
@click.option("--port", type=click.IntRange(1, 65535), metavar="PORT", help=f"Where to listen (default: {PORT}).")
@click.option("--temp", is_flag=True, help="In a new temporary folder.")
def demo(folder: str, detach: bool, port: int | None, temp: bool) -> None:
    """Run the example: a film catalogue in two copies behind http://dumbflix.localhost.

    It is copied into FOLDER (./gapura-demo), where it can be looked at and changed; a copy that is there already is used.
    """
    path = Path(tempfile.mkdtemp(prefix="gapura-demo-")) if temp else Path(folder).absolute()
    fresh = prepare(path)
    if fresh or port is not None:
        listen_on(path / NAME, port or PORT)
    click.echo(f"The example is in {short(str(path))}: {NAME} is all there is to configure.")
    click.echo(f"Try: cd {short(str(path))} && {program(path)} status   (or ps, restart {EXAMPLE}, down)")
    run.launch(place_of(str(path / NAME)), detach)


def example() -> Path:
    """The example's folder: in the installed package, else in a checkout. Raises `CommandError`."""
    package = Path(gapura.__file__).parent
    for folder in (package / "examples" / EXAMPLE, package.parent.parent / "examples" / EXAMPLE):
        if (folder / NAME).is_file():
            return folder
    raise CommandError(
        "the example is missing from this installation", "install Gapura again: pip install --force-reinstall gapura"
    )


def program(folder: Path) -> str:
    """What a person types in `folder` for the program that runs now: its name alone where the shell finds it by that."""
    called = os.path.abspath(sys.argv[0])
    found = shutil.which("gapura")
    if os.path.basename(called) != "gapura" or (found is not None and os.path.samefile(found, called)):
        return "gapura"
    return shlex.quote(called if os.path.isabs(short(called)) else os.path.relpath(called, folder))


def prepare(folder: Path) -> bool:
    """Copy the example into `folder`, unless it is there already; True for a fresh copy. Raises `CommandError`."""
    if (folder / NAME).is_file():
        return False
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CommandError(f"{short(str(folder))} is there, but is no demo", "name another folder: gapura demo FOLDER")
    leave = shutil.ignore_patterns(".gapura", "__pycache__", "*.db", "*.sqlite*")
    try:
        shutil.copytree(example(), folder, ignore=leave, dirs_exist_ok=True)
    except OSError as error:
        raise CommandError(
            f"{short(str(folder))} could not be made: {error.strerror or error}", "name another folder: gapura demo FOLDER"
        ) from None
    return True


def listen_on(file: Path, port: int) -> None:
    """Have the example listen on this port, whoever starts it; the rest of its file stays as it is."""
    text = file.read_text()
    line = f"http = {port}"
    if re.search(r"(?m)^\[edge\]\s*$", text) is None:
        text = f"{text.rstrip()}\n\n[edge]\n{line}\n"
    else:
        written = re.compile(r"(?m)^(\[edge\][^\[]*?^)http *=.*$")
        text = written.sub(rf"\g<1>{line}", text) if written.search(text) else text.replace("[edge]", f"[edge]\n{line}", 1)
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_text(text)
    os.replace(fresh, file)
