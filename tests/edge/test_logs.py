"""Which log a site and a route have, what shares a file, and what a reload does to them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.conftest import descriptors

from .client import get
from .edge import Edge, configuration

ROUTES = """
[sites."a.example"]
respond = "site"
access_log = "a.log"
[[sites."a.example".routes]]
path = "/health"
respond = "fine"
access_log = false
[[sites."a.example".routes]]
path = "/same"
respond = "fine"
access_log = { format = "same $uri" }
[[sites."a.example".routes]]
path = "/other"
respond = "fine"
access_log = "other.log"
[sites."b.example"]
access_log = { only = "4xx" }
[[sites."b.example".routes]]
path = "/there"
respond = "fine"
"""


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


async def ask(edge: Edge, *requests: tuple[str, str]) -> None:
    client = await edge.client()
    for host, path in requests:
        client.send(get(path, host=host))
        await client.answer()
    edge.worker.logs.flush()


async def test_each_has_its_own(edge: Edge) -> None:
    await edge.start(ROUTES, log="$host $uri $status")
    hosts = ("a.example", "/"), ("a.example", "/health"), ("a.example", "/same"), ("a.example", "/other"), ("b.example", "/there")
    await ask(edge, *hosts, ("b.example", "/nowhere"), ("c.example", "/"))
    assert lines(edge.folder / "a.log") == ["a.example / 200", "same /same"]
    assert lines(edge.folder / "other.log") == ["a.example /other 200"]
    assert lines(edge.log) == ["b.example /nowhere 404", "c.example / 421"]


async def test_one_path_is_one_file(edge: Edge) -> None:
    await edge.start(ROUTES, log="$uri")
    site = edge.worker.snapshot.router.sites[0]
    logs = {route.name: route.log for route in site.routes}
    assert logs[b"/health"] is None
    assert site.log is logs[b"/"]
    assert logs[b"/same"] is not logs[b"/"]
    assert logs[b"/same"].output is logs[b"/"].output  # type: ignore[union-attr]


async def test_a_reload_keeps_what_stays_and_closes_what_goes(edge: Edge) -> None:
    await edge.start(ROUTES, log="$uri")
    before = edge.worker.snapshot.router.sites[0]
    await ask(edge, ("a.example", "/1"))
    files = descriptors(edge.folder)
    await edge.serve(configuration(ROUTES.replace('"other.log"', '"a.log"'), {}, "$uri"))
    after = edge.worker.snapshot.router.sites[0]
    assert after.log is before.log
    assert descriptors(edge.folder) == files - 1
    late = next(route.log for route in before.routes if route.name == b"/other")
    assert late is not None
    late.output.lines.append(b"of an exchange that began before\n")
    edge.worker.logs.flush()
    assert lines(edge.folder / "other.log") == ["of an exchange that began before"]
    await edge.serve(configuration(ROUTES, {}, "$uri"))
    await ask(edge, ("a.example", "/other"))
    assert lines(edge.folder / "other.log")[1:] == ["/other"]


async def test_all_are_opened_anew(edge: Edge) -> None:
    await edge.start(ROUTES, log="$uri")
    await ask(edge, ("a.example", "/1"), ("b.example", "/2"))
    for name in ("a.log", "access.log"):
        os.rename(edge.folder / name, edge.folder / f"{name}.1")
    edge.say({"type": "reopen"})
    await edge.until((edge.folder / "a.log").exists)
    await ask(edge, ("a.example", "/3"), ("b.example", "/4"))
    assert (lines(edge.folder / "a.log"), lines(edge.log)) == (["/3"], ["/4"])


async def test_trouble_is_told_to_the_master(edge: Edge) -> None:
    await edge.start('[sites."*"]\nrespond = "hi"\n', access_log={"path": "/dev/full", "format": "$status"})
    await ask(edge, ("a.example", "/"))
    said = await edge.reply("log")
    assert (said["path"], said["lost"], said["reason"]) == ("/dev/full", 1, "No space left on device")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ('only = "404"', ["/404"]),
        ('only = ["200", "500-599"]', ["/200", "/503"]),
        ("sample = 0.0", ["/503"]),
        ("sample = { rate = 0.0, errors = false }", []),
        ('sample = { rate = 0.0, errors = false, slow = "1ms" }', []),
        ("sample = 1.0", ["/200", "/404", "/503"]),
        ('only = "404", sample = 0.0', []),
    ],
)
async def test_which_requests_have_a_line(edge: Edge, words: str, wanted: list[str]) -> None:
    routes = "".join(
        f'[[sites."*".routes]]\npath = "/{status}"\nrespond = {{ status = {status} }}\n' for status in ("200", "404", "503")
    )
    await edge.start(f'[sites."*"]\naccess_log = {{ path = "x.log", format = "$uri", {words} }}\n{routes}')
    await ask(edge, ("a", "/200"), ("a", "/404"), ("a", "/503"))
    assert lines(edge.folder / "x.log") == wanted


async def test_a_sample(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter([0.05, 0.1, 0.5, 0.099, 0.9])
    monkeypatch.setattr("gapura.edge.access_log.random", lambda: next(numbers))
    await edge.start('[sites."*"]\nrespond = "hi"\naccess_log = { path = "x.log", format = "$uri", sample = 0.1 }\n')
    await ask(edge, *(("a", f"/{number}") for number in range(5)))
    assert lines(edge.folder / "x.log") == ["/0", "/3"]


async def test_slow_ones_are_always_in_the_sample(edge: Edge) -> None:
    words = 'sample = { rate = 0.0, slow = "1ms" }'
    await edge.start(f'[sites."*"]\nrespond = "hi"\naccess_log = {{ path = "x.log", format = "$uri", {words} }}\n')
    client = await edge.client()
    client.send(b"GET /slow HTTP/1.1\r\nHo")
    await edge.until(lambda: any(connection.deadline for connection in edge.worker.connections))
    start = edge.loop.time()
    await edge.until(lambda: edge.loop.time() > start + 0.01)
    client.send(b"st: a\r\n\r\n")
    await client.answer()
    edge.worker.logs.flush()
    assert lines(edge.folder / "x.log") == ["/slow"]
