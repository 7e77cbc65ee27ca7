"""Costly checks beside the loop: bounded, in turn by client, never on the loop's own thread."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable

import pytest

from gapura.edge import password_checks
from gapura.edge.password_checks import Checks, checks_of


async def test_a_job_is_done_in_a_thread_that_yields(loop: asyncio.AbstractEventLoop) -> None:
    found = Checks(loop)
    over = asyncio.Event()
    results: list[bool] = []
    facts: list[int] = []

    def job() -> bool:
        facts.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return threading.current_thread() is not threading.main_thread()

    assert found.add(b"a", job, lambda result: (results.append(result), over.set())[0])
    await over.wait()
    assert results == [True]
    assert facts[0] >= password_checks.NICE
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) < password_checks.NICE
    assert (found.busy, found.count) == (0, 0)


async def test_a_job_that_raises_lets_nobody_in(loop: asyncio.AbstractEventLoop) -> None:
    found = Checks(loop)
    for _ in range(4):  # and its thread lives on
        over: asyncio.Future[bool] = loop.create_future()

        def broken() -> bool:
            raise RuntimeError

        found.add(b"a", broken, over.set_result)
        assert await over is False
    assert len(found.threads) <= password_checks.THREADS


async def test_clients_take_turns(loop: asyncio.AbstractEventLoop) -> None:
    found = Checks(loop)
    gate = threading.Event()
    order: list[str] = []
    left = 8
    over = asyncio.Event()

    def job(name: str) -> Callable[[], bool]:
        def work() -> bool:
            gate.wait(8)
            order.append(name)
            return True

        return work

    def done(_: bool) -> None:
        nonlocal left
        left -= 1
        if not left:
            over.set()

    for number in range(6):
        assert found.add(b"many", job(f"many{number}"), done)
    for name in ("one", "two"):
        assert found.add(name.encode(), job(name), done)
    gate.set()
    await over.wait()
    assert max(order.index("one"), order.index("two")) <= 5
    assert order[-1].startswith("many")


async def test_queues_are_bounded(loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(password_checks, "PER_CLIENT", 2)
    monkeypatch.setattr(password_checks, "LIMIT", 5)
    found = Checks(loop)
    gate = threading.Event()
    count = 0
    over = asyncio.Event()

    def done(_: bool) -> None:
        nonlocal count
        count += 1
        if count == 7:
            over.set()

    def job() -> bool:
        return gate.wait(8)

    taken = [found.add(b"a", job, done) for _ in range(6)]
    assert taken == [True] * (password_checks.THREADS + 2) + [False] * 2
    assert [found.add(b"b", job, done) for _ in range(3)] == [True, True, False]
    assert [found.add(b"c", job, done) for _ in range(3)] == [True, False, False]
    gate.set()
    await over.wait()
    assert not found.waiting


async def test_one_for_each_loop(loop: asyncio.AbstractEventLoop) -> None:
    assert checks_of(loop) is checks_of(loop)
