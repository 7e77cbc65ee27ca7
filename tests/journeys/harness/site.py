"""Gapura itself, started from a file through the command line as a user would, and everything that belongs to it."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from gapura import ipc

from .client import HOST
from .proc import alive, command_line, marked

GAPURA = str(Path(sys.executable).parent / "gapura")
APP = str(Path(__file__).with_name("app.py"))
MARK = "JOURNEY"
"""Environment variable that names the journey in every process that belongs to it."""

Status = dict[str, Any]


_given: set[int] = set()


def free_port() -> int:
    """A port of 127.0.0.1 that the kernel has just given out, never the same one twice: the first may not be in use yet."""
    while True:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port: int = sock.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port


def free_ports(count: int) -> int:
    """The first of so many free ports side by side."""
    while True:
        first = free_port()
        try:
            for port in range(first, first + count):
                with socket.socket() as sock:
                    sock.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            continue
        _given.update(range(first, first + count))
        return first


def program(*options: str) -> str:
    """The command of a test program (`app.py`) with these options."""
    return shlex.join([sys.executable, "-S", "-E", APP, *options])


def toml(value: object) -> str:
    """A value as TOML writes it in one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def section(name: str, **words: object) -> str:
    """A table of gapura.toml."""
    return f"[{name}]\n" + "".join(f"{word} = {toml(value)}\n" for word, value in words.items()) + "\n"


def route(path: str, host: str = HOST, **words: object) -> str:
    """One of a site's routes."""
    return "[" + section(f'sites."{host}".routes', path=path, **words).replace("]", "]]", 1)


class Site:
    """A folder with a gapura.toml and the processes that `gapura up` makes of it.

    `configure` collects sections and writes the file; the site `shop.test` proxies to `shop` unless told otherwise.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "gapura.toml"
        self.logs = folder / ".gapura" / "logs"
        self.port = free_port()
        self.mark = uuid.uuid4().hex
        self.prefix: list[str] = []
        """Words before `gapura up`: another network or process namespace."""
        self._masters: list[subprocess.Popen[bytes]] = []

    # -- the file ---------------------------------------------------------------------------------------------------------

    def configure(self, *sections: str, listen: Iterable[int] = (), workers: int = 2, proxy: str = "shop", user: str = "") -> None:
        """Write gapura.toml: the edge on `self.port` and more, the given sections, and the site `shop.test`."""
        http = [f"127.0.0.1:{port}" for port in (self.port, *listen)]
        parts = [section("edge", http=http, workers=workers, user=user), *sections]
        if proxy:
            parts.append(section(f'sites."{HOST}"', proxy=proxy))
        self.write("".join(parts))

    def write(self, text: str) -> None:
        """Put a file of this text in the place of gapura.toml."""
        self.file.write_text(text)

    def app(self, *options: str, name: str = "shop", command: str = "", instances: int = 2, **words: object) -> str:
        """The section of an app that runs the test program (or `command`), marked as ours."""
        environment = {MARK: self.mark}
        return section(f"apps.{name}", command=command or program(*options), instances=instances, env=environment, **words)

    # -- commands ---------------------------------------------------------------------------------------------------------

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, MARK: self.mark}

    def gapura(self, *words: str, check: bool = True, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; with `check` it must succeed."""
        done = subprocess.run(
            [GAPURA, *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"gapura {shlex.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def up(self, ready: bool = True) -> None:
        """`gapura up -d`, then wait until every instance is ready."""
        if self.prefix:
            self.foreground()
        else:
            self.gapura("up", "-d")
        if ready:
            self.wait(settled, within=90)

    def foreground(self, *words: str) -> subprocess.Popen[bytes]:
        """`gapura up` as a child of the test, its output in up.log; returns when it answers commands."""
        with (self.folder / "up.log").open("ab") as log:
            master = subprocess.Popen(
                [*self.prefix, GAPURA, "up", *words],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._masters.append(master)
        self.wait(lambda status: True, within=60)
        return master

    def ask(self, name: str, **arguments: object) -> dict[str, Any]:
        """Send a command over the control socket, as the command line does. Raises OSError when nobody listens."""
        channel = ipc.connect(str(self.folder / ".gapura"))
        try:
            message = channel.ask({"type": "command", "name": name, **arguments}, timeout=60)
            while message["type"] != "reply":
                message = channel.wait(60)
            return message
        finally:
            channel.close()

    def status(self) -> Status:
        """The document of `gapura status --json`. Raises OSError as long as there is none."""
        reply = self.ask("status")
        if not reply["ok"]:
            raise BlockingIOError(reply["error"])
        return reply

    def wait(self, condition: Callable[[Status], object], within: float = 60.0) -> Status:
        """Wait until the status fulfils a condition; the status that did."""
        deadline = time.monotonic() + within
        last: object = None
        while time.monotonic() < deadline:
            try:
                last = status = self.status()
                if condition(status):
                    return status
            except (OSError, KeyError, IndexError) as error:
                last = error
            time.sleep(0.02)
        shown = json.dumps(last, indent=1) if isinstance(last, dict) else repr(last)
        raise AssertionError(f"not within {within} s; the last status was {shown}")

    # -- looking at parts -------------------------------------------------------------------------------------------------

    def instances(self, app: str = "shop") -> list[dict[str, Any]]:
        return instances(self.status(), app)

    def kill(self, index: int = 0, sig: int = signal.SIGKILL, app: str = "shop") -> int:
        """Signal the process that the status shows for an instance; its process id."""
        pid = int(self.instances(app)[index]["pid"])
        assert pid > 1, "the instance does not run"
        os.kill(pid, sig)
        return pid

    def worker_pids(self) -> list[int]:
        return [int(worker["pid"]) for worker in self.status()["workers"]]

    # -- the end ----------------------------------------------------------------------------------------------------------

    def down(self) -> None:
        """`gapura down`, after which no process of the journey may be left."""
        self.gapura("down")
        self.nothing_left()

    def nothing_left(self, within: float = 30.0) -> None:
        """No process carries the journey's mark any more. The master itself ends a moment after its last answer."""
        deadline = time.monotonic() + within
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not left, f"left behind: {[(pid, command_line(pid)) for pid in left]}"

    def processes(self) -> list[int]:
        return marked(MARK, self.mark)

    def sweep(self) -> None:
        """End by force whatever a failed journey left, and show what Gapura had to say."""
        for pid in self.processes():
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        for master in self._masters:
            master.wait(timeout=60)
        for log in (self.folder / "up.log", *sorted(self.logs.glob("*.log"))):
            if log.exists() and log.name != "access.log":
                text = log.read_text(errors="replace")
                print(f"--- {log.name}\n{text[-4000:]}")


def instances(status: Status, app: str = "shop") -> list[dict[str, Any]]:
    """The instances of an app in a status."""
    found: list[dict[str, Any]] = next(one for one in status["apps"] if one["name"] == app)["instances"]
    return found


def servers(status: Status, upstream: str = "shop") -> dict[str, dict[str, Any]]:
    """The servers of an upstream in a status, by address or id."""
    return {one["id"]: one for one in next(one for one in status["upstreams"] if one["name"] == upstream)["servers"]}


def settled(status: Status) -> bool:
    """Every instance ready, every server of an app up, every worker on the generation."""
    ready = all(one["state"] == "ready" for app in status["apps"] for one in app["instances"])
    return ready and all(worker["generation"] == status["generation"] for worker in status["workers"])


def replaced(index: int, pid: int, app: str = "shop") -> Callable[[Status], bool]:
    """Condition: an instance's process is no longer this one."""
    return lambda status: instances(status, app)[index]["pid"] != pid


def plain(text: str) -> str:
    """Text of a terminal without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
