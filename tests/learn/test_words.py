"""Words in two languages."""

from __future__ import annotations

import pytest

from gapura.learn.words import WORDS, language_of, say


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "en"),
        ({"LANG": "id_ID.UTF-8"}, "id"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "id"}, "id"),
        ({"LANG": "id_ID.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANGUAGE": "id:en", "LANG": "en_US"}, "id"),
        ({"LANGUAGE": "", "LANG": "idx_XX"}, "en"),
    ],
)
def test_the_language_is_the_persons(environ: dict[str, str], language: str) -> None:
    assert language_of(environ) == language


def test_both_languages_have_the_same_places() -> None:
    for english, indonesian in WORDS.values():
        assert sorted({part for part in english.split("{")[1:] for part in part[0]}) == sorted(
            {part for part in indonesian.split("{")[1:] for part in part[0]}
        )


def test_a_word_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError):
        say("en", "nothing")
