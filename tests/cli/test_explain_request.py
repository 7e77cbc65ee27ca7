"""`gapura explain ID`: from the record, else from the access log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gapura.cli.explain_request import is_id, milliseconds

from .fake_api import FakeApi, refusing

ID = "83d0608d78b2c08400cae301"
FOUND: dict[str, Any] = {
    "id": ID, "at": "2026-11-22T20:39:42.035Z", "site": "alvin.xyz", "route": 3, "upstream": "web", "server": "web:0",
    "status": 502,
    "method": "GET", "path": "/a\x1b[2J", "ms": 787.1, "tries": 2, "failed": True, "client": "10.0.0.9", "received": 0, "sent": 129,
    "stages": [
        {"name": "accept", "from_ms": -0.3, "ms": 0.3},
        {"name": "route", "from_ms": 0.0, "ms": 0.0},
        {"name": "wait", "from_ms": 0.0, "ms": 700.0},
        {"name": "connect", "from_ms": 700.0, "ms": 1.5},
        {"name": "done", "from_ms": 701.5, "ms": 85.6},
    ],
    "trials": [{"server": "web/web:1", "outcome": "refused", "why": "web:1 refused the connection", "at_ms": 6.5}],
    "why": "web:1 refused the connection, web:0 closed the connection before it answered; no other server was left.",
    "advice": "`gapura ps` shows whether web runs.",
}  # fmt: skip
LINE = f'10.0.0.9 - - [22/Nov/2026:20:26:52 +0000] "GET /x HTTP/1.1" 502 5 "-" "curl" {ID} web:1 2 0.004 0.004'


@pytest.fixture
def api(folder: Path) -> Iterator[FakeApi]:
    api = FakeApi(folder / ".gapura")
    yield api
    api.close()


@pytest.fixture
def log(folder: Path) -> Path:
    path = folder / ".gapura" / "logs" / "access.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize("word", [ID, "0af76519-16cd-43dd-8448-eb211c80319c", "req_12345678"])
def test_what_is_an_id(word: str) -> None:
    assert is_id(word)


@pytest.mark.parametrize(
    "word", ["localhost", "alvin.xyz", "http://a1/", "a1:8080", "/films/12345678", "server1", "", "x" * 129, "12 345678"]
)
def test_what_is_none(word: str) -> None:
    assert not is_id(word)


def test_the_timeline_the_servers_and_the_sentence(api: FakeApi, gapura: Any) -> None:
    api.says[f"/v1/requests/{ID}"] = FOUND
    out = gapura("explain", ID).out
    assert "GET /a" in out
    assert "\x1b" not in out
    assert "of alvin.xyz: 502" in out
    lines = [line for line in out.splitlines() if "|" in line]
    assert [line.split()[0] for line in lines] == ["-0.30", "0.00", "0.00", "700", "702"]
    assert len({line.index("|") for line in lines}) == len({line.rindex("|") for line in lines}) == 1
    assert lines[2].count("#") > lines[4].count("#") >= lines[3].count("#") == 1
    assert "6.50 ms  web:1 refused the connection" in out
    assert out.index(FOUND["why"]) < out.index("→ `gapura ps` shows whether web runs.")


def test_as_json(api: FakeApi, gapura: Any) -> None:
    api.says[f"/v1/requests/{ID}"] = FOUND
    assert json.loads(gapura("explain", ID, "--json").out) == FOUND


def test_an_id_that_looks_like_a_url(api: FakeApi, gapura: Any) -> None:
    api.says["/v1/requests/a.example%2Fx"] = FOUND
    assert "alvin.xyz: 502" in gapura("explain", "--id", "a.example/x").out


@pytest.mark.parametrize("running", [True, False])
def test_when_the_record_is_gone_the_log_is_read(folder: Path, log: Path, gapura: Any, running: bool) -> None:
    log.write_text(LINE.replace(ID, "other1234567") + "\n" + LINE + "\n")
    api = FakeApi(folder / ".gapura") if running else None
    try:
        done = gapura("explain", ID)
    finally:
        if api is not None:
            api.close()
    assert done.status == 0
    assert LINE in done.out
    assert "There is no record of it any more" in done.out
    assert "It was sent to web:1, the second that was tried." in done.out
    assert json.loads(gapura("explain", ID, "--json").out)["status"] == 502


def test_an_id_in_another_field_is_not_the_request(log: Path, api: FakeApi, gapura: Any) -> None:
    log.write_text(LINE.replace("/x", f"/{ID}").replace(f"{ID} web", "other1234567 web") + "\n")
    assert gapura("explain", ID).status == 1


def test_nobody_knows_it(api: FakeApi, gapura: Any) -> None:
    done = gapura("explain", ID)
    assert done.status == 1
    assert f"nothing is known of the request {ID}" in done.err


def test_without_gapura_and_log(folder: Path, gapura: Any) -> None:
    done = gapura("explain", ID)
    assert (done.status, "Gapura is not running here" in done.err) == (1, True)


@pytest.mark.parametrize("word", ["a b1234567", "x" * 200 + "1", "\x1b[2J123456", "é12345678"])
def test_what_can_be_no_id(folder: Path, gapura: Any, word: str) -> None:
    done = gapura("explain", "--id", word)
    assert done.status == 1
    assert "cannot be the id of a request" in done.err
    assert "\x1b" not in done.err


def test_nobody_listens_any_more(folder: Path, gapura: Any) -> None:
    sock = refusing(folder / ".gapura")
    assert "Gapura is not running here" in gapura("explain", ID).err
    sock.close()


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.00 ms"), (-0.3, "-0.30 ms"), (787.1, "787 ms"), (9_999.0, "9,999 ms"), (61_000.0, "61.0 s")]
)
def test_milliseconds(value: float, text: str) -> None:
    assert milliseconds(value) == text
