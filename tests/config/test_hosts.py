from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapura.config.hosts import BEGIN, END, host_lines, place, with_block
from gapura.config.load import load

Configure = Callable[..., str]
SITES = """
[sites."alvin.xyz"]
respond = "x"
hosts = ["www.alvin.xyz", "*.alvin.xyz", "dumbflix.localhost", "localhost", "10.0.0.1", "::1"]
[sites."*"]
respond = "x"
[sites."b.test"]
respond = "x"
"""


def test_lines_are_for_names_that_nobody_else_knows(configure: Configure) -> None:
    plan = load(configure(SITES))
    assert host_lines(plan) == ["127.0.0.1\talvin.xyz", "127.0.0.1\twww.alvin.xyz", "127.0.0.1\tb.test"]
    assert host_lines(plan, "FD00::1")[0] == "fd00::1\talvin.xyz"
    with pytest.raises(ValueError, match=r"10\.0\.0"):
        host_lines(plan, "10.0.0")


def test_place() -> None:
    assert place("Linux") == place("Darwin") == "/etc/hosts"
    assert place("Windows").endswith(r"\drivers\etc\hosts")


FILE = "127.0.0.1 localhost\n# mine\n"


def test_a_block_is_added_replaced_and_removed() -> None:
    added = with_block(FILE, "/a/gapura.toml", ["127.0.0.1\ta.b"])
    assert added == FILE + f"{BEGIN} /a/gapura.toml\n127.0.0.1\ta.b\n{END}\n"
    replaced = with_block(added + "::1 x\n", "/a/gapura.toml", ["1.1.1.1\tc.d", "1.1.1.1\te.f"])
    assert replaced == FILE + f"{BEGIN} /a/gapura.toml\n1.1.1.1\tc.d\n1.1.1.1\te.f\n{END}\n::1 x\n"
    assert with_block(replaced, "/a/gapura.toml", []) == FILE + "::1 x\n"


def test_two_configurations_have_two_blocks() -> None:
    both = with_block(with_block(FILE, "/a", ["1.1.1.1\ta"]), "/b", ["1.1.1.1\tb"])
    assert with_block(both, "/a", []) == with_block(FILE, "/b", ["1.1.1.1\tb"])
    assert with_block(both, "/b", []) == with_block(FILE, "/a", ["1.1.1.1\ta"])


def test_windows_line_ends_are_kept() -> None:
    assert with_block("127.0.0.1 x\r\n", "", ["1.1.1.1\ta"]) == f"127.0.0.1 x\r\n{BEGIN}\r\n1.1.1.1\ta\r\n{END}\r\n"


def test_a_last_line_without_an_end_gets_one() -> None:
    assert with_block("127.0.0.1 x", "", ["1.1.1.1\ta"]) == f"127.0.0.1 x\n{BEGIN}\n1.1.1.1\ta\n{END}\n"


def test_a_block_without_its_end_is_not_ours() -> None:
    torn = f"{BEGIN} /a\n1.1.1.1\ta\n10.0.0.1 printer\n"
    once = with_block(torn, "/a", ["1.1.1.1\tb"])
    assert once == f"{torn}{BEGIN} /a\n1.1.1.1\tb\n{END}\n"
    assert with_block(once, "/a", []) == torn


LINE = st.text(st.characters(exclude_characters="\n\r", codec="utf-8"), max_size=20)
TEXTS = st.lists(LINE | st.sampled_from([END, BEGIN, f"{BEGIN} /x", "127.0.0.1 localhost"]), max_size=8)


@given(TEXTS, st.sampled_from(["\n", "\r\n"]), st.lists(st.sampled_from(["1.1.1.1\ta", "1.1.1.1\tb"]), min_size=1, max_size=3))
def test_adding_and_removing_gives_the_file_back(lines: list[str], ending: str, ours: list[str]) -> None:
    text = "".join(line + ending for line in lines)
    added = with_block(text, "/a", ours)
    assert with_block(added, "/a", ours) == added
    assert with_block(added, "/a", []) == text


@given(st.text(max_size=200))
def test_without_lines_and_block_nothing_changes(text: str) -> None:
    assert with_block(text, "/a", []) == text
