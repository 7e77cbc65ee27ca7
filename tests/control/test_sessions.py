from __future__ import annotations

import time
from typing import Any

import pytest

from gapura.control import sessions as module
from gapura.control.sessions import ADDRESSES, CODES, SESSIONS, TRIES, Sessions, TooMany, _digest


def row(name: str, text: str, role: str = "read", expires: float = 0.0) -> dict[str, Any]:
    return {"name": name, "hash": _digest(text), "role": role, "expires": expires}


def with_tokens(*rows: dict[str, Any]) -> Sessions:
    made = Sessions()
    made.take_up(list(rows))
    return made


@pytest.mark.parametrize("text", ["", "a", "secre", "secret ", "Secret", "secret\0", "\udcff", "x" * 201, "é"])
def test_what_is_no_token(text: str) -> None:
    assert with_tokens(row("a", "secret")).token(text, "c") is None


def test_one_that_has_expired() -> None:
    assert with_tokens(row("a", "secret", expires=time.time() - 1)).token("secret", "c") is None
    assert with_tokens(row("a", "secret", expires=time.time() + 99)).token("secret", "c") is not None


def test_the_hash_is_no_token() -> None:
    assert with_tokens(row("a", "secret")).token(_digest("secret"), "c") is None


def test_a_session_lasts_no_longer_than_its_token() -> None:
    expires = time.time() + 60
    _, session = with_tokens(row("a", "secret", expires=expires)).log_in("secret", "c", True) or pytest.fail("no session")
    assert session.until == expires
    _, other = with_tokens(row("a", "secret")).log_in("secret", "c", True) or pytest.fail("no session")
    assert other.until > time.time() + 11 * 3600


def test_a_session_that_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    made = with_tokens(row("a", "secret"))
    secret, session = made.log_in("secret", "c", True) or pytest.fail("no session")
    assert made.session(secret) is session
    assert made.alive(session.id)
    session.until = 1.0
    assert not made.alive(session.id)
    assert made.session(secret) is None
    assert made.session("x" * 10_000) is None


@pytest.mark.parametrize("left", [[], [row("a", "other")], [row("a", "secret", "full")]], ids=["revoked", "replaced", "other role"])
def test_sessions_go_with_their_token(left: list[dict[str, Any]]) -> None:
    made = with_tokens(row("a", "secret"))
    secret, _ = made.log_in("secret", "c", True) or pytest.fail("no session")
    made.take_up([row("a", "secret"), row("b", "more")])
    assert made.session(secret) is not None
    made.take_up(left)
    assert made.session(secret) is None


def test_a_codes_session_does_not_hang_on_tokens() -> None:
    made = Sessions()
    made.expect(_digest("code"), "full")
    secret, _ = made.log_in("code", "c", False) or pytest.fail("no session")
    made.take_up([])
    assert made.session(secret) is not None
    assert made.log_in("code", "c", False) is None


def test_a_code_is_good_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Sessions()
    made.expect(_digest("code"), "full")
    now = time.time()
    monkeypatch.setattr(module.time, "time", lambda: now + 61)
    assert made.log_in("code", "c", False) is None


def test_wrong_tokens() -> None:
    made = with_tokens(row("a", "secret"))
    for _ in range(TRIES):
        assert made.token("wrong", "evil") is None
    with pytest.raises(TooMany) as caught:
        made.token("secret", "evil")
    assert 0 < caught.value.seconds <= 61
    with pytest.raises(TooMany):
        made.log_in("secret", "evil", True)
    assert made.token("secret", "good") is not None


def test_what_is_remembered_is_bounded() -> None:
    made = with_tokens(row("a", "secret"))
    for number in range(ADDRESSES + 50):
        made.token("wrong", str(number))
    assert len(made._wrong) == ADDRESSES
    for _ in range(SESSIONS + 5):
        made.log_in("secret", "c", True)
    assert len(made._sessions) == SESSIONS
    for number in range(CODES + 5):
        made.expect(str(number), "full")
    assert len(made._codes) == CODES
