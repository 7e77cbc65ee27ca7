"""`password`: lines that htpasswd would write, into files that somebody may be reading."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from gapura.config.htpasswd import parse
from gapura.edge.passwords import verify


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`says(text)`: what comes through the pipe."""
    return lambda text: monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_a_line(folder: Path, gapura: Any, says: Any) -> None:
    says("sécret\nmore\n")
    out = gapura("password", "alice", "--cost", "4").out
    users, mistakes = parse(out.encode())
    assert mistakes == []
    assert users[b"alice"].startswith("$2b$04$")
    assert verify("sécret".encode(), users[b"alice"])
    assert "cret" not in out


def test_a_file_is_made_added_to_and_changed(folder: Path, gapura: Any, says: Any) -> None:
    file = folder / "htpasswd"
    says("one\n")
    assert gapura("password", "alice", "--file", str(file), "--cost", "4").out == f"{file}: alice was added.\n"
    assert file.stat().st_mode & 0o777 == 0o644
    file.write_text("# people\n" + file.read_text().rstrip("\n"))
    file.chmod(0o640)
    says("two\n")
    assert gapura("password", "bob", "--file", str(file), "--cost", "4").out == f"{file}: bob was added.\n"
    says("three\n")
    assert gapura("password", "alice", "--file", str(file), "--cost", "4").out == f"{file}: alice has a new password.\n"
    text = file.read_text()
    assert text.startswith("# people\nalice:")
    assert text.endswith("\n")
    users, mistakes = parse(text.encode())
    assert (list(users), mistakes) == ([b"alice", b"bob"], [])
    assert verify(b"three", users[b"alice"])
    assert verify(b"two", users[b"bob"])
    assert file.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in folder.iterdir()) == ["gapura.toml", "htpasswd"]


@pytest.mark.parametrize(
    ("name", "secret", "message"),
    [
        ("a:b", "x\n", "cannot be the name"),
        ("", "x\n", "cannot be the name"),
        ("a\n", "x\n", "cannot be the name"),
        ("alice", "", "is empty"),
        ("alice", "\n", "is empty"),
        ("alice", "x" * 73 + "\n", "73 bytes"),
    ],
)
def test_what_is_refused(folder: Path, gapura: Any, says: Any, name: str, secret: str, message: str) -> None:
    says(secret)
    done = gapura("password", name)
    assert message in done.err
    assert (done.status, done.out) == (2, "")


def test_a_file_that_cannot_be_written(folder: Path, gapura: Any, says: Any) -> None:
    says("x\n")
    done = gapura("password", "alice", "--file", str(folder / "none" / "x"), "--cost", "4")
    assert "cannot be written" in done.err
    assert done.status == 1
    (folder / "binary").write_bytes(b"\xff\xfe")
    says("x\n")
    assert "is not UTF-8" in gapura("password", "alice", "--file", str(folder / "binary"), "--cost", "4").err
