"""`gapura password`: a line for a file of names and passwords (`basic_auth`)."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile

import click

from gapura.errors import EXIT_USAGE, CommandError

BYTES = 72
"""bcrypt sees no more of a password."""


@click.command()
@click.argument("name")
@click.option("--file", "target", metavar="FILE", help="Put the line into this file, in place of an older one of the same name.")
@click.option("--cost", type=click.IntRange(4, 15), default=10, show_default=True, help="bcrypt's cost: one more doubles the time.")
def password(name: str, target: str | None, cost: int) -> None:
    """Make a line for a file of names and passwords.

    The password is asked for twice; from a pipe its first line is taken. Only its bcrypt hash is written.
    """
    if not name or ":" in name or not name.isprintable():
        raise CommandError(f"{name!r} cannot be the name of a user", "one word without a colon", EXIT_USAGE)
    import bcrypt

    secret = _ask().encode()
    if not secret or 0 in secret:
        raise CommandError("the password is empty", "nobody could log in with it", EXIT_USAGE)
    if len(secret) > BYTES:
        raise CommandError(
            f"the password has {len(secret)} bytes", f"bcrypt sees the first {BYTES} only: take a shorter one", EXIT_USAGE
        )
    line = f"{name}:{bcrypt.hashpw(secret, bcrypt.gensalt(cost)).decode()}"
    if target is None:
        click.echo(line)
    else:
        click.echo(_put(target, name, line))


def _ask() -> str:
    if sys.stdin.isatty():
        answer: str = click.prompt("Password", hide_input=True, confirmation_prompt="Once more", err=True)
        return answer
    return sys.stdin.readline().rstrip("\r\n")


def _put(path: str, name: str, line: str) -> str:
    """Put a line into a file, and say what was done. Whoever reads the file meanwhile sees the old one or the new one."""
    path = os.path.realpath(path)
    try:
        before, mode, owner = _read(path)
        lines = before.split("\n")
        places = [index for index, text in enumerate(lines) if text.partition(":")[0].strip() == name]
        if places:
            lines[places[0]] = line
            lines = [text for index, text in enumerate(lines) if index not in places[1:]]
            done = f"{path}: {name} has a new password."
        else:
            done = f"{path}: {name} was added."
            lines[-1:] = [lines[-1], line, ""] if lines[-1] else [line, ""]
        _replace(path, "\n".join(lines), mode, owner)
    except UnicodeDecodeError:
        raise CommandError(f"{path} is not UTF-8", "name a file of names and passwords") from None
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}", "name another file") from None
    return done


def _read(path: str) -> tuple[str, int, tuple[int, int] | None]:
    """The text of a file, its rights and its owner; those of a new one when there is none."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            facts = os.fstat(file.fileno())
            return file.read(), stat.S_IMODE(facts.st_mode), (facts.st_uid, facts.st_gid)
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return "", 0o644 & ~mask, None


def _replace(path: str, text: str, mode: int, owner: tuple[int, int] | None) -> None:
    descriptor, new = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".htpasswd-")
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            os.fchmod(file.fileno(), mode)
            if owner is not None:
                with contextlib.suppress(PermissionError):
                    os.fchown(file.fileno(), *owner)
        os.replace(new, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise
