"""`gapura why`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .fake_api import FakeApi
from .test_explain_request import FOUND

FAILURE = {
    "why": "web:0 refused the connection.",
    "advice": "`gapura ps`",
    "alike": 12,
    "first_at": "2026-11-22T20:00:00.000Z",
    "last": FOUND,
}


@pytest.fixture
def api(folder: Path) -> Iterator[FakeApi]:
    api = FakeApi(folder / ".gapura")
    yield api
    api.close()


def test_each_kind_with_how_many_and_one_to_look_at(api: FakeApi, gapura: Any) -> None:
    api.says["/v1/failures"] = {"failures": [FAILURE, {**FAILURE, "alike": 1, "advice": "", "why": "It was so."}]}
    out = gapura("why").out
    assert (
        "of alvin.xyz: 502\n  web:0 refused the connection.\n  → `gapura ps`\n  12 alike since 2026-11-22T20:00:00.000Z, last "
        in out
    )
    assert f"gapura explain {FOUND['id']}" in out
    assert "  It was so.\n  at 2026-11-22T20:39:42.035Z; gapura explain" in out
    assert "\x1b" not in out
    assert gapura("why", "-n", "1").out.count("alvin.xyz") == 1


def test_as_json(api: FakeApi, gapura: Any) -> None:
    api.says["/v1/failures"] = {"failures": [FAILURE] * 20}
    assert json.loads(gapura("why", "--json").out) == {"failures": [FAILURE] * 10}


def test_nothing_has_failed(api: FakeApi, gapura: Any) -> None:
    api.says["/v1/failures"] = {"failures": []}
    assert gapura("why").out == "No request has failed since Gapura was started.\n"
    assert json.loads(gapura("why", "--json").out) == {"failures": []}


def test_without_gapura(folder: Path, gapura: Any) -> None:
    done = gapura("why")
    assert (done.status, "Gapura is not running here" in done.err) == (1, True)


@pytest.mark.parametrize("arguments", [["-n", "0"], ["-n", "x"], ["again"], ["--no"]])
def test_wrong_arguments(folder: Path, gapura: Any, arguments: list[str]) -> None:
    assert gapura("why", *arguments).status == 2
