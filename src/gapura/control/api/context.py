"""What the admin API knows and whom it asks: one object that control keeps up to date and all routers read."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from gapura.board import Board
from gapura.config.plan import Plan
from gapura.config.plan_admin import AUDIT
from gapura.control.names import Names
from gapura.errors import CommandError, ConfigError, GapuraError, Problem
from gapura.ipc import Message

if TYPE_CHECKING:
    from gapura.control.api.visitor import Visitor
    from gapura.control.audit import Audit
    from gapura.control.borrower import Borrower
    from gapura.control.expiry import Dates
    from gapura.control.sessions import Sessions
    from gapura.control.tracer import Tracer

PATIENCE: Final = 120.0
"""Seconds that a command may take: a rolling restart of many instances is slow."""
READS: Final = frozenset(("ping", "status", "config_text", "config_check"))
"""Commands that change nothing, and that the audit log leaves out."""

visitor_now: ContextVar[Visitor | None] = ContextVar("visitor_now", default=None)
"""On whose behalf the running task asks; set by the gate for each request."""


class MasterAway(GapuraError):
    """There is no master to ask: control goes on by itself until a new one takes over."""


class MasterSlow(GapuraError):
    """The master has not answered in time; what it was asked for may still happen."""


class Context:
    """`tell(message)` sends to the master and says whether there is one.

    `plan` is the committed one (None before the first), `generation` its number. `records`, `metrics`, `history` and `events` are
    put here by control when they are there.
    """

    def __init__(self, tell: Callable[[Message], bool]) -> None:
        self._tell = tell
        self._asked: dict[int, asyncio.Future[Message]] = {}
        self._last = 0
        self.plan: Plan | None = None
        self._names: Names | None = None
        self.generation = 0
        self.board: Board | None = None
        self.records: Any = None
        self.metrics: Any = None
        self.history: Any = None
        self.events: Any = None
        self.owner = 0
        """User id of the master."""
        self.audit: Audit | None = None
        self.sessions: Sessions | None = None
        self.borrower: Borrower | None = None
        self.dates: Callable[[], Iterable[Dates]] = tuple
        """The days of all certificates that are served."""
        self.traces: Tracer | None = None
        self.settled_at = time.time()
        """When the committed plan was taken up here."""

    @property
    def running(self) -> Plan:
        """The committed plan. Raises `MasterAway` before the first one."""
        if self.plan is None:
            raise MasterAway("Gapura is still starting")
        return self.plan

    @property
    def names(self) -> Names:
        """What the numbers of the committed plan mean. Raises `MasterAway` before the first one."""
        if self._names is None or self._names.plan is not self.plan:
            self._names = Names(self.running)
        return self._names

    @property
    def known_board(self) -> Board:
        """The board. Raises `MasterAway` before the master gave one."""
        if self.board is None:
            raise MasterAway("Gapura is still starting")
        return self.board

    def settle(self, plan: Plan, generation: int) -> None:
        """A plan is committed."""
        self.plan, self.generation, self.settled_at = plan, generation, time.time()
        if self.audit is not None:
            self.audit.open(audit_file(plan))

    async def ask(self, name: str, *, timeout: float = PATIENCE, **arguments: Any) -> dict[str, Any]:
        """Have the master carry out a command; the fields of its reply (`docs/ARCHITECTURE.md`, commands → master).

        What is a change goes to the audit log with its outcome. Raises `CommandError` with the master's reason, `ConfigError`
        with what is wrong in a configuration, `MasterAway` and `MasterSlow`.
        """
        visitor = visitor_now.get()
        try:
            reply = await self._exchange(name, visitor.name if visitor else "control", arguments, timeout)
            result = _result(reply)
        except (GapuraError, asyncio.CancelledError) as error:
            self._note(visitor, name, arguments, str(error) or type(error).__name__)
            raise
        self._note(visitor, name, arguments, "")
        return result

    async def _exchange(self, name: str, by: str, arguments: dict[str, Any], timeout: float) -> Message:
        self._last += 1
        number = self._last
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._asked[number] = future
        try:
            if not self._tell({**arguments, "type": "command", "id": number, "name": name, "by": by}):
                raise MasterAway("there is no master at the moment")
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            raise MasterSlow(f"the master has not answered for {timeout:.0f} s") from None
        finally:
            del self._asked[number]

    async def lend(self, kind: str, name: str) -> int:
        """A descriptor of a file that control may not open itself. Raises OSError."""
        if self.borrower is None:
            raise OSError("nobody lends it")
        return await self.borrower.lend(kind, name)

    def replied(self, message: Message) -> None:
        """A reply of the master; one that nobody waits for any more is forgotten."""
        future = self._asked.get(message.get("id", 0))
        if future is not None and not future.done():
            future.set_result(message)

    def lose_master(self) -> None:
        """Nobody answers what was asked."""
        for future in self._asked.values():
            if not future.done():
                future.set_exception(MasterAway("the master went away before it answered"))

    def _note(self, visitor: Visitor | None, name: str, arguments: dict[str, Any], error: str) -> None:
        if self.audit is not None and name not in READS:
            self.audit.note(visitor, name, arguments, error)


def audit_file(plan: Plan) -> str:
    """Where changes are written down."""
    return os.path.join(plan["paths"]["logs"], AUDIT)


def _result(reply: Message) -> dict[str, Any]:
    """The fields of a reply. Raises `CommandError`, `ConfigError`."""
    if reply.get("ok"):
        return {key: value for key, value in reply.items() if key not in ("type", "ok", "id")}
    problems = [Problem(**problem) for problem in reply.get("problems") or []]
    if problems and not reply.get("error"):
        raise ConfigError(problems)
    said = str(reply.get("error") or "the master gave no reason")
    raise CommandError(said, str(reply.get("hint") or ""), 1, problems, str(reply.get("code") or ""))
