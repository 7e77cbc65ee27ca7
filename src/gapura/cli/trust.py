"""`gapura trust`: has this machine and its browsers believe the local CA, or no longer."""

from __future__ import annotations

import glob
import hashlib
import os
import pwd
import shutil
import ssl
import subprocess
import tempfile
from typing import Final, NamedTuple

import click

from gapura.cli.place import Place, short, takes_place
from gapura.config.place import paths_of
from gapura.errors import CommandError

STORES: Final = (
    ("/usr/local/share/ca-certificates", ".crt", ("update-ca-certificates",)),
    ("/etc/pki/ca-trust/source/anchors", ".pem", ("update-ca-trust", "extract")),
    ("/etc/ca-certificates/trust-source/anchors", ".pem", ("trust", "extract-compat")),
    ("/etc/pki/trust/anchors", ".pem", ("update-ca-certificates",)),
)
"""Folders of the system's own CAs, the ending of files there, what makes them count: Debian, Fedora, Arch, SUSE."""
FIREFOX: Final = (".mozilla/firefox", "snap/firefox/common/.mozilla/firefox", ".var/app/org.mozilla.firefox/.mozilla/firefox")
"""Folders of Firefox' profiles in a home."""
CHROME: Final = (".pki/nssdb", "snap/chromium/current/.pki/nssdb")
"""The databases of Chrome and Chromium in a home; the first is made if need be."""
_PATIENCE: Final = 60.0


class Root(NamedTuple):
    """The local CA: its certificate's file and text, and a name for it that no other has."""

    file: str
    pem: str
    nickname: str


@click.command()
@click.option("--print", "as_text", is_flag=True, help="Print the root certificate as PEM, for other machines, and change nothing.")
@click.option("--remove", is_flag=True, help="Have nobody believe it any more.")
@takes_place
def trust(place: Place, as_text: bool, remove: bool) -> None:
    """Have this machine and its browsers believe the local CA that signs for names like app.localhost.

    The system's store needs root; the databases of Chrome, Chromium and Firefox are those of whoever calls it (with sudo: of who
    called sudo) and need certutil. Windows and macOS import the file that --print gives.
    """
    root = find(place)
    if as_text:
        click.echo(root.pem, nl=False)
        return
    done, left = system(root, remove)
    home, user = _home()
    more, missing = browsers(root, home, user, remove)
    for line in (*done, *more):
        click.echo(line)
    for line in (*left, *missing):
        click.echo(line, err=True)
    if not (done or more):
        raise CommandError("nothing was changed", "the lines above tell why")


def find(place: Place) -> Root:
    """The local CA of a configuration. Raises `CommandError`."""
    path = os.path.join(paths_of(place.file)["lib"], "ca", "root.pem")
    try:
        with open(path, encoding="ascii") as stream:
            text = stream.read()
        fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(text)).hexdigest()
    except FileNotFoundError:
        hint = 'it is made with the first certificate that it signs: give a site tls = "auto" and start Gapura'
        raise CommandError("there is no local CA yet", hint) from None
    except ValueError:
        raise CommandError(f"{short(path)} is no certificate", "remove it: Gapura makes a new one") from None
    return Root(path, text, f"Gapura local CA {fingerprint[:16]}")


def system(root: Root, remove: bool) -> tuple[list[str], list[str]]:
    """Change the system's store: what was done, and what was not and why."""
    name = root.nickname.lower().replace(" ", "-")
    store = next(((folder, end, command) for folder, end, command in STORES if os.path.isdir(folder)), None)
    if store is None or shutil.which(store[2][0], path=_search()) is None:
        return [], ["This system's store of CAs is not known: import the certificate by hand (gapura trust --print)."]
    folder, end, command = store
    path = os.path.join(folder, name + end)
    if remove == (not os.path.exists(path)):
        return [f"{folder}: {'it was not there' if remove else 'it was there already'}."], []
    try:
        if remove:
            os.unlink(path)
        else:
            _write(path, root.pem)
    except PermissionError:
        return [], [f'{folder} may be changed by root only: sudo env "PATH=$PATH" gapura trust{" --remove" if remove else ""}']
    except OSError as error:
        return [], [f"{path} cannot be changed: {error.strerror}"]
    failure = _run([*command, *(["--fresh"] if remove and command[0] == "update-ca-certificates" else [])], None)
    if failure:
        return [], [f"{path} was changed, but {command[0]} failed: {failure}"]
    return [f"{path} {'removed' if remove else 'written'}, {command[0]} run: curl, Python and others here {_believe(remove)}."], []


def browsers(root: Root, home: str, user: str, remove: bool) -> tuple[list[str], list[str]]:
    """Change the databases of browsers in a home, as its owner: what was done, and what was not and why."""
    databases = [os.path.join(home, path) for path in CHROME if os.path.isdir(os.path.join(home, path))]
    for path in FIREFOX:
        databases += sorted(os.path.dirname(file) for file in glob.glob(os.path.join(glob.escape(home), path, "*", "cert9.db")))
    certutil = shutil.which("certutil", path=_search())
    if certutil is None:
        if not databases and not any(
            os.path.isdir(os.path.join(home, path)) for path in (".config/chromium", ".config/google-chrome")
        ):
            return [], []
        return [], [
            "Browsers have stores of their own, and certutil is missing: install libnss3-tools (Debian), nss-tools (Fedora)."
        ]
    first = os.path.join(home, CHROME[0])
    if first not in databases and not remove:
        failure = _make(certutil, first, user)
        if failure:
            return [], [f"{first} cannot be made: {failure}"]
        databases.insert(0, first)
    done, left = [], []
    for database in databases:
        failure = _change(certutil, database, root, user, remove)
        if failure:
            left.append(f"{database}: {failure}")
        else:
            done.append(f"{database}: this browser {_believe(remove, one=True)}, once it is started again.")
    return done, left


def _make(certutil: str, database: str, user: str) -> str:
    """Make an empty database; "" or what went wrong."""
    return _run(["mkdir", "-p", "-m", "700", database], user) or _run(
        [certutil, "-d", f"sql:{database}", "-N", "--empty-password"], user
    )


def _change(certutil: str, database: str, root: Root, user: str, remove: bool) -> str:
    """Put the CA into a database, or take it out; "" or what went wrong."""
    there = not _run([certutil, "-d", f"sql:{database}", "-L", "-n", root.nickname], user)
    if remove:
        return _run([certutil, "-d", f"sql:{database}", "-D", "-n", root.nickname], user) if there else ""
    if there:
        return ""
    with tempfile.NamedTemporaryFile("w", prefix="gapura-", suffix=".pem") as copy:  # the original lies where only Gapura may look
        copy.write(root.pem)
        copy.flush()
        os.fchmod(copy.fileno(), 0o644)
        return _run([certutil, "-d", f"sql:{database}", "-A", "-t", "C,,", "-n", root.nickname, "-i", copy.name], user)


def _run(command: list[str], user: str | None) -> str:
    """Run a program, as another user if need be; "" or what it said when it failed."""
    environment = {"PATH": _search(), "LC_ALL": "C"}
    try:
        account = pwd.getpwnam(user) if user and os.geteuid() == 0 else None
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            env=environment,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, KeyError) as error:
        return str(error)
    said = (done.stderr or done.stdout).strip().splitlines()
    return "" if done.returncode == 0 else (said[-1] if said else f"status {done.returncode}")


def _write(path: str, text: str) -> None:
    fresh = path + ".new"
    with open(fresh, "w", encoding="ascii") as stream:
        stream.write(text)
    os.chmod(fresh, 0o644)
    os.replace(fresh, path)


def _home() -> tuple[str, str]:
    """Whose browsers are meant: home and name of who called sudo, or of who we are ("")."""
    name = os.environ.get("SUDO_USER", "") if os.geteuid() == 0 else ""
    if name and name != "root":
        try:
            return pwd.getpwnam(name).pw_dir, name
        except KeyError:
            pass
    return os.path.expanduser("~"), ""


def _search() -> str:
    return os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"


def _believe(remove: bool, one: bool = False) -> str:
    return f"no longer believe{'s' if one else ''} it" if remove else f"believe{'s' if one else ''} it"
