"""Commands that change single servers and the text of the configuration; `Commands.also` has them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

from gapura.config.overrides import sentences
from gapura.errors import CommandError
from gapura.ipc import Message
from gapura.master import told
from gapura.master.fleet import Progress
from gapura.master.link import Link
from gapura.master.loop import Steps, Task, until
from gapura.master.reload import Door
from gapura.master.servers import WORDS, Servers
from gapura.master.texts import Texts

Result = dict[str, Any]
Command = Callable[[Message, Progress, Link], Steps[Result]]
PATIENCE = 10.0
"""Seconds that the answer to a new configuration waits for the apps that it changes."""


class ChangeCommands:
    """One method for each command. `argv` (tests) stands for the config process."""

    def __init__(self, door: Door, argv: list[str] | None = None) -> None:
        self._door = door
        self._servers = Servers(door, argv)
        self._texts = Texts(door, argv)

    def all(self) -> dict[str, Command]:
        """The commands by name."""
        servers = (self.server_add, self.server_remove, self.server_weight, self.server_reset)
        return {command.__name__: command for command in (*servers, self.config_text, self.config_check, self.config_put)}

    def server_add(self, message: Message, progress: Progress, link: Link) -> Steps[Result]:
        """One more server of an upstream."""
        name, address = text(message, "upstream"), text(message, "address")
        words = {key: message[key] for key in WORDS if message.get(key) is not None}
        if guarded(message) and address.startswith("unix:"):
            hint = "Write it into the file by hand, then `gapura reload`: behind a socket may be what is as good as root."
            raise CommandError("UNIX sockets are not taken from the API", hint, code="forbidden")
        steps = self._servers.add(name, {**words, "address": address}, number(message, "generation"))
        said = yield from self._entered("server_add", steps, message)
        return self._changed(said, server=address)

    def server_remove(self, message: Message, progress: Progress, link: Link) -> Steps[Result]:
        """One server less: drained, then gone."""
        name, label, force = text(message, "upstream"), text(message, "server"), message.get("force") is True
        generation, patience = number(message, "generation"), seconds(message, "seconds")
        with self._servers.leaving(name, label):
            progress(f"{label} gets no new requests; those under way are waited for")
            before = yield from self._servers.drain(name, label, force, generation, patience)
            try:
                said = yield from self._entered("server_remove", self._servers.remove(name, label, force, None), message)
            except BaseException:
                self._servers.restore(name, label, before)
                raise
        return self._changed(said, server=label)

    def server_weight(self, message: Message, progress: Progress, link: Link) -> Steps[Result]:
        """Another share."""
        name, label, weight = text(message, "upstream"), text(message, "server"), number(message, "weight")
        if weight is None:
            raise CommandError("which weight?", "a share such as 1, 2 or 5")
        steps = self._servers.weigh(name, label, weight, number(message, "generation"))
        return self._changed((yield from self._entered("server_weight", steps, message)), server=label)

    def server_reset(self, message: Message, progress: Progress, link: Link) -> Steps[Result]:
        """As the file says again."""
        name, label = text(message, "upstream"), str(message.get("server") or "")
        steps = self._servers.reset(name, label, message.get("force") is True, number(message, "generation"))
        return self._changed((yield from self._entered("server_reset", steps, message)))

    def config_text(self, message: Message, progress: Progress, link: Link) -> Steps[Result]:
        """The files as they are."""
        yield from ()
        return self._texts.shown()

    def config_check(self, message: Message, progress: Progress, link: Link) -> Steps[Result]:
        """What a text would change, and what is wrong with it."""
        given = message.get("text")
        if given is not None and not isinstance(given, str):
            raise CommandError("text must be a text")
        return (yield from self._texts.check(given, str(message.get("file") or ""), guarded(message)))

    def config_put(self, message: Message, progress: Progress, link: Link) -> Steps[Result]:
        """Another text, in use and in the file."""
        given = message.get("text")
        if not isinstance(given, str):
            raise CommandError("the command lacks text")
        file = str(message.get("file") or "")
        steps = self._texts.put(given, file, number(message, "generation"), guarded(message))
        said = yield from self._entered("configuration", steps, message)
        operations = self._door.operations
        whole = yield from until(lambda: all(task.done for task in operations), PATIENCE)
        failures = [str(task.result or task.error) for task in operations if task.done and (task.result or task.error)]
        if not whole:
            failures.append("apps are still being changed: `gapura ps` shows how it stands")
        return {**self._changed(said), "failures": failures, "before": self._texts.kept(file)}

    # -- parts ------------------------------------------------------------------------------------------------------------------

    def _entered(self, name: str, steps: Steps[list[str]], message: Message) -> Steps[Any]:
        """Through the door, after the changes that came before; what changed."""
        return (yield from self._outcome(self._door.enter(name, steps, lambda task: None, told.whom(message))))

    def _outcome(self, task: Task) -> Steps[Any]:
        """Wait for a change or an operation; its result."""
        yield from until(lambda: task.done, math.inf)
        if task.cancelled:
            raise CommandError("another command ended this one", "`gapura status` shows how it stands.")
        if task.error is not None:
            raise task.error
        return task.result

    def _changed(self, said: list[str], **more: Any) -> Result:
        held = self._door.overrides
        kept = {"overrides": sentences(held.said), "problem": held.problem}
        return {"generation": self._door.generation, "changes": said, **kept, **more}


def guarded(message: Message) -> bool:
    """Whether a command comes from control while Gapura runs as root: files alone say what is executed then."""
    return bool(message.get("delegated")) and os.geteuid() == 0


def text(message: Message, field: str) -> str:
    """A field that a command cannot do without. Raises `CommandError`."""
    value = message.get(field)
    if not isinstance(value, str) or not value:
        raise CommandError(f"the command lacks {field}")
    return value


def number(message: Message, field: str) -> int | None:
    """A whole number, None when it is left out. Raises `CommandError`."""
    value = message.get(field)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise CommandError(f"{field} must be a number")
    return value


def seconds(message: Message, field: str) -> float | None:
    """A time in seconds, None when it is left out. Raises `CommandError`."""
    value = message.get(field)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 86400):
        raise CommandError(f"{field} must be a number from 0 to 86400")
    return None if value is None else float(value)
