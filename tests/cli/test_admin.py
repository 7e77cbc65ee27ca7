"""Asking the admin API: what comes back, and every way in which it may not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gapura.cli import admin
from gapura.cli.place import Place, find
from gapura.errors import CommandError

from .fake_api import FakeApi


@pytest.fixture
def place(folder: Path) -> Place:
    return find(None)


@pytest.fixture
def api(folder: Path) -> Iterator[FakeApi]:
    api = FakeApi(folder / ".gapura")
    yield api
    api.close()


def test_parts_of_a_path_stay_apart(api: FakeApi, place: Place) -> None:
    api.says["/v1/requests/a%2Fb%3Fc"] = {"a": 1}
    assert admin.get(place, "requests", "a/b?c") == {"a": 1}


def test_what_is_not_there(api: FakeApi, place: Place) -> None:
    with pytest.raises(admin.NotFound) as error:
        admin.get(place, "nothing")
    assert (error.value.message, error.value.hint) == ("no such thing", "look")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ((503, {"title": "Busy", "status": 503}), "Busy"),
        ((500, {}), "500"),
        ([], "of another version"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{x}", "broke off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}", "broke off"),
        (b"nonsense\r\n\r\n", "broke off"),
        (b"", "broke off"),
    ],
)
def test_answers_that_are_none(api: FakeApi, place: Place, said: object, message: str) -> None:
    api.says["/v1/x"] = said
    with pytest.raises(CommandError, match=message):
        admin.get(place, "x")


def test_a_folder_that_lies_deep(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A UNIX socket's path has 107 bytes."""
    deep = folder / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    (deep / "gapura.toml").write_text((folder / "gapura.toml").read_text())
    monkeypatch.chdir(deep)
    api = FakeApi(deep / ".gapura")
    try:
        api.says["/v1/x"] = {"b": 2}
        assert admin.get(find(None), "x") == {"b": 2}
    finally:
        api.close()
