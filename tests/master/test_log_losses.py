"""What workers tell of logs that they cannot write."""

from __future__ import annotations

from typing import Any

import pytest

from gapura.master.log_losses import MOST, LogLosses


def said(path: str = "a.log", lost: int = 3, reason: str = "") -> dict[str, Any]:
    return {"type": "log", "path": path, "lost": lost, "reason": reason}


def test_trouble_comes_and_goes() -> None:
    losses = LogLosses()
    assert losses.rows == []
    losses.hear(1, said(reason="No space left on device"))
    losses.hear(2, said(reason="No space left on device"))
    assert losses.rows == [{"path": "a.log", "lost": 0, "reason": "No space left on device"}]
    losses.hear(1, said(lost=5))
    assert losses.rows == [{"path": "a.log", "lost": 5, "reason": "No space left on device"}]
    losses.hear(2, said(lost=2))
    assert losses.rows == [{"path": "a.log", "lost": 7, "reason": ""}]


def test_a_worker_that_is_gone_has_no_trouble() -> None:
    losses = LogLosses()
    losses.hear(1, said(reason="No space left on device"))
    losses.forget(1)
    assert losses.rows == []


@pytest.mark.parametrize("message", [{}, {"path": 1, "lost": 1, "reason": ""}, said() | {"lost": "x"}, said() | {"reason": None}])
def test_what_is_malformed_says_nothing(message: dict[str, Any]) -> None:
    losses = LogLosses()
    losses.hear(1, message)
    assert losses.rows == []


def test_memory_is_bounded() -> None:
    losses = LogLosses()
    for number in range(2 * MOST):
        losses.hear(1, said(path=f"{number}.log"))
        losses.hear(1, said(path=f"{number}.log", reason="x"))
    assert len(losses.rows) <= 2 * MOST
