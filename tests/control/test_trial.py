"""Real requests to a site of our own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gapura.control import trial


def listen(port: int, host: str = "127.0.0.1", tls: bool = False) -> Any:
    return {"host": host, "port": port, "tls": tls}


async def served(answers: list[bytes], requests: int, per_second: float) -> tuple[dict[str, int], list[float], list[bytes]]:
    """What comes of requests to a server that gives these answers in turn; and what it was asked."""
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answers[(len(heads) - 1) % len(answers)])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        statuses, times = await trial.run(listen(port, "0.0.0.0"), "shop.test", requests, per_second)
    return statuses, times, heads


def test_statuses_are_counted_whatever_they_are() -> None:
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"HTTP/1.1 503 No\r\n\r\n", b"nonsense\r\n", b""]
    statuses, times, heads = asyncio.run(served(answers, 8, 200.0))
    assert statuses == {"200": 2, "503": 2, "none": 4}
    assert len(times) == 4
    assert all(b"GET / HTTP/1.1\r\nHost: shop.test:" in head for head in heads)


def test_a_port_that_nobody_listens_on_is_no_answer() -> None:
    statuses, times = asyncio.run(trial.run(listen(1), "a", 3, 200.0))
    assert statuses == {"none": 3}
    assert times == []


@pytest.mark.parametrize(
    ("hosts", "expected"), [(["a.test", "b.test"], "a.test"), (["*.a.test"], "try.a.test"), (["*"], "localhost")]
)
def test_a_host_that_the_site_answers_for(hosts: list[str], expected: str) -> None:
    site: Any = {"hosts": hosts}
    assert trial.host_of(site) == expected


def test_a_site_with_tls_is_asked_where_its_visitors_come() -> None:
    plan: Any = {"edge": {"http": [listen(80)], "https": [listen(443, tls=True)]}}
    plain: Any = {"tls": None}
    secure: Any = {"tls": {"redirect": 0}}
    assert trial.target(plan, plain) == listen(80)
    assert trial.target(plan, secure) == listen(443, tls=True)
    plan["edge"]["https"] = []
    assert trial.target(plan, secure) is None


def test_percentiles_of_few_times() -> None:
    assert trial.part([], 0.5) is None
    assert trial.part([0.001], 0.99) == 1.0
    assert trial.part([0.001, 0.002, 0.003, 0.004], 0.5) == 3.0
