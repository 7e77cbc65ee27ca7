"""Files of names and hashes: what is taken, what is refused, and that no password is in a message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapura.config.htpasswd import family, fault, parse

BCRYPT = "$2y$05$0qxdJ36Y.Vs7ZzbtDT.zcO3wBb6q9lrLXiDB3tZMZMsWEWOwf/R/u"
SHA = "{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE="
GOOD = {
    BCRYPT: "bcrypt",
    BCRYPT.replace("$2y$", "$2b$"): "bcrypt",
    BCRYPT.replace("$2y$05", "$2a$15"): "bcrypt",
    "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/": "apache",
    "$1$abc$" + "a" * 22: "apache",
    SHA: "sha1",
    "{SSHA}" + "A" * 32: "sha1",
    "$5$salt$" + "a" * 43: "crypt",
    "$6$rounds=5000$salt$" + "a" * 86: "crypt",
    "$y$j9T$abc$" + "a" * 43: "crypt",
}


@pytest.mark.parametrize(("hashed", "expected"), GOOD.items())
def test_what_is_taken(hashed: str, expected: str) -> None:
    assert family(hashed) == expected
    assert fault(hashed) == ("", "")


@pytest.mark.parametrize(
    ("hashed", "part"),
    [
        ("secret", "plain text"),
        ("", "plain text"),
        ("{PLAIN}secret", "plain text"),
        ("abJnggxhB/yWI", "old crypt"),
        (BCRYPT[:-1], "cut short"),
        (BCRYPT + "x", "cut short"),
        (BCRYPT.replace("$05$", "$03$"), "cost 3"),
        (BCRYPT.replace("$05$", "$31$"), "cost 31"),
        ("{SHA}", "cut short"),
        ("$apr1$a$b", "cut short"),
        ("$6$rounds=999999999$salt$" + "a" * 86, "999999999 rounds"),
        ("$argon2id$v=19$m=65536$a$b", "not known"),
        ("$2b$05$" + "é" * 53, "cut short"),
    ],
)
def test_what_is_refused(hashed: str, part: str) -> None:
    message, hint = fault(hashed)
    assert part in message
    assert hint
    assert len(hashed) < 5 or hashed not in message + hint


def test_a_file() -> None:
    lines = ["\ufeff# people", "", f" alice:{BCRYPT}:Alice from next door\r", f"bob:{SHA}", f"alice:{SHA}", f"élan:{BCRYPT}"]
    users, mistakes = parse("\n".join(lines).encode())
    assert mistakes == []
    assert list(users) == [b"alice", b"bob", "élan".encode()]
    assert users[b"alice"] == BCRYPT  # the first one counts


def test_mistakes_have_their_lines() -> None:
    users, mistakes = parse(b"alice:secret\nbob\n:x\n\xff\xfe\0\ncarol:" + BCRYPT.encode() + b"\n")
    assert list(users) == [b"carol"]
    assert [mistake.line for mistake in mistakes] == [1, 2, 3, 4]
    assert not any("secret" in mistake.message for mistake in mistakes)


@given(st.binary())
def test_any_file_is_an_answer(raw: bytes) -> None:
    users, _ = parse(raw)
    assert all(name and family(hashed) for name, hashed in users.items())


@given(st.text())
def test_any_hash_is_an_answer(hashed: str) -> None:
    message, hint = fault(hashed)
    assert bool(message) == bool(hint)
    assert message or family(hashed)
