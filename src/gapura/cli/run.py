"""`gapura up`, `down` and `reload`."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import NoReturn

import click

from gapura import log
from gapura.cli import talk
from gapura.cli.place import Place, json_option, short, takes_place
from gapura.config.place import paths_of
from gapura.errors import EXIT_CONFIG, EXIT_FAILURE, CommandError, Problem
from gapura.master import folders


@click.command()
@click.option("-d", "--detach", is_flag=True, help="Go on in the background.")
@takes_place
def up(place: Place, detach: bool) -> None:
    """Start Gapura: listeners, workers and apps.

    Without -d it stays in the foreground until Ctrl-C. Where a Gapura runs already, the new one takes over from it without
    dropping a request: that is how one is upgraded.
    """
    launch(place, detach)


@click.command()
@click.option("--drain", is_flag=True, help="Let the requests under way finish first.")
@json_option
@takes_place
def down(place: Place, drain: bool, as_json: bool) -> None:
    """Stop Gapura and all apps; returns when every process has ended."""
    result = talk.ask(place, "down", _tell, until_gone=True, drain=drain)
    click.echo(json.dumps(result) if as_json else "Gapura and all apps have ended.")


@click.command()
@json_option
@takes_place
def reload(place: Place, as_json: bool) -> None:
    """Apply the changed configuration without dropping a request.

    When the file has an error, the configuration that runs is kept, and the error is shown with its line.
    """
    result = talk.ask(place, "reload", _tell)
    if as_json:
        click.echo(json.dumps(result))
        return
    for change in result.get("changes") or ["nothing has changed"]:
        click.echo(change)
    for sentence in result.get("overrides") or ():
        click.echo(f"stays: {sentence}")
    click.echo(f"Generation {result.get('generation')} is serving.")


def launch(place: Place, detach: bool) -> None:
    """Become the master, or start one in a session of its own and tell what it says. Raises `CommandError`."""
    sys.stdout.flush()
    if detach:
        for line in _detached(place):
            click.echo(line)
    else:
        command = _command(place)
        os.execv(command[0], command)


def _command(place: Place) -> list[str]:
    return [sys.executable, "-P", "-m", "gapura.master", place.file]


def _tell(text: str) -> None:
    click.echo(text, err=True)


def _detached(place: Place) -> list[str]:
    """Start a master with its output in <logs>/gapura.log; what it has to say when it serves."""
    path = os.path.join(place.logs, "gapura.log")
    folders.make(paths_of(place.file))
    output = log.open_log(path)
    ours, theirs = os.pipe()
    os.set_inheritable(theirs, True)
    command = [*_command(place), "--ready-fd", str(theirs)]
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    streams = [(os.POSIX_SPAWN_DUP2, nothing, 0), (os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)]
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=streams, setsid=True)
    for fd in (theirs, output, nothing):
        os.close(fd)
    try:
        with open(ours, "rb") as ready:
            said = ready.readline()
    except KeyboardInterrupt:
        os.kill(pid, signal.SIGTERM)
        raise
    if not said.strip():
        _ended_early(pid, path)
    answer = json.loads(said)
    if not answer.get("ok"):
        os.waitpid(pid, 0)
        problems = [Problem(**problem) for problem in answer.get("problems") or []]
        raise CommandError(str(answer.get("error") or ""), str(answer.get("hint") or ""), EXIT_CONFIG, problems)
    return [str(line) for line in answer.get("lines") or ["Gapura is up."]]


def _ended_early(pid: int, path: str) -> NoReturn:
    """Raise what can be told of a master that ended without a word."""
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    cause = f"exit status {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - 2000))
        last = file.read().decode(errors="replace").splitlines()[-5:]
    hint = "\n  ".join([f"the end of {short(path)}:", *last]) if last else ""
    raise CommandError(f"Gapura ended while it started ({cause})", hint, EXIT_CONFIG if code == EXIT_CONFIG else EXIT_FAILURE)
