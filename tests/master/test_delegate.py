from __future__ import annotations

from typing import Any, cast

import pytest

from gapura.ipc import Message
from gapura.master.commands import Commands
from gapura.master.delegate import AT_ONCE, Delegate


class Link:
    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        self.sent.append(message)


class Child:
    """A control that notes what it is told."""

    pid = 1
    gone = False

    def __init__(self) -> None:
        self.link = Link()


class Master:
    """Commands that are never carried out, until `end` is called."""

    def __init__(self) -> None:
        self.run_with: list[tuple[Any, Message]] = []

    def run(self, link: Any, message: Message) -> None:
        self.run_with.append((link, message))


def parts() -> tuple[Delegate, Child, Master]:
    master = Master()
    return Delegate(cast(Commands, master)), Child(), master


def hear(delegate: Delegate, child: Child, message: Message) -> None:
    delegate.hear(cast(Any, child), message)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "down",
            "handover",
            "token_create",
            "token_list",
            "token_revoke",
            "login_code",
            "orphan",
            "",
            "__init__",
            "run",
            "status ",
        ),
        *(None, 1, ["status"], {"a": 1}),
    ],
)
def test_what_control_may_not_ask(name: object) -> None:
    delegate, child, master = parts()
    hear(delegate, child, {"type": "command", "id": 5, "name": name})
    [reply] = child.link.sent
    assert (reply["id"], reply["ok"], reply["code"]) == (5, False, "forbidden")
    assert master.run_with == []


def test_what_it_asks_is_marked_whatever_it_says_of_itself() -> None:
    delegate, child, master = parts()
    hear(delegate, child, {"type": "command", "id": 1, "name": "reload", "delegated": False, "by": "x" * 1000})
    [(_, message)] = master.run_with
    assert message["delegated"] is True
    assert message["by"] == "x" * 100
    hear(delegate, child, {"type": "command", "id": 1, "name": "reload", "by": None})
    assert master.run_with[1][1]["by"] == "control"


def test_one_reply_and_no_progress() -> None:
    delegate, child, master = parts()
    hear(delegate, child, {"type": "command", "id": 7, "name": "restart", "app": "shop"})
    [(link, _)] = master.run_with
    link.send({"type": "progress", "text": "…"})
    link.send({"type": "reply", "ok": True, "app": "shop"})
    link.send({"type": "reply", "ok": True, "app": "again"})
    assert child.link.sent == [{"type": "reply", "ok": True, "app": "shop", "id": 7}]


def test_a_control_that_is_gone_is_not_told() -> None:
    delegate, child, master = parts()
    hear(delegate, child, {"type": "command", "id": 7, "name": "restart", "app": "shop"})
    child.gone = True
    master.run_with[0][0].send({"type": "reply", "ok": True})
    assert child.link.sent == []


def test_too_many_at_once_are_refused_until_some_are_done() -> None:
    delegate, child, master = parts()
    for number in range(AT_ONCE + 1):
        hear(delegate, child, {"type": "command", "id": number, "name": "ping"})
    assert len(master.run_with) == AT_ONCE
    assert "too many" in child.link.sent[0]["error"]
    for link, _ in master.run_with:
        link.send({"type": "reply", "ok": True})
    hear(delegate, child, {"type": "command", "id": 1, "name": "ping"})
    assert len(master.run_with) == AT_ONCE + 1
