from __future__ import annotations

import pytest

from gapura.config import positions
from gapura.config.positions import Path, Positions, Span

TEXT = '''# comment
[edge]
http = 8080
limits.body = "1M"  # behind

[sites."alvin.xyz"]
proxy = "web"

[[sites."alvin.xyz".routes]]
path = "/a"
[[sites."alvin.xyz".routes]]
path = "/b"
[sites."alvin.xyz".routes.respond]
"status" = 200

[upstreams.web]
servers = [
  "é", # one
  { address = "b:1", weight = 2 },
]
body = """
two
lines"""
'''


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        (("edge",), Span(2, 2, 4), Span(2, 2, 4)),
        (("edge", "http"), Span(3, 1, 4), Span(3, 8, 4)),
        (("edge", "limits", "body"), Span(4, 8, 4), Span(4, 15, 4)),
        (("sites", "alvin.xyz"), Span(6, 8, 11), Span(6, 8, 11)),
        (("sites", "alvin.xyz", "routes", 0, "path"), Span(10, 1, 4), Span(10, 8, 4)),
        (("sites", "alvin.xyz", "routes", 1), Span(11, 21, 6), Span(11, 21, 6)),
        (("sites", "alvin.xyz", "routes", 1, "path"), Span(12, 1, 4), Span(12, 8, 4)),
        (("sites", "alvin.xyz", "routes", 1, "respond", "status"), Span(14, 1, 8), Span(14, 12, 3)),
        (("upstreams", "web", "servers", 0), Span(18, 3, 3), Span(18, 3, 3)),
        (("upstreams", "web", "servers", 1, "weight"), Span(19, 22, 6), Span(19, 31, 1)),
        (("upstreams", "web", "servers", 0, "address"), Span(18, 3, 3), Span(18, 3, 3)),
        (("upstreams", "web", "body"), Span(21, 1, 4), Span(21, 8, 3)),
        (("upstreams", "web", "policy"), Span(16, 12, 3), Span(16, 12, 3)),
    ],
)
def test_places(path: Path, key: Span, value: Span) -> None:
    found = Positions(TEXT)
    assert found.key(path) == key
    assert found.value(path) == value


def test_windows_lines_and_wide_letters_before_the_place() -> None:
    found = Positions('[a]\r\nb = { c = "☕\U0001f600é", d = 1 }\r\n')
    assert found.value(("a", "b", "d")) == Span(2, 22, 1)


def test_what_is_nowhere_has_no_place() -> None:
    assert Positions("").value(("a", "b")) is None


def test_without_a_parser_there_are_no_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(positions, "_parse", lambda _text: None)
    assert Positions(TEXT).key(("edge",)) is None


@pytest.mark.parametrize("text", ["[", "a = ", "= 1", "[[", '"', "a = [1, {", "\0", "[a]\n[[a]]\n]"])
def test_broken_files_are_no_error_here(text: str) -> None:
    Positions(text).key(("a",))
