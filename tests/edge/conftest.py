"""Runs coroutine tests on a loop of their own, and looks after them that nothing is left."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uvloop

from gapura.edge import worker

from .edge import PATIENCE, Edge


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    cast(asyncio.AbstractEventLoop, pyfuncitem.funcargs["loop"]).run_until_complete(
        asyncio.wait_for(pyfuncitem.obj(**arguments), PATIENCE)
    )
    return True


@pytest.fixture(scope="session")
def one_loop() -> asyncio.AbstractEventLoop:
    """The loop of the session. It ends with the process, as a worker's does: closing a uvloop may wait for handles for ever."""
    return uvloop.new_event_loop()


@pytest.fixture
def loop(one_loop: asyncio.AbstractEventLoop) -> Iterator[asyncio.AbstractEventLoop]:
    """A loop; whatever is raised into it fails the test."""
    complaints: list[dict[str, Any]] = []
    one_loop.set_exception_handler(lambda _, context: complaints.append(context))
    yield one_loop
    assert complaints == []


@pytest.fixture
def edge(loop: asyncio.AbstractEventLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Edge]:
    """An edge to be started by the test. Its clock runs faster; what belongs to the whole process is left alone."""
    monkeypatch.setattr(worker, "BEAT", 0.01)
    monkeypatch.setattr(worker, "SWEEP", 2)
    monkeypatch.setattr(worker, "gc", SimpleNamespace(collect=lambda: None, freeze=lambda: None))
    monkeypatch.setattr(worker, "gapura_log", SimpleNamespace(setup=lambda who, path: None, reopen=lambda: None))
    edge = Edge(loop, tmp_path)
    yield edge
    loop.run_until_complete(asyncio.wait_for(edge.close(), PATIENCE))
