from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from .client import get
from .edge import Edge

SITES = '[sites."gapura.localhost"]\ndashboard = true\n'


class Control:
    """Takes one request at the dashboard's socket, and notes what the edge says."""

    def __init__(self, folder: Path) -> None:
        os.makedirs(folder, exist_ok=True)
        self.path = folder / "dashboard.sock"
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(str(self.path))
        self.sock.listen()
        self.sock.setblocking(False)

    async def serve(self, edge: Edge) -> dict[str, list[str]]:
        """Answer one request; its header fields."""
        client, _ = await edge.loop.sock_accept(self.sock)
        with client:
            client.setblocking(False)
            data = b""
            while b"\r\n\r\n" not in data:
                data += await edge.loop.sock_recv(client, 65536)
            await edge.loop.sock_sendall(client, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        found: dict[str, list[str]] = {}
        for line in data.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")[1:]:
            name, _, value = line.partition(": ")
            found.setdefault(name.lower(), []).append(value)
        return found


@pytest.fixture
def control(edge: Edge) -> object:
    made = Control(edge.folder / ".gapura")
    yield made
    made.sock.close()


async def visit(edge: Edge, control: Control, *lines: str, text: str = SITES) -> dict[str, list[str]]:
    await edge.start(text)
    client = await edge.client()
    client.send(get("/v1/me", *lines, host="gapura.localhost"))
    fields = await control.serve(edge)
    answer = await client.answer("GET")
    assert answer.status == 200
    assert answer.get("x-served-by") is None, "it would tell where the state folder is"
    return fields


async def test_control_is_told_who_it_is(edge: Edge, control: Control) -> None:
    fields = await visit(edge, control)
    [said] = fields["x-gapura-visitor"]
    way, scheme, client, peer, port, local, own = said.split(" ")
    assert (way, scheme, client, peer, local, own) == ("direct", "http", "127.0.0.1", "127.0.0.1", "127.0.0.1", str(edge.port))
    assert int(port) > 0


@pytest.mark.parametrize(
    "line",
    [
        "X-Forwarded-For: 127.0.0.1",
        "x-forwarded-host: gapura.localhost",
        "X-Forwarded-Anything: 1",
        "Forwarded: for=127.0.0.1",
        "X-Real-IP: 127.0.0.1",
        "Via: 1.1 a",
        "CF-Connecting-IP: 127.0.0.1",
        "True-Client-IP: 127.0.0.1",
        "Max-Forwards: 1",
    ],
)
async def test_other_proxies_are_told_of(edge: Edge, control: Control, line: str) -> None:
    fields = await visit(edge, control, line)
    assert fields["x-gapura-visitor"][0].startswith("proxied http 127.0.0.1 ")


@pytest.mark.parametrize(
    "line", ["X-Gapura-Visitor: direct https 127.0.0.1 127.0.0.1 1 127.0.0.1 1", "x-gapura-visitor: a", "X_Gapura_Visitor: a"]
)
async def test_a_visitor_says_nothing_about_himself(edge: Edge, control: Control, line: str) -> None:
    fields = await visit(edge, control, line)
    [said] = fields["x-gapura-visitor"]
    assert said.endswith(f" 127.0.0.1 {edge.port}")
    assert "x_gapura_visitor" not in fields
