"""`gapura dashboard`: the way to the dashboard in a browser."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from urllib.parse import urlsplit

import click

from gapura.cli import talk
from gapura.cli.place import Place, json_option, takes_place
from gapura.errors import CommandError


@click.command()
@click.option(
    "--open/--print", "opening", default=None, help="Open a browser, or only say the URL. Left out: open one if there is a screen."
)
@json_option
@takes_place
def dashboard(place: Place, opening: bool | None, as_json: bool) -> None:
    """Open the dashboard in a browser, logged in.

    The URL holds a code that logs one browser in with all rights; it is good for 60 seconds, once. Without a screen the
    URL is printed, with the line for `ssh` that makes it reachable from yours.
    """
    document = talk.ask(place, "status", timeout=talk.PATIENCE)
    found = document.get("dashboards") or []
    if not found:
        hint = "[admin] says dashboard = false, or no listener is on this machine's own addresses"
        raise CommandError("this Gapura shows no dashboard", hint)
    url = f"{found[0]}v1/login#{talk.ask(place, 'login_code', timeout=talk.PATIENCE)['code']}"
    if as_json:
        click.echo(json.dumps({"url": url, "dashboards": found}, indent=2))
        return
    if opening is None:
        opening = sys.stdout.isatty() and bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) and os.geteuid() != 0
    if opening and _opened(url):
        click.echo(f"The dashboard is opening: {found[0]}")
        return
    click.echo(url)
    click.echo("It logs one browser in, within 60 seconds.", err=True)
    for other in (url for url in found if url.startswith("https://")):
        click.echo(f"Also at {other} (with a token: gapura token create NAME)", err=True)
    if os.environ.get("SSH_CONNECTION"):
        port = urlsplit(url).port or 80
        click.echo(f"From your own machine first: ssh -L {port}:127.0.0.1:{port} HOST", err=True)


def _opened(url: str) -> bool:
    """Whether a browser took it."""
    program = next((name for name in ("xdg-open", "gio", "wslview") if shutil.which(name)), None)
    if program is None:
        return False
    words = [program, "open", url] if program == "gio" else [program, url]
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
