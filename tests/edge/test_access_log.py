"""The access log: one line for each request, whatever is in it, whatever happens to the disk."""

from __future__ import annotations

import os
import re

import pytest

from .backend import ordinary
from .client import get
from .edge import Edge


async def test_combined(edge: Edge) -> None:
    backend = await edge.proxy(log="combined")
    client = await edge.client()
    answer = await client.ask("/a?b=c", "User-Agent: me/1.0", "Referer: http://r/")
    (line,) = edge.lines()
    request_id = answer.get("x-request-id")
    assert re.fullmatch(
        r"127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "
        r'"GET /a\?b=c HTTP/1\.1" 200 5 "http://r/" "me/1\.0" '
        rf"{request_id} {backend.address} 1 \d+\.\d{{3}} \d+\.\d{{3}}",
        line,
    )


async def test_combined_without_anything(edge: Edge) -> None:
    await edge.start('[sites."*"]\nrespond = "hi"\n', log="combined")
    client = await edge.client()
    await client.ask(version="1.0")
    other = await edge.client()
    other.send(b"nonsense\r\n\r\n")
    await other.answer()
    first, second = edge.lines()
    assert '"GET / HTTP/1.0" 200 2 "-" "-"' in first
    assert '"- - HTTP/1.1" 400' in second
    assert first.endswith(" -")


async def test_json(edge: Edge) -> None:
    backend = await edge.proxy(log="json")
    await (await edge.client()).ask("/x", 'User-Agent: "q" \\ \xe4\x80')
    (fields,) = edge.fields()
    assert (fields["status"], fields["body_bytes_sent"], fields["tries"]) == (200, 5, 1)
    assert (fields["site"], fields["upstream"], fields["server"], fields["upstream_addr"]) == (
        "*",
        "u",
        backend.address,
        backend.address,
    )
    assert fields["http_user_agent"] == '"q" \\ \xe4\x80'
    assert isinstance(fields["request_time"], float)


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("$remote_addr|$request|$status", "127.0.0.1|GET /a?b=c HTTP/1.1|200"),
        ("$uri?$args $host $http_host $scheme", "/a?b=c a.example a.example http"),
        ("${http_x_y} $http_missing. $cookie_b.", "z . 2."),
        ("$site $route $upstream $tries", "* / u 1"),
        ("$request_method $request_uri $server_protocol", "GET /a?b=c HTTP/1.1"),
        ("no variable but this: $remote_user", "no variable but this: -"),
    ],
)
async def test_formats_of_ones_own(edge: Edge, log: str, line: str) -> None:
    await edge.proxy(log=log)
    await (await edge.client()).ask("/a?b=c", "X-Y: z", "Cookie: a=1; b=2")
    assert edge.lines() == [line]


@pytest.mark.parametrize("log", ["combined", "json", '"$http_user_agent" "$request"'])
async def test_nothing_that_a_client_says_breaks_a_line(edge: Edge, log: str) -> None:
    await edge.proxy(log=log)
    client = await edge.client()
    for number in range(2):  # the second time from memory
        await client.ask('/"\\%0a%1b' + str(number), 'User-Agent: a"b\\c\td\xff', 'Referer: "')
    await client.ask("/", "User-Agent: " + "x" * 20_000)
    lines = edge.lines()
    assert len(lines) == 3
    for line in lines:
        assert line.isascii()
        assert line.isprintable()
        assert len(line) < 25_000
    if log != "json":
        assert "a\\x22b\\x5Cc\\x09d\\xff" in lines[0]
        assert lines[0].count('"') == (6 if log == "combined" else 4)


async def test_every_request_is_one_line(edge: Edge) -> None:
    await edge.proxy(ordinary, log="$status $request_method", limits={"body": 10})
    client = await edge.client()
    client.send(get() + get(method="HEAD") + get("/", host="..") + get())
    assert [(await client.answer(method)).status for method in ("GET", "HEAD", "GET")] == [200, 200, 400]
    other = await edge.client()
    assert (await other.ask(method="POST", body=b"x" * 20)).status == 413
    gone = await edge.client()
    gone.send(b"GET / HT")
    for one in (client, other, gone):
        one.reset()
    await edge.forgotten()
    assert edge.lines() == ["200 GET", "200 HEAD", "400 GET", "413 POST"]


async def test_common(edge: Edge) -> None:
    await edge.start('[sites."*"]\nrespond = "hi"\n', log="common")
    await (await edge.client()).ask('/a"b', "User-Agent: x", 'Referer: "')
    (line,) = edge.lines()
    assert re.fullmatch(r'127\.0\.0\.1 - - \[[^]]+\] "GET /a\\x22b HTTP/1\.1" 200 2', line)


async def test_json_in_a_format_of_ones_own(edge: Edge) -> None:
    text = '{"a": "$http_user_agent", "s": $status}'
    await edge.start('[sites."*"]\nrespond = "hi"\n', access_log={"path": "access.log", "format": text, "escape": "json"})
    await (await edge.client()).ask("/", 'User-Agent: "q" \\ \xe4\x80')
    assert edge.fields() == [{"a": '"q" \\ \xe4\x80', "s": 200}]


async def test_a_request_that_is_answered_from_memory(edge: Edge) -> None:
    """Its line is the one that the exchange would have had."""
    await edge.start('[sites."*"]\nrespond = "hi"\n', log="combined")
    client = await edge.client()
    log = edge.worker.logs.main
    assert log is not None
    assert log.short
    await client.ask("/a?token=1", 'User-Agent: a" b')
    (line,) = edge.lines()
    start, end = line.index('"GET'), line.rindex('" ') + 2
    log.add_again(b"127.0.0.1", line[start:end].encode(), line.split()[-5].encode(), 1_000_000, 2_000_000)
    assert re.sub(r"\d\.\d{3} -$", "", edge.lines()[1]) == re.sub(r"\d\.\d{3} -$", "", line)


@pytest.mark.parametrize(
    ("more", "short"),
    [
        ("", True),
        (", anonymize = true", True),
        (", sample = 0.5", False),
        (', only = "404"', False),
        (', format = "json"', False),
    ],
)
async def test_when_there_is_a_short_way(edge: Edge, more: str, short: bool) -> None:
    await edge.start(f'[sites."*"]\nrespond = "hi"\naccess_log = {{ path = "x.log"{more} }}\n')
    site = edge.worker.snapshot.router.sites[0]
    assert site.log is site.routes[0].log
    assert site.log is not None
    assert site.log.short is short


async def test_many_lines_are_written_in_batches_without_waiting(edge: Edge) -> None:
    await edge.start('[sites."*"]\nrespond = "hi"\n', log="$request_uri")
    client = await edge.client()
    client.send(b"".join(get(f"/{'x' * 1000}{number}") for number in range(200)))
    for _ in range(200):
        await client.answer()
    await edge.until(lambda: edge.log.read_text().count("\n") == 200)
    assert [line.lstrip("/x") for line in edge.log.read_text().splitlines()] == [str(number) for number in range(200)]


async def test_a_full_disk_loses_lines_and_nothing_else(edge: Edge) -> None:
    os.symlink("/dev/full", edge.folder / "full")
    await edge.start('[sites."*"]\nrespond = "hi"\n', access_log={"path": "/dev/full", "format": "$status"})
    client = await edge.client()
    assert (await client.ask()).body == b"hi"
    log = edge.worker.logs.main
    assert log is not None
    log.flush()
    assert log.lost == 1
    assert (await client.ask()).body == b"hi"


async def test_a_log_is_opened_anew(edge: Edge) -> None:
    await edge.start('[sites."*"]\nrespond = "hi"\n', log="$request_uri")
    client = await edge.client()
    await client.ask("/1")
    assert edge.lines() == ["/1"]
    os.rename(edge.log, edge.folder / "old")
    await client.ask("/2")
    edge.say({"type": "reopen"})
    await edge.until(edge.log.exists)
    await client.ask("/3")
    assert edge.lines() == ["/3"]
    assert (edge.folder / "old").read_text() == "/1\n/2\n"


async def test_a_log_that_cannot_be_opened_anew_is_kept(edge: Edge) -> None:
    await edge.start('[sites."*"]\nrespond = "hi"\n', log="$request_uri")
    client = await edge.client()
    os.rename(edge.log, edge.folder / "old")
    edge.log.symlink_to(edge.folder / "elsewhere")
    edge.say({"type": "reopen"})
    await client.ask("/1")
    log = edge.worker.logs.main
    assert log is not None
    log.flush()
    assert (edge.folder / "old").read_text() == "/1\n"
    assert not (edge.folder / "elsewhere").exists()


async def test_the_memory_of_user_agents_is_bounded(edge: Edge) -> None:
    await edge.start('[sites."*"]\nrespond = "hi"\n', log="combined")
    client = await edge.client()
    for start in range(0, 1500, 100):
        client.send(b"".join(get("/", f"User-Agent: {number}{'x' * 4000}") for number in range(start, start + 100)))
        for _ in range(100):
            await client.answer()
    kept = edge.worker.logs.main._format.__self__._escaped  # type: ignore[union-attr]
    assert sum(len(key) + len(value) for key, value in kept.items()) < 1 << 20
