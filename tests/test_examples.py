"""The example apps, started by themselves: their pages, which copy answers, how they begin and end."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


class App:
    """A copy of an example app that runs on a port of its own."""

    def __init__(self, argv: list[str], directory: Path, **env: str) -> None:
        self.process = subprocess.Popen(
            argv, cwd=directory, env={"PATH": os.environ["PATH"], "PORT": "0", **env}, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        self.greeting = self.process.stdout.readline()
        self.port = int(self.greeting.rsplit(":", 1)[-1])

    def get(self, target: str, method: str = "GET") -> tuple[http.client.HTTPResponse, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, target)
            response = connection.getresponse()
            return response, response.read().decode()

    def end(self) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def __enter__(self) -> App:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()


def dumbflix(folder: Path, **env: str) -> App:
    return App(
        [sys.executable, str(EXAMPLES / "dumbflix" / "app.py")], folder, DUMBFLIX_DATABASE=str(folder / "films.sqlite3"), **env
    )


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with dumbflix(tmp_path_factory.mktemp("dumbflix"), GAPURA_INSTANCE="1") as running:
        yield running


def test_the_catalogue_shows_every_film_with_a_poster(app: App) -> None:
    response, page = app.get("/")
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.count('<div class="poster"><svg') == 18
    assert page.count('role="img"') == 18
    assert "A Quiet Failover" in page
    assert "prefers-color-scheme: dark" in page


def test_a_page_is_one_request(app: App) -> None:
    """Were anything fetched beside the page, two copies in turn would show the same one at every reload."""
    for target in ("/", "/films/1", "/no-such-page"):
        page = app.get(target)[1]
        assert not re.findall(r'(?:src|href)="(?!/|data:|/films)[^"]*"', page), target
        assert "<script" not in page
        assert "@import" not in page
        assert "url(http" not in page


def test_the_badge_names_the_copy(app: App) -> None:
    page = app.get("/")[1]
    assert "answered by copy 1" in page
    assert f"pid {app.process.pid} · port {app.port}" in page


def test_an_answer_is_never_stored(app: App) -> None:
    assert app.get("/")[0].headers["Cache-Control"] == "no-store"


def test_a_film_has_a_page(app: App) -> None:
    response, page = app.get("/films/3")
    assert response.status == 200
    assert "<h1>Round Robin</h1>" in page
    assert "Four siblings inherit one warung" in page


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("q=gate", {"The Last Gate"}),
        ("q=GATE+", {"The Last Gate"}),
        ("q=Wulan", {"The Last Gate", "A Quiet Failover", "Eleven Idle Stars"}),
        ("genre=Romance", {"Cinnamon Station"}),
        ("genre=Family&q=oma", {"Grandmother's Firewall"}),
        ("q=%25", set()),
        ("q=_", set()),
        ("q='%20OR%201=1%20--", set()),
        ("q=no+such+film", set()),
    ],
)
def test_search(app: App, query: str, titles: set[str]) -> None:
    response, text = app.get(f"/api/films?{query}")
    assert response.headers["Content-Type"] == "application/json"
    assert {film["title"] for film in json.loads(text)["films"]} == titles


def test_what_is_searched_for_is_escaped(app: App) -> None:
    page = app.get("/?q=%3Cscript%3Ealert(1)%3C/script%3E")[1]
    assert "<script" not in page
    assert "0 found for “&lt;script&gt;" in page


def test_the_api_names_the_copy(app: App) -> None:
    document = json.loads(app.get("/api/films")[1])
    assert document["answered_by"] == {"number": "1", "pid": app.process.pid, "port": app.port}
    assert len(document["films"]) == 18


@pytest.mark.parametrize(
    "target",
    [b"/films/999", b"/films/x", b"/films/-1", b"/films/" + b"9" * 200, b"/films/\xb2", b"/api", b"/../app.py", b"/films.sql"],
)
def test_not_found(app: App, target: bytes) -> None:
    with socket.create_connection(("127.0.0.1", app.port), timeout=60) as client:
        client.sendall(b"GET " + target + b" HTTP/1.0\r\n\r\n")
        answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert b"There is no such page" in answer


def test_head_has_the_length_and_no_body(app: App) -> None:
    response, body = app.get("/", "HEAD")
    assert body == ""
    assert int(response.headers["Content-Length"]) > 10_000


def test_one_connection_carries_many_requests(app: App) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=60)
    with contextlib.closing(connection):
        connection.connect()
        first = connection.sock
        for _ in range(5):
            connection.request("GET", "/films/2")
            assert connection.getresponse().read()
        assert connection.sock is first


def test_a_client_that_leaves_midway_does_no_harm(app: App) -> None:
    with socket.create_connection(("127.0.0.1", app.port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
    assert app.get("/")[0].status == 200


def test_many_clients_at_once(app: App) -> None:
    statuses: list[int] = []

    def visit() -> None:
        statuses.extend(app.get("/films/1")[0].status for _ in range(5))

    visitors = [threading.Thread(target=visit) for _ in range(16)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    assert statuses == [200] * 80


def test_copies_that_start_at_once_share_one_whole_database(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        copies = [stack.enter_context(dumbflix(tmp_path, GAPURA_INSTANCE=str(number))) for number in range(4)]
        for copy in copies:
            assert len(json.loads(copy.get("/api/films")[1])["films"]) == 18
        assert [path.name for path in tmp_path.iterdir()] == ["films.sqlite3"]
    with contextlib.closing(sqlite3.connect(tmp_path / "films.sqlite3")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_sigterm_ends_it_at_once_though_a_connection_is_idle(tmp_path: Path) -> None:
    with dumbflix(tmp_path) as app:
        connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("GET", "/")
            assert connection.getresponse().read()
            assert app.end() == 0


def test_sigterm_lets_a_request_finish(tmp_path: Path) -> None:
    """The database is locked while a request reads it; SIGTERM comes; then the lock goes: the answer is whole."""
    with dumbflix(tmp_path) as app, contextlib.closing(sqlite3.connect(tmp_path / "films.sqlite3", isolation_level=None)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("GET", "/films/1")
            wait_until_received(app.port)
            app.process.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                app.process.wait(timeout=0.3)
            lock.execute("ROLLBACK")
            response = connection.getresponse()
            assert response.status == 200
            assert "The Last Gate" in response.read().decode()
        assert app.process.wait(timeout=60) == 0


def wait_until_received(port: int) -> None:
    """Until the app has read all that its clients sent: no queue of the kernel's towards `port` holds bytes."""
    at = f":{port:04X} "
    while True:
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines() if at in line]
        established = [row for row in rows if row[3] == "01" and row[1].endswith(at.strip())]
        if established and all(row[4] == "00000000:00000000" for row in established):
            return


@pytest.mark.parametrize("name", ["dumbflix", "node"])
def test_the_file_is_the_six_lines_of_the_readme(name: str) -> None:
    text = (EXAMPLES / name / "gapura.toml").read_text()
    assert len(text.splitlines()) == 6
    document = tomllib.loads(text)
    assert document["apps"][name]["instances"] == 2
    assert document["sites"][f"{name}.localhost"] == {"proxy": name}


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
def test_the_node_example() -> None:
    folder = EXAMPLES / "node"
    start = json.loads((folder / "package.json").read_text())["scripts"]["start"]
    with App(start.split(), folder, GAPURA_INSTANCE="1") as app:
        response, page = app.get("/")
        assert response.status == 200
        assert "<b>1</b>" in page
        assert f"pid {app.process.pid} · port {app.port} · page 1" in page
        assert "page 2" in app.get("/")[1]
        assert app.get("/favicon.ico")[0].status == 404
        response, body = app.get("/", "HEAD")
        assert body == ""
        assert int(response.headers["Content-Length"]) > 500
        assert app.end() == 0
