"""Descriptors of files that control may not open itself, lent by the master's keeper."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

from gapura.ipc import Message

PATIENCE: Final = 10.0
"""Seconds within which the keeper answers."""


class Borrower:
    """`tell` sends to the master and says whether there is one. Ids begin with "b": numbers belong to certificates."""

    def __init__(self, tell: Callable[[Message], bool]) -> None:
        self._tell = tell
        self._asked: dict[str, asyncio.Future[int]] = {}
        self._last = 0

    async def lend(self, kind: str, name: str) -> int:
        """A descriptor to read a file with, which is the caller's. Raises OSError: there is none, or nobody lends it."""
        self._last += 1
        number = f"b{self._last}"
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._asked[number] = future
        try:
            if not self._tell({"type": "lend", "id": number, "kind": kind, "name": name}):
                raise OSError("there is no master that could open it")
            async with asyncio.timeout(PATIENCE):
                return await future
        except TimeoutError:
            raise OSError("the master has not opened it in time") from None
        finally:
            del self._asked[number]

    def answer(self, message: Message, fds: list[int]) -> bool:
        """The keeper's `lent`; whether it was for somebody here, who has the descriptor then."""
        future = self._asked.get(str(message.get("id")))
        if future is None or future.done():
            return False
        if fds:
            future.set_result(os.dup(fds[0]))
        else:
            future.set_exception(FileNotFoundError(str(message.get("error") or "there is no such file")))
        return True
