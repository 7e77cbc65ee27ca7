from __future__ import annotations

from typing import Any

from gapura.master.events import KEPT, Events


def test_an_event_is_sent_and_kept_until_it_was_heard() -> None:
    events, sent = Events(), []
    events.send = sent.append
    events.tell("app.ready", "web:0", "ready", pid=7)
    events.tell("app.crashed", "web:0", "crashed", severity="warning")
    assert [message["number"] for message in sent] == [1, 2]
    assert sent[0]["event"]["data"] == {"pid": 7}
    assert sent[1]["event"]["severity"] == "warning"
    again: list[dict[str, Any]] = []
    events.heard({"number": 1})
    events.repeat(again.append)
    assert [message["event"]["type"] for message in again] == ["app.crashed"]
    for wrong in ({}, {"number": None}, {"number": "2"}, {"number": []}):
        events.heard(wrong)
    events.heard({"number": 10**9})
    again.clear()
    events.repeat(again.append)
    assert again == []


def test_without_control_events_wait_but_not_without_end() -> None:
    events, sent = Events(), []
    for number in range(KEPT + 5):
        events.tell("app.ready", f"web:{number}", "ready")
    events.repeat(sent.append)
    assert len(sent) == KEPT
    assert sent[0]["event"]["subject"] == "web:5"


def test_a_test_has_an_answer() -> None:
    events, sent = Events(), []
    events.send = sent.append
    first, second = events.test(), events.test()
    assert [message["id"] for message in sent] == [first, second]
    for wrong in ({}, {"id": 99, "outcomes": []}, {"id": first, "outcomes": None}, {"id": "1", "outcomes": []}):
        events.answered(wrong)
    assert events.tested(first) is None
    events.answered({"id": first, "outcomes": []})
    assert events.tested(first) == []
    assert events.tested(second) is None
