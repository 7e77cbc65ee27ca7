"""What has happened, as the master tells control: kept here until control has taken it down."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from gapura.events import Draft, draft
from gapura.ipc import Message

KEPT: Final = 1000
"""Events that wait for control, while it starts anew for example; older ones are given up."""


class Events:
    """The master's side of the stream. `send` tells control a message, if there is one; `heard` is its answer.

    An event that was sent to a control that died before it answered is sent to the next one, which knows it by its time and text.
    """

    def __init__(self) -> None:
        self.send: Callable[[Message], None] = lambda message: None
        self._unheard: deque[tuple[int, Draft]] = deque(maxlen=KEPT)
        self._number = 0
        self._tests: dict[int, list[Any] | None] = {}

    def tell(self, type: str, subject: str, text: str, /, *, severity: str = "", **data: Any) -> None:
        """Take note of an event of this moment."""
        self._number += 1
        event = draft(type, subject, text, severity, data)
        self._unheard.append((self._number, event))
        self.send(_message(self._number, event))

    def heard(self, message: Message) -> None:
        """Control has taken down all up to this number."""
        number = message.get("number")
        while isinstance(number, int) and self._unheard and self._unheard[0][0] <= number:
            self._unheard.popleft()

    def repeat(self, send: Callable[[Message], None]) -> None:
        """Tell a new control what the one before it has not confirmed."""
        for number, event in self._unheard:
            send(_message(number, event))

    def test(self) -> int:
        """Have control try all sinks; a number to ask `tested` with."""
        number = len(self._tests) + 1
        self._tests[number] = None
        self.send({"type": "test_events", "id": number})
        return number

    def answered(self, message: Message) -> None:
        """Control tells what became of a test."""
        number, outcomes = message.get("id"), message.get("outcomes")
        if isinstance(number, int) and number in self._tests and isinstance(outcomes, list):
            self._tests[number] = outcomes

    def tested(self, number: int) -> list[Any] | None:
        """Sinks, each with "" or what went wrong; None while control tries."""
        return self._tests[number]


def _message(number: int, event: Draft) -> Message:
    return {"type": "event", "number": number, "event": event}
