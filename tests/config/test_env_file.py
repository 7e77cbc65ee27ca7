from __future__ import annotations

from pathlib import Path

import pytest

from gapura.config.env_file import read_env_file
from gapura.errors import ConfigError

TEXT = """
# a comment
A=1
export B = two words
C="quoted # not a comment\\n\\"x\\""
D='single $HOME \\n'
E=value # a comment
F=
G=a=b#c
A=again
"""


def test_variables(tmp_path: Path) -> None:
    (tmp_path / "vars").write_text(TEXT)
    assert read_env_file(str(tmp_path / "vars")) == {
        "A": "again",
        "B": "two words",
        "C": 'quoted # not a comment\n"x"',
        "D": "single $HOME \\n",
        "E": "value",
        "F": "",
        "G": "a=b#c",
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [("A", 1), ("\n=x", 2), ("A B=1", 1), ("1A=x", 1), ("A=1\nA-B=2", 2), ("A=x\0y", 1), ("É=1", 1), ("unset A", 1)],
)
def test_bad_lines(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / "vars").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_env_file(str(tmp_path / "vars"))
    assert [problem.line for problem in caught.value.problems] == [line]


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "vars").write_bytes(b"A=\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_env_file(str(tmp_path / "vars"))
