"""What control may ask of the master on behalf of the admin API's visitors: an allow-list, nothing else.

Control judges who the visitor is. It parses what strangers send, so here nothing is believed but that control asks: what would let
it gain rights that it does not have is not on the list, or is refused because the message carries `delegated`.
"""

from __future__ import annotations

import os
from typing import Final, cast

from gapura.errors import CommandError
from gapura.ipc import Message
from gapura.master.child import Child
from gapura.master.commands import Commands, refusal
from gapura.master.link import Link

NAMES: Final = frozenset(
    (
        *("ping", "status", "reload", "start", "stop", "restart", "scale", "drain", "enable", "renew"),
        *("close_sites", "open_sites", "server_add", "server_remove", "server_weight", "server_reset"),
        *("config_text", "config_check", "config_put"),
    )
)
"""Commands that control may give. Not `down`, `handover`, and what makes tokens."""
LONGEST_NAME: Final = 100
AT_ONCE: Final = 100
"""Commands of control under way; further ones are refused."""


class Delegate:
    """Carries out the messages `command` of control; each is answered by one `reply` with its `id`."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._open = 0

    def hear(self, child: Child, message: Message) -> None:
        """A command of control. Whatever is malformed is refused."""
        answer = _Answer(self, child, message.get("id"))
        name = message.get("name")
        if not isinstance(name, str) or name not in NAMES:
            answer.send(refusal(CommandError("control may not give this command", "Use the command line.", code="forbidden")))
        elif self._open > AT_ONCE:
            answer.send(refusal(CommandError("too many commands are under way", "Try again in a moment.")))
        else:
            by = str(message.get("by") or "control")[:LONGEST_NAME]
            self._commands.run(cast(Link, answer), {**message, "by": by, "delegated": True})


class _Answer:
    """Stands where a command's link does: what is sent to it becomes the reply to control."""

    closed = False

    def __init__(self, delegate: Delegate, child: Child, number: object) -> None:
        self._delegate = delegate
        self._child = child
        self._number = number
        delegate._open += 1

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        """Progress is left out; the reply is the end."""
        if message.get("type") == "reply" and not self.closed:
            self.closed = True
            self._delegate._open -= 1
            if not self._child.gone:
                self._child.link.send({**message, "id": self._number})

    def peer(self) -> tuple[int, int]:
        """Process and user id of who asks."""
        return self._child.pid, os.geteuid()
