"""The explanations as pages."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from gapura.learn import pages
from gapura.learn.words import LANGUAGES

EACH = [pytest.param(topic, language, id=f"{topic}-{language}") for topic in pages.TOPICS for language in LANGUAGES]


class Reader(HTMLParser):
    """Notes what is open and where links and pictures lead."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.pictures: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "br", "hr"):
            self.open.append(tag)
        if tag == "a":
            self.links.append(dict(attrs)["href"] or "")
        if tag == "img":
            self.pictures.append(dict(attrs))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize(("topic", "language"), EACH)
def test_a_page_is_whole_and_needs_nothing_else(topic: str, language: str) -> None:
    reader = Reader()
    reader.feed(pages.html(topic, language))
    assert reader.open == []
    assert reader.pictures
    for picture in reader.pictures:
        assert (picture["src"] or "").startswith("data:image/svg+xml;base64,")
        assert picture["alt"], "a picture is told in words"
    for link in reader.links:
        name = link.partition("#")[0]
        assert link.startswith("http") or name.removesuffix(".html") in pages.TOPICS, link


@pytest.mark.parametrize(("topic", "language"), EACH)
def test_pictures_are_there_in_the_language_of_the_page(topic: str, language: str) -> None:
    asked: list[str] = []
    pages.html(topic, language, lambda name: asked.append(name) or name)  # type: ignore[func-returns-value]
    for name in asked:
        assert name.endswith(".id.svg") == (language == "id")
        assert pages.drawing(name).startswith(b"<svg")


@pytest.mark.parametrize(("topic", "language"), EACH)
def test_the_terminal_gets_words_for_pictures(topic: str, language: str) -> None:
    text = pages.for_terminal(topic, language)
    assert "![" not in text
    assert "> [" in text


@pytest.mark.parametrize("topic", pages.TOPICS)
def test_both_languages_tell_the_same(topic: str) -> None:
    shapes = []
    for language in LANGUAGES:
        text = pages.text(topic, language)
        shapes.append([len(mark) for mark in re.findall(r"^(#+) ", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)])
    assert shapes[0] == shapes[1], "the same chapters"


@pytest.mark.parametrize(("topic", "language"), [("cooking", "en"), ("web-server", "fr"), ("../README", "en"), ("", "id")])
def test_what_there_is_no_page_about(topic: str, language: str) -> None:
    with pytest.raises(KeyError):
        pages.html(topic, language)


@pytest.mark.parametrize("name", ["nothing.svg", "../README.md", "../drawings/journey.svg", "journey", ""])
def test_what_is_no_drawing(name: str) -> None:
    with pytest.raises(KeyError):
        pages.drawing(name)
