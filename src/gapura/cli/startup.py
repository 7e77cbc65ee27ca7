"""`gapura startup`: the one systemd unit that brings everything back after a reboot."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

import click

from gapura.cli.place import Place, short, takes_place
from gapura.config.place import is_system
from gapura.errors import CommandError

UNITS = "/etc/systemd/system"

TEMPLATE = """\
# Made by `gapura startup`; run that again after moving the files or the installation.
[Unit]
Description=Gapura: sites and apps of {shown}
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
NotifyAccess=main
{owner}WorkingDirectory={folder}
Environment={path}
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
# Only the master is told to stop: it ends workers and apps itself, in order. Were it killed, they would serve on, and the
# next one would take them over.
KillMode=process
Restart=on-failure
RestartSec=1
RestartPreventExitStatus=78
TimeoutStartSec=90
TimeoutStopSec=90
# The soft limit is for the apps; Gapura raises its own to the hard one.
LimitNOFILE=1024:1048576
{folders}# Gapura and the apps run under these. An app that calls sudo or another set-uid program needs NoNewPrivileges=no.
NoNewPrivileges={no_new_privileges}
ProtectSystem=full
ReadWritePaths={writable}
ProtectControlGroups=yes

[Install]
WantedBy=multi-user.target
"""

_SYSTEM_FOLDERS = """\
RuntimeDirectory=gapura
RuntimeDirectoryPreserve=yes
LogsDirectory=gapura
StateDirectory=gapura
"""


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs the service."""

    name: str
    uid: int


@click.command()
@click.option("--install", is_flag=True, help="Install, enable and start it (as root).")
@click.option("--user", metavar="NAME", help="Who runs it (default: the owner of the configuration).")
@takes_place
def startup(place: Place, install: bool, user: str | None) -> None:
    """Show or install the systemd unit, so that everything is back after a reboot."""
    account = account_of(place, user)
    text = unit(place, account, os.environ.get("PATH", os.defpath))
    if install:
        _install(unit_name(place), text)
        return
    click.echo(text, nl=False)
    path = shutil.which("gapura") or f"{sys.executable} -P -m gapura.cli"
    again = f'sudo env "PATH=$PATH" {path} startup -c {place.file} --install'
    click.echo(f"\n# To install it as {UNITS}/{unit_name(place)}:\n#   {again}", err=True)


def account_of(place: Place, user: str | None) -> Account:
    """The account that is to run the service. Raises `CommandError` when there is none of that name."""
    try:
        entry = pwd.getpwnam(user) if user else pwd.getpwuid(os.stat(place.file).st_uid)
    except KeyError:
        raise CommandError(f"there is no user {user or 'that owns ' + short(place.file)}", "name one with --user") from None
    return Account(entry.pw_name, entry.pw_uid)


def unit(place: Place, account: Account, path: str) -> str:
    """The text of the unit. `path` is the PATH in which the apps find their programs (node from nvm, for example)."""
    folder = os.path.dirname(place.file)
    owner = ""
    if account.uid != 0:
        # Low ports come by a capability, so that nothing ever runs as root.
        owner = f"User={escape(account.name)}\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n"
    return TEMPLATE.format(
        shown=escape(place.file),
        owner=owner,
        folder=escape(folder),
        writable=quote(folder),
        path=quote(f"PATH={path}"),
        command=" ".join(quote(word) for word in (sys.executable, "-P", "-m", "gapura.master", place.file)),
        folders=_SYSTEM_FOLDERS if is_system(place.file) else "",
        # A root master gives its apps other users, which set-uid programs do not need; sudo in an app stays possible there.
        no_new_privileges="yes" if account.uid else "no",
    )


def unit_name(place: Place) -> str:
    """`gapura.service` for the system's configuration, else one named after the folder, so that several can live together."""
    if is_system(place.file):
        return "gapura.service"
    words = re.sub(r"[^A-Za-z0-9_.-]+", "-", os.path.basename(os.path.dirname(place.file))).strip("-.")
    return f"gapura-{words}.service" if words else "gapura.service"


def escape(text: str) -> str:
    """A value in a unit file, where % begins a specifier (systemd.unit(5)). Raises `CommandError` for a line break."""
    if not text.isprintable():
        raise CommandError(f"{text!r} cannot stand in a systemd unit", "rename it without control characters")
    return text.replace("%", "%%")


def quote(word: str) -> str:
    """One word of a command line in a unit file (systemd.syntax(7)): specifiers, variables and blanks are not interpreted."""
    word = escape(word).replace("\\", "\\\\").replace('"', '\\"')
    word = word.replace("$", "$$") if not word.startswith("PATH=") else word
    return f'"{word}"' if re.search(r"[\s\"'\\;]", word) else word


def _install(name: str, text: str) -> None:
    """Write, enable and start the unit. Raises `CommandError`."""
    if os.geteuid() != 0:
        raise CommandError("only root may install a systemd unit", 'sudo env "PATH=$PATH" gapura startup --install')
    if not os.path.isdir("/run/systemd/system"):
        raise CommandError(
            "this machine was not started by systemd",
            "in a container make `gapura up` the command that it runs; it is able to be process 1",
        )
    path = os.path.join(UNITS, name)
    fresh = f"{path}.new"
    with open(fresh, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(fresh, path)
    for command in (["systemctl", "daemon-reload"], ["systemctl", "enable", "--now", name]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CommandError(f"`{' '.join(command)}` failed", (done.stderr or done.stdout).strip())
    click.echo(f"{path} is installed and running: systemctl status {name}")
