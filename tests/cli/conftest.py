"""A folder with a configuration, a master that says what a test wants, and commands run in this process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gapura import ipc
from gapura.cli import main

CONFIG = """\
[edge]
http = "127.0.0.1:8099"
workers = 1

[apps.shop]
command = "python3 app.py"
directory = "."
instances = 2

[upstreams.api]
servers = [
  { address = "127.0.0.1:3000", weight = 2 },
  { address = "127.0.0.1:3001", down = true },
  { address = "127.0.0.1:3002", backup = true },
]

[sites."shop.localhost"]
proxy = "shop"

[sites."alvin.xyz"]
[[sites."alvin.xyz".routes]]
path = "/"
proxy = "api"
[[sites."alvin.xyz".routes]]
path = "/old/"
redirect = "https://alvin.xyz/new/$rest"

[sites."*.alvin.xyz"]
respond = "hello"
"""


def instance(index: int, **words: Any) -> dict[str, Any]:
    return {
        "index": index,
        "pid": 4000 + index,
        "address": f"127.0.0.1:{5000 + index}",
        "state": "ready",
        "restarts": 0,
        "memory_bytes": 25_000_000,
        "uptime_seconds": 3700.0,
        "cause": "",
        "hint": "",
        "tail": [],
    } | words


def server(name: str, **words: Any) -> dict[str, Any]:
    return {
        "id": name,
        "address": name,
        "weight": 1,
        "backup": False,
        "state": "up",
        "condition": "up",
        "active": 0,
        "requests": 7,
        "fails": 0,
    } | words


def document() -> dict[str, Any]:
    """A status document as the master sends it."""
    route = {
        "name": "/",
        "kind": "prefix",
        "path": "/",
        "action": "proxy",
        "upstream": "shop",
        "folder": "",
        "status": 0,
        "location": "",
    }
    crashed = {
        "state": "crashed",
        "pid": None,
        "address": None,
        "cause": "port 5001 is held by pid 9202, node server.js",
        "hint": "stop it, or choose another port",
        "tail": ["one", "Error: listen EADDRINUSE"],
    }
    return {
        "version": "9.9.9",
        "generation": 3,
        "listeners": [{"address": "127.0.0.1:8099"}],
        "master": {"pid": 101},
        "control": {"pid": 102},
        "workers": [{"pid": 103, "generation": 3}, {"pid": 104, "generation": 3}],
        "sites": [
            {"hosts": ["shop.localhost"], "routes": [route]},
            {"hosts": ["*"], "routes": [route | {"action": "files", "folder": "/srv"}]},
        ],
        "apps": [{"name": "shop", "state": "ready", "instances": [instance(0), instance(1, **crashed)]}],
        "upstreams": [
            {
                "name": "shop",
                "policy": "round_robin",
                "servers": [
                    server("shop:0", address="127.0.0.1:5000"),
                    server("shop:1", address="", state="down", condition="crashed"),
                ],
            },
            {
                "name": "api",
                "policy": "least_conn",
                "servers": [
                    server("127.0.0.1:3000", weight=2, state="unhealthy", condition="unhealthy"),
                    server("127.0.0.1:3001", state="down", condition="down"),
                    server("127.0.0.1:3002", backup=True),
                ],
            },
        ],
    }


class FakeMaster:
    """Listens on a control socket and answers each command with what `says` holds for its name."""

    def __init__(self, run: Path) -> None:
        run.mkdir(parents=True, exist_ok=True)
        self.heard: list[dict[str, Any]] = []
        self.says: dict[str, list[dict[str, Any]] | None] = {"status": [self.ok(**document())]}
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.bind(ipc.socket_path(str(run)))
        self._sock.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @staticmethod
    def ok(**result: Any) -> dict[str, Any]:
        return {"type": "reply", "ok": True, **result}

    def commands(self, name: str) -> list[dict[str, Any]]:
        """The commands of this name that were heard, without type and name."""
        return [{k: v for k, v in one.items() if k not in ("type", "name")} for one in self.heard if one.get("name") == name]

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._sock.accept()
            except OSError:
                return
            channel = ipc.Channel(sock)
            try:
                message = channel.wait(10)
                self.heard.append(message)
                for answer in self.says.get(message["name"]) or []:
                    channel.send(answer)
            except ipc.ChannelClosed:
                pass
            finally:
                channel.close()

    def close(self) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        self._thread.join()


class Done(NamedTuple):
    """What a command has said and how it ended."""

    status: int
    out: str
    err: str


Gapura = Callable[..., Done]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a configuration in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gapura.toml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def master(folder: Path) -> Iterator[FakeMaster]:
    """Something that runs with the configuration of `folder`."""
    one = FakeMaster(folder / ".gapura")
    yield one
    one.close()


@pytest.fixture
def gapura(capsys: pytest.CaptureFixture[str]) -> Gapura:
    """Run a command line in this process."""

    def command(*words: str) -> Done:
        capsys.readouterr()
        status = main.run(list(words))
        return Done(status, *capsys.readouterr())

    return command
