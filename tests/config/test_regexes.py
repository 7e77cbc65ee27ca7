"""Regular expressions of the file: both dialects' names, what is refused, what is warned of."""

from __future__ import annotations

import re

import pytest

from gapura.config.regexes import MAX_LENGTH, compiled, nested, translated


@pytest.mark.parametrize(
    ("text", "python"),
    [
        ("^/(?<id>[0-9]+)$", "^/(?P<id>[0-9]+)$"),
        ("^/(?P<id>[0-9]+)$", "^/(?P<id>[0-9]+)$"),
        (r"\(?<a", r"\(?<a"),
        ("[(?<a]", "[(?<a]"),
        ("(?<=a)b(?<!c)", "(?<=a)b(?<!c)"),
        (r"[\](?<a]x(?<y>z)", r"[\](?<a]x(?P<y>z)"),
    ],
)
def test_names_of_groups_as_nginx_writes_them(text: str, python: str) -> None:
    assert translated(text) == python
    compiled(text)


@pytest.mark.parametrize("text", ["(", "*a", "[a", "(?P<a>x)(?P<a>y)", "a{2,1}", "\\", "(?P=x)"])
def test_what_is_no_regex(text: str) -> None:
    with pytest.raises(re.error):
        compiled(text)


@pytest.mark.parametrize("text", ["é", "a" * (MAX_LENGTH + 1), "a{99999999999999}"])
def test_what_is_no_regex_for_us(text: str) -> None:
    with pytest.raises(ValueError, match="the regex"):
        compiled(text)


def test_warnings_of_python_are_no_news_for_visitors() -> None:
    assert compiled("[[a]").match(b"[")


@pytest.mark.parametrize(
    "text",
    ["(a+)+$", "(a*)*", "((a+))+", "(?:a|b+)*x", "(.*,)*", r"(\w+\w)*", r"(?:\d+)+", "(a+b+)+", "([^/]+)*", "(a+?)+"],
)
def test_repeats_within_repeats(text: str) -> None:
    assert nested(text)


@pytest.mark.parametrize(
    "text",
    ["^/a/(.*)$", "([a-z]+-)*x", "(?:/[^/]+)*", "(a+)?", r"([a-z]+\.)+com", "(ab)+", "(a{1,3})+", r"^/(\d{4})/(\d+)$", "(a|b)*"],
)
def test_repeats_that_cannot_run_away(text: str) -> None:
    assert not nested(text)
