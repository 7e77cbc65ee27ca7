from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest

from gapura.edge import turns
from gapura.edge.turns import Turns
from gapura.edge.worker import Worker


class Job:
    """Works `pieces` times and writes down when."""

    def __init__(self, turns: Turns, name: str, pieces: int, said: list[str]) -> None:
        self.turns, self.name, self.pieces, self.said = turns, name, pieces, said

    def work(self) -> None:
        self.said.append(self.name)
        self.pieces -= 1
        self.turns.spend(0)  # so much that the round is over
        if self.pieces:
            self.turns.add(self)

    def flush_soon(self) -> None:
        self.said.append(f"{self.name} rung")


@pytest.fixture
def made(loop: asyncio.AbstractEventLoop) -> Turns:
    return Turns(cast(Worker, SimpleNamespace(loop=loop, busy=loop.call_soon)))


async def test_everybody_has_a_turn_and_others_in_between(made: Turns) -> None:
    said: list[str] = []
    assert made.free()
    made.add(Job(made, "a", 3, said))
    made.add(Job(made, "b", 2, said))
    assert not made.free()
    while not made.free() or len(said) < 5:
        said.append("-")
        await asyncio.sleep(0)
    assert [name for name in said if name != "-"] == ["a", "b", "a", "b", "a"]
    assert all("-" in said[said.index(one) :] for one in "ab")  # the loop went round meanwhile


async def test_a_round_ends_and_another_begins(made: Turns) -> None:
    made.spend(0)
    assert not made.free()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert made.free()


async def test_one_that_fails_does_not_hold_up_the_others(loop: asyncio.AbstractEventLoop, made: Turns) -> None:
    said: list[str] = []
    bad = Job(made, "bad", 1, said)
    bad.turns = cast(Turns, None)
    complaints: list[object] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    made.add(bad)
    made.add(Job(made, "good", 1, said))
    for _ in range(5):
        await asyncio.sleep(0)
    assert said == ["bad", "good"]
    assert len(complaints) == 1


async def test_soon(made: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SOON", 0.001)
    said: list[str] = []
    for name in "ab":
        made.soon(Job(made, name, 1, said))
    while len(said) < 2:
        await asyncio.sleep(0.001)
    assert said == ["a rung", "b rung"]
