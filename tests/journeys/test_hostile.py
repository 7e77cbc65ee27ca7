"""Hostile and odd input, byte by byte, against a running Gapura: every row of http-cases.tsv that HTTP/1 reaches.

A witness behind checks that whatever is passed on is itself strictly valid.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from .harness import cases
from .harness.outcome import play, unmet
from .harness.proc import until
from .harness.site import Site, route, section
from .harness.witness import Witness

PROXIED = cases.load("proxy")
SITED = cases.load("static", "redirect", "ws")
QUICK = [case for case in PROXIED if case.kind not in ("slow", "log")]
SLOW = [case for case in PROXIED if case.kind == "slow"]


@pytest.fixture(scope="module")
def witness() -> Iterator[Witness]:
    witness = Witness()
    yield witness
    witness.close()


def upstream(witness: Witness) -> str:
    """The witness is asked for nothing but what the cases send, and never given up."""
    server = {"address": f"127.0.0.1:{witness.port}", "max_fails": 0}
    return section("upstreams.witness", servers=[server], health=False, hold=0)


@pytest.fixture(scope="module")
def proxy(witness: Witness, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Everything goes to the witness."""
    site = Site(tmp_path_factory.mktemp("proxy"))
    site.configure(upstream(witness), section('sites."*"', proxy="witness"), proxy="")
    site.up()
    yield site
    site.down()
    site.sweep()


@pytest.fixture(scope="module")
def files(witness: Witness, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A folder beside which lies a secret, a redirect, and a WebSocket's place."""
    site = Site(tmp_path_factory.mktemp("files"))
    (site.folder / "secret.txt").write_text("TOPSECRET")
    folder = site.folder / "www"
    (folder / "dir").mkdir(parents=True)
    (folder / "index.html").write_text("<p>index")
    (folder / "dir" / "index.html").write_text("<p>dir")
    (folder / ".htpasswd").write_text("user:hash")
    os.mkfifo(folder / "fifo")
    site.configure(
        upstream(witness),
        route("/", "*", files="www"),
        route("/old/", "*", redirect="/new/$rest"),
        route("/ws", "*", proxy="witness"),
        proxy="",
    )
    site.up()
    yield site
    site.down()
    site.sweep()


def judge(site: Site, witness: Witness, case: cases.Case) -> None:
    witness.begin(case.answer, case.hangs_up)
    outcome = play(site.port, case)
    outcome.seen = witness.requests
    assert unmet(outcome, case) == [], outcome
    assert witness.violations == []


@pytest.mark.parametrize("case", QUICK, ids=[case.name for case in QUICK])
def test_proxied(proxy: Site, witness: Witness, case: cases.Case) -> None:
    judge(proxy, witness, case)


@pytest.mark.parametrize("case", SITED, ids=[case.name for case in SITED])
def test_files_redirects_and_upgrades(files: Site, witness: Witness, case: cases.Case) -> None:
    judge(files, witness, case)


def test_a_request_is_one_line_of_the_log(proxy: Site, witness: Witness) -> None:
    """IN-LOG: neither a line break nor an escape sequence of a client gets into the log (CWE-117)."""
    (case,) = (case for case in PROXIED if case.kind == "log")
    tame = tuple(step.replace(b"\x1b", b"") for step in case.steps if isinstance(step, bytes))
    witness.begin()
    log = proxy.logs / "access.log"
    for one in (case, replace(case, steps=tame)):
        outcome = play(proxy.port, one)
        assert outcome.status in (200, 400, 404)
        (identity,) = outcome.finals[0].values("x-request-id")
        until(partial(lines, log, identity))
        (line,) = lines(log, identity)
        assert not re.search(rb"[\x00-\x1f\x7f]", line)
    assert b"/x%0a127.0.0.1%20-%20admin" in line


def lines(log: Path, text: str) -> list[bytes]:
    """The whole lines of a log that hold this."""
    return [line for line in log.read_bytes().split(b"\n")[:-1] if text.encode() in line]


@pytest.mark.full
def test_slow_clients(proxy: Site, witness: Witness) -> None:
    """A head that does not end, a connection without a byte, a body that trickles: none holds its place for ever."""
    witness.begin()
    with ThreadPoolExecutor(len(SLOW)) as pool:
        outcomes = list(pool.map(lambda case: play(proxy.port, case, patience=5.0, limit=80.0), SLOW))
    assert {case.name: unmet(outcome, case) for case, outcome in zip(SLOW, outcomes, strict=True)} == {
        case.name: [] for case in SLOW
    }


def test_every_row_is_read() -> None:
    """No expectation without a check, and the rows that are left out are those of protocols that come later."""
    assert len(QUICK) + len(SLOW) + 1 + len(SITED) > 220
    assert Path(cases.FILE).read_text().count("\n") > 300 - 40
