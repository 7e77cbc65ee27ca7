from __future__ import annotations

import hashlib
import json
import math
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from gapura.errors import CommandError
from gapura.master.tokens import NAME, TOKENS, Tokens


def test_only_the_hash_is_kept(tmp_path: Path) -> None:
    text, row = Tokens(str(tmp_path)).create("ci", "full", 1)
    file = tmp_path / NAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert text not in file.read_text()
    assert "hash" not in row
    assert row["expires"] == pytest.approx(time.time() + 86400, abs=600)
    [kept] = Tokens(str(tmp_path)).rows
    assert kept["hash"] == hashlib.sha256(text.encode()).hexdigest()
    assert [{**shown, "hash": kept["hash"]} for shown in Tokens(str(tmp_path)).shown()] == [kept]


def test_each_is_another(tmp_path: Path) -> None:
    tokens = Tokens(str(tmp_path))
    assert len({tokens.create(f"t{number}", "read", 0)[0] for number in range(20)}) == 20
    assert all(len(text) >= 40 for text in [tokens.create("x", "read", 0)[0]])


@pytest.mark.parametrize("name", ["", "a b", "../a", "a/b", "-a", ".a", "a\n", "ä", "x" * 65, "a\0"])
def test_names_that_cannot_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(CommandError):
        Tokens(str(tmp_path)).create(name, "read", 1)
    assert not (tmp_path / NAME).exists()


@pytest.mark.parametrize(
    ("role", "days"), [("root", 1), ("", 1), ("read", -1), ("read", math.nan), ("read", math.inf), ("read", 4000)]
)
def test_roles_and_days_that_cannot_be(tmp_path: Path, role: str, days: float) -> None:
    with pytest.raises(CommandError):
        Tokens(str(tmp_path)).create("a", role, days)


def test_a_name_is_one_token(tmp_path: Path) -> None:
    tokens = Tokens(str(tmp_path))
    tokens.create("a", "read", 1)
    with pytest.raises(CommandError, match="already"):
        tokens.create("a", "full", 1)
    tokens.revoke("a")
    tokens.create("a", "full", 1)
    with pytest.raises(CommandError, match="no token b"):
        tokens.revoke("b")


def test_one_that_has_expired_makes_room(tmp_path: Path) -> None:
    tokens = Tokens(str(tmp_path))
    tokens.create("a", "read", 1)
    tokens.rows[0]["expires"] = 1.0
    tokens.create("a", "full", 1)
    assert [row["role"] for row in tokens.rows] == ["full"]


def test_there_are_only_so_many() -> None:
    tokens = Tokens("")
    tokens.rows = [{"name": f"t{n}", "hash": "", "role": "read", "created": 0, "expires": 0.0} for n in range(TOKENS)]
    with pytest.raises(CommandError, match="already"):
        tokens.create("more", "read", 1)


def row(**changes: Any) -> dict[str, Any]:
    return {"name": "a", "hash": "0" * 64, "role": "full", "created": 1.0, "expires": 0.0, **changes}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"tokens": 1}',
        '{"tokens": [1]}',
        '{"tokens": [{}]}',
        json.dumps({"tokens": [row(hash="x")]}),
        json.dumps({"tokens": [row(hash=None)]}),
        json.dumps({"tokens": [row(name="../a")]}),
        json.dumps({"tokens": [row(name=1)]}),
        json.dumps({"tokens": [row(role="root")]}),
        json.dumps({"tokens": [row(expires="never")]}),
        json.dumps({"tokens": [row(), row(created=None)]}),
        "[" * 100_000,
    ],
)
def test_a_file_that_cannot_be_understood_lets_nobody_in(tmp_path: Path, content: str) -> None:
    (tmp_path / NAME).write_text(content)
    assert Tokens(str(tmp_path)).rows == []


def test_a_file_that_others_may_write_lets_nobody_in(tmp_path: Path) -> None:
    file = tmp_path / NAME
    file.write_text(json.dumps({"tokens": [row()]}))
    file.chmod(0o600)
    assert len(Tokens(str(tmp_path)).rows) == 1
    file.chmod(0o620)
    assert Tokens(str(tmp_path)).rows == []
    file.chmod(0o600)
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert Tokens(str(tmp_path)).rows == []
    file.unlink()
    os.mkfifo(file)
    assert Tokens(str(tmp_path)).rows == []


def test_what_cannot_be_written_does_not_count(tmp_path: Path) -> None:
    tokens = Tokens(str(tmp_path))
    (tmp_path / f"{NAME}.new").mkdir()
    with pytest.raises(IsADirectoryError):
        tokens.create("a", "read", 1)
    assert tokens.rows == []
