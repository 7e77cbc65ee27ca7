"""The admin API of a real Gapura through its socket: what it shows of a crash, and whether it keeps to its document."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.config import ChecksConfig, GenerationConfig, PositiveDataAcceptanceConfig, ProjectConfig, ProjectsConfig

from .harness.client import HOST, visit
from .harness.site import Site, section

EXAMPLES = 2


class Connection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(str(self._path))


def ask(site: Site, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """One request to the API: the status, and the document."""
    connection = Connection(site.folder / ".gapura" / "admin.sock")
    data = None if body is None else json.dumps(body)
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, data, {"Content-Type": "application/json", **fields} if data else fields)
    response = connection.getresponse()
    found = response.read()
    connection.close()
    return response.status, json.loads(found) if found else None


class Stream:
    """`/v1/live` as it comes, read by a thread."""

    def __init__(self, site: Site) -> None:
        self.messages: list[tuple[str, Any]] = []
        self._news = threading.Condition()
        self._connection = Connection(site.folder / ".gapura" / "admin.sock")
        self._connection.request("GET", "/v1/live")
        self._response = self._connection.getresponse()
        self._sock = self._connection.sock
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        kind = ""
        try:
            for line in self._response:
                text = line.decode().rstrip("\n")
                if text.startswith("event: "):
                    kind = text[7:]
                elif text.startswith("data: "):
                    with self._news:
                        self.messages.append((kind, json.loads(text[6:])))
                        self._news.notify_all()
        except (OSError, ValueError, http.client.HTTPException):
            pass  # closed

    def wait(self, kind: str, true: Callable[[Any], object]) -> Any:
        """The first message of a kind that fulfils a condition."""

        def found() -> Any:
            return next((data for name, data in self.messages if name == kind and true(data)), None)

        with self._news:
            assert self._news.wait_for(found, 60), f"no {kind} of this kind; the last: {self.messages[-1:]}"
            return found()

    def close(self) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(60)
        self._response.close()
        self._connection.close()


@pytest.fixture
def stream(site: Site) -> Iterator[Callable[[], Stream]]:
    opened: list[Stream] = []

    def start() -> Stream:
        opened.append(Stream(site))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_a_crash_is_seen_live_and_explained(site: Site, stream: Callable[[], Stream]) -> None:
    site.configure(site.app(instances=2))
    site.up()
    live = stream()
    picture = live.wait("picture", lambda data: True)
    assert [server["id"] for server in picture["upstreams"][0]["servers"]] == ["shop:0", "shop:1"]
    assert ask(site, "POST", "/v1/try", {"site": HOST, "requests": 20, "per_second": 200})[1]["statuses"] == {"200": 20}
    tick = live.wait("tick", lambda data: data["sites"].get(HOST))
    assert tick["total"]["rps"] > 0
    assert tick["requests"][0]["site"] == HOST
    assert tick["requests"][0]["upstream"] == "shop"
    route = picture["sites"][0]["routes"][0]["row"]
    assert tick["routes"][str(route)]["rps"] == tick["sites"][HOST]["rps"]
    pid = site.kill(0)
    live.wait("event", lambda data: data["type"] == "app.crashed" and data["subject"] == "shop:0")
    back = live.wait("tick", lambda data: data["instances"]["shop:0"]["pid"] not in (None, pid))
    assert back["servers"]["shop/shop:1"]["state"] == "up"
    seconds = ask(site, "GET", f"/v1/history?site={HOST}&seconds=900")[1]["series"]
    assert sum(seconds["rps"]) == pytest.approx(20)
    answer = visit(site.port)
    name = answer.fields["x-request-id"]
    status, timeline = ask(site, "GET", f"/v1/requests/{name}")
    assert status == 200
    assert [stage["name"] for stage in timeline["stages"]][-2:] == ["first_byte", "done"]
    assert timeline["why"]
    site.down()


def test_it_keeps_to_its_document(site: Site) -> None:
    """schemathesis against all of it, through a real socket, master and file."""
    site.configure(site.app(instances=1), section("upstreams.dumbflix", servers=["127.0.0.1:9"]))
    site.up()

    async def through(scope: Any, receive: Any, send: Any) -> None:
        """An ASGI application that is the socket."""
        if scope["type"] != "http":
            raise RuntimeError("HTTP only")
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        status, headers, answer = await asyncio.to_thread(_forward, site, scope, body)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    generation = GenerationConfig(max_examples=EXAMPLES, deterministic=True, no_shrink=True, database="none")
    accepted = PositiveDataAcceptanceConfig(enabled=False)
    project = ProjectConfig(generation=generation, checks=ChecksConfig(positive_data_acceptance=accepted))
    config = schemathesis.Config(seed=1, projects=ProjectsConfig(default=project))
    schema = schemathesis.openapi.from_asgi("/openapi.json", through, config=config)
    seen = 0
    for result in schema.exclude(path="/v1/live").get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]

        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def check(case: Any) -> None:
            case.call_and_validate()

        check()
        seen += 1
    assert seen > 30
    assert visit(site.port).status == 200
    site.down()


def _forward(site: Site, scope: Any, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    connection = Connection(site.folder / ".gapura" / "admin.sock")
    query = scope["query_string"].decode("latin-1")
    target = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
    connection.putrequest(scope["method"], target, skip_host=True, skip_accept_encoding=True)
    for name, value in scope["headers"]:
        if name.lower() not in (b"content-length", b"transfer-encoding", b"connection"):
            connection.putheader(name.decode("latin-1"), value)
    if body or scope["method"] in ("POST", "PUT", "PATCH"):
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    response = connection.getresponse()
    data = response.read()
    connection.close()
    return response.status, [(name.lower().encode(), value.encode("latin-1")) for name, value in response.getheaders()], data
