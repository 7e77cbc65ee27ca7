"""Descriptors that the keeper lends."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from gapura.control import borrower as module
from gapura.control.borrower import Borrower


def test_what_is_lent_is_the_askers() -> None:
    told: list[dict[str, Any]] = []

    async def ask() -> None:
        borrower = Borrower(lambda message: not told.append(message))
        task = asyncio.ensure_future(borrower.lend("log", "web:0"))
        await asyncio.sleep(0)
        read, write = os.pipe()
        assert told == [{"type": "lend", "id": "b1", "kind": "log", "name": "web:0"}]
        assert not borrower.answer({"id": 1}, [read])
        assert borrower.answer({"id": "b1", "found": True}, [read])
        os.close(read)
        fd = await task
        os.write(write, b"x")
        assert os.read(fd, 1) == b"x"
        os.close(fd)
        os.close(write)
        assert not borrower.answer({"id": "b1"}, [])

    asyncio.run(ask())


def test_what_is_not_there_and_a_master_that_is_away_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    async def missing() -> None:
        borrower = Borrower(lambda message: True)
        task = asyncio.ensure_future(borrower.lend("log", "web:0"))
        await asyncio.sleep(0)
        borrower.answer({"id": "b1", "found": False, "error": ""}, [])
        with pytest.raises(FileNotFoundError):
            await task
        with pytest.raises(OSError, match="no master"):
            await Borrower(lambda message: False).lend("log", "web:0")
        monkeypatch.setattr(module, "PATIENCE", 0.0)
        with pytest.raises(OSError, match="in time"):
            await borrower.lend("log", "web:0")

    asyncio.run(missing())
