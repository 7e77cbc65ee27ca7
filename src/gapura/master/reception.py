"""The master's side of the admin API: its sockets, its tokens, and what control is told of both."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable
from typing import Any

from gapura.config.plan import Plan
from gapura.errors import CommandError
from gapura.ipc import Message
from gapura.master.child import Child
from gapura.master.children import Children
from gapura.master.commands import Commands
from gapura.master.delegate import Delegate
from gapura.master.doors import NAMES, Doors
from gapura.master.fleet import Progress
from gapura.master.link import Link
from gapura.master.loop import Steps
from gapura.master.tokens import Tokens

DAYS = 90.0
"""That a token is valid when nobody says otherwise."""
Result = dict[str, Any]


class Reception:
    """Greets each control with the listening sockets and the hashes of the tokens. `control` gives the present one."""

    def __init__(self, doors: Doors, tokens: Tokens, control: Callable[[], Child | None]) -> None:
        self._doors = doors
        self._tokens = tokens
        self._control = control

    def greet(self, child: Child) -> None:
        """The first messages to a control after its welcome."""
        message = {"type": "admin", "names": list(NAMES), "owner": os.geteuid()}
        child.link.send(message, self._doors.fds)
        child.tell("tokens", tokens=self._tokens.rows)

    def renew(self) -> None:
        """The state folder was gone: listen anew. Raises OSError, KeyError."""
        self._doors.renew()
        if (child := self._control()) is not None:
            self.greet(child)

    def close(self, remove: bool) -> None:
        """Let go of the sockets; see `Doors.close`."""
        self._doors.close(remove)

    # -- commands: of the control socket, never of control -----------------------------------------------------------------------

    def create(self, message: Message, progress: Progress, link: Link) -> Steps[Result]:
        """A new token; its text is told here and nowhere else."""
        yield from ()
        name, role, days = message.get("token"), message.get("role"), message.get("days", DAYS)
        if not isinstance(name, str) or not isinstance(role, str) or isinstance(days, bool) or not isinstance(days, (int, float)):
            raise CommandError("the command lacks token, role or days")
        try:
            text, row = self._tokens.create(name, role, days)
        except OSError as error:
            raise _unwritable(error) from None
        self._tell()
        return {"text": text, **row}

    def list(self, message: Message, progress: Progress, link: Link) -> Steps[Result]:
        """The tokens without their hashes."""
        yield from ()
        return {"tokens": self._tokens.shown()}

    def revoke(self, message: Message, progress: Progress, link: Link) -> Steps[Result]:
        """Forget a token; sessions that were made with it end."""
        yield from ()
        try:
            self._tokens.revoke(str(message.get("token")))
        except OSError as error:
            raise _unwritable(error) from None
        self._tell()
        return {}

    def code(self, message: Message, progress: Progress, link: Link) -> Steps[Result]:
        """A one-time code for a browser, with full rights."""
        yield from ()
        child = self._control()
        if child is None:
            raise CommandError("there is no control process at the moment", "Try again in a moment.")
        text = secrets.token_urlsafe(24)
        child.tell("code", hash=hashlib.sha256(text.encode()).hexdigest(), role="full")
        return {"code": text}

    def _tell(self) -> None:
        if (child := self._control()) is not None:
            child.tell("tokens", tokens=self._tokens.rows)


def open_reception(run: str, plan: Plan, children: Children, commands: Commands) -> Reception:
    """Put the parts together: from here on each control answers for the API. Raises OSError, KeyError."""
    reception = Reception(Doors(run, plan["edge"]["user"]), Tokens(plan["paths"]["lib"]), lambda: children.control)
    children.greet = reception.greet
    children.commanded = Delegate(commands).hear
    commands.also |= {
        "token_create": reception.create,
        "token_list": reception.list,
        "token_revoke": reception.revoke,
        "login_code": reception.code,
    }
    return reception


def _unwritable(error: OSError) -> CommandError:
    return CommandError(f"the tokens cannot be written: {error.strerror}", "Nothing was changed.")
