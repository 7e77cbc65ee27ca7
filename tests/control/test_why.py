"""Why a request ended as it did: the sentence tells the truth, with names."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from gapura import records as r
from gapura.board import id_hash
from gapura.config.load import load
from gapura.control.names import Names
from gapura.control.why import TRIED, attempt, duration, judge
from gapura.records import Record, Trial

TEXT = """
[apps.web]
command = "true"
instances = 2

[upstreams.api]
servers = ["10.0.0.1:80", "10.0.0.2:80"]
read_timeout = "7s"

[[sites."alvin.xyz".routes]]
path = "/"
proxy = "web"

[[sites."alvin.xyz".routes]]
path = "/api/"
proxy = "api"
body_limit = 1000

[[sites."alvin.xyz".routes]]
path = "/files/"
files = "www"

[[sites."alvin.xyz".routes]]
path = "/no"
respond = { status = 503, body = "x" }
"""
SITE, WEB, API, FILES, NO = range(1, 6)
SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Names:
    folder = tmp_path_factory.mktemp("why")
    (folder / "www").mkdir()
    (folder / "gapura.toml").write_text(TEXT)
    plan = load(str(folder / "gapura.toml"))
    plan["sites"][0]["row"] = SITE
    for row, route in enumerate(plan["sites"][0]["routes"], WEB):
        route["row"] = row
    return Names(plan)


def tag(key: str) -> int:
    upstream, _, server = key.partition("/")
    return id_hash(upstream, server) & 0xFFFFFFFF


def trial(key: str, cause: int, at: int = 1_000_000) -> Trial:
    return Trial(tag(key), 0, cause, at)


def record(status: int = 200, server: str = "", **more: Any) -> Record:
    given: dict[str, Any] = {"row": WEB, "status": status, "method": "GET", "routed": 0}
    if server:
        given |= {"server": tag(server), "slot": 0, "claimed": 0, "first_claimed": 0}
    return Record("id-1", 0, 2_000_000, **{**given, **more})


CASES: list[tuple[Record, str, str]] = [
    (record(200, "web/web:0", answered=1), "web:0 answered with 200 in 2 ms.", ""),
    (record(200, flags=r.RECALLED), "Gapura answered from memory with 200 in 2 ms.", ""),
    (record(301), "Gapura answered by itself with 301 in 2 ms.", ""),
    (
        record(200, "web/web:1", answered=1, trials=(trial("web/web:0", r.REFUSED),)),
        "web:1 answered with 200 in 2 ms, after web:0 refused the connection.",
        "`gapura ps` shows whether web runs, `gapura logs web` why it does not.",
    ),
    (
        record(200, "web/web:1", answered=1, trials=(trial("web/web:0", r.STALE),)),
        "web:1 answered with 200 in 2 ms.",
        "",
    ),
    (
        record(200, "api/10.0.0.1:80", answered=3 * SECOND, flags=r.SLOW)._replace(ended=3 * SECOND),
        "10.0.0.1:80 answered with 200 in 3.0 s; it took 3.0 s to begin.",
        "Look for id-1 in its own log: it got this id as X-Request-Id.",
    ),
    (
        record(200, "web/web:0", first_claimed=2 * SECOND, claimed=2 * SECOND, answered=2 * SECOND + 9, flags=r.SLOW | r.HELD),
        "web:0 answered with 200 in 2 ms; before that it waited 2.0 s for a server.",
        "",
    ),
    (record(500, "web/web:0", answered=1, cause=r.SERVER), "web:0 itself answered with 500.", "`gapura logs web`"),
    (
        record(502, "api/10.0.0.2:80", row=API, cause=r.SERVER, trials=(trial("api/10.0.0.1:80", r.CLOSED),)),
        "10.0.0.2:80 itself answered with 502, after 10.0.0.1:80 closed the connection before it answered.",
        "Look for id-1 in its own log: it got this id as X-Request-Id.",
    ),
    (
        record(503, cause=r.NO_SERVER, note="crashed"),
        "No server of web could answer: they crashed too often and were given up.",
        "`gapura ps` shows its instances; `gapura logs web` tells why.",
    ),
    (
        record(503, cause=r.NO_SERVER, note="stopped"),
        "No server of web could answer: they were stopped.",
        "`gapura ps` shows its instances; `gapura start web` starts it.",
    ),
    (
        record(503, cause=r.NO_SERVER, note="backoff", flags=r.HELD)._replace(ended=3 * SECOND),
        "No server of web could answer within 3.0 s: they had ended unexpectedly and were waiting to be started again.",
        "`gapura ps` shows its instances; `gapura logs web` tells why.",
    ),
    (
        record(
            *(503, "api/10.0.0.2:80"), row=API, cause=r.NO_SERVER, note="refused",
            trials=(trial("api/10.0.0.1:80", r.REFUSED), trial("api/10.0.0.2:80", r.REFUSED), trial("api/10.0.0.1:80", r.REFUSED)),
        ),
        "No server of api could answer: they took no connection; 10.0.0.1:80 and 10.0.0.2:80 refused the connection.",
        "`gapura status` shows each server; start one of them, or add one.",
    ),
    (
        record(503, row=API, cause=r.NO_SERVER, note="disabled"),
        "No server of api could answer: they were disabled by a command.",
        "`gapura enable` brings a server back.",
    ),
    (
        record(503, row=API, cause=r.NO_SERVER, note="unresolved"),
        "No server of api could answer: its name has no address.",
        "Look at the name in `servers`, and whether the machine's resolver knows it.",
    ),
    (
        record(503, cause=r.QUEUE_FULL, note="queue"),
        "All servers of web were busy, and as many requests waited for one as may.",
        "`gapura scale web` starts more instances; `queue`, `max_conns` and `hold` say who may wait.",
    ),
    (
        record(504, "api/10.0.0.1:80", row=API, cause=r.TIMEOUT, trials=(trial("api/10.0.0.1:80", r.TIMEOUT),)),
        "10.0.0.1:80 did not answer in time (within 7 s).",
        "Look for id-1 in its own log: it got this id as X-Request-Id. If it needs so long, raise `read_timeout`.",
    ),
    (
        record(502, "web/web:0", method="POST", cause=r.CLOSED, trials=(trial("web/web:0", r.CLOSED),)),
        "web:0 closed the connection before it answered; POST is not sent twice, because it may have been carried out.",
        "`gapura ps` shows whether web runs, `gapura logs web` why it does not.",
    ),
    (
        record(502, "web/web:1", cause=r.CLOSED, trials=(trial("web/web:0", r.REFUSED), trial("web/web:1", r.CLOSED))),
        "web:0 refused the connection, web:1 closed the connection before it answered; no other server was left.",
        "`gapura ps` shows whether web runs, `gapura logs web` why it does not.",
    ),
    (
        record(
            *(502, "api/10.0.0.1:80"), row=API, cause=r.UNTRUSTED, note="certificate has expired",
            trials=(trial("api/10.0.0.1:80", r.UNTRUSTED),),
        ),
        "10.0.0.1:80 did not prove who it is (certificate has expired).",
        "Compare the server's certificate with `tls` of the upstream: its name, its authority, its dates.",
    ),
    (
        record(503, "api/10.0.0.1:80", row=API, cause=r.CONNECT_TIMEOUT, trials=(trial("api/10.0.0.1:80", r.CONNECT_TIMEOUT),)),
        "10.0.0.1:80 did not take the connection in time (within 2 s).",
        "Look at the address and at firewalls between here and there.",
    ),
    (
        record(499, "web/web:0", cause=r.CLIENT_GONE)._replace(ended=5 * SECOND),
        "The client left after 5.0 s, before the answer began; web:0 had it for 5.0 s.",
        "`gapura logs web` shows what it said.",
    ),
    (
        record(499, cause=r.CLIENT_GONE, flags=r.HELD),
        "The client left after 2 ms, while it waited for a server of web.",
        "",
    ),
    (record(499, row=FILES, cause=r.CLIENT_GONE), "The client left after 2 ms, before the answer began.", ""),
    (
        record(200, "web/web:0", answered=1, sent=12_345, cause=r.CLIENT_GONE),
        "The client left in the middle of the answer, after 12,345 bytes of its body.",
        "",
    ),
    (
        record(200, "web/web:0", answered=1, sent=1_000, cause=r.INVALID, flags=r.BROKEN_OFF, note="the body ended too early"),
        "The answer ended after 1,000 bytes of its body: web:0 broke off (the body ended too early). "
        "The client was told by a broken connection.",
        "`gapura logs web` shows what it said.",
    ),
    (
        record(200, "api/10.0.0.1:80", row=API, answered=1, sent=5, cause=r.TIMEOUT, flags=r.BROKEN_OFF),
        "The answer ended after 5 bytes of its body: 10.0.0.1:80 sent nothing more for 7 s. "
        "The client was told by a broken connection.",
        "Look for id-1 in its own log: it got this id as X-Request-Id.",
    ),
    (record(429, cause=r.RATE_LIMIT), "The client sent requests more often than `limit` of the route allows.", "Raise"),
    (record(503, cause=r.CONNECTION_LIMIT), "The client had as many requests under way as `limit_connections`", "Raise"),
    (record(413, row=API, cause=r.TOO_LARGE), "The request's body is larger than the 1,000 bytes", "If such"),
    (record(421, row=0, cause=r.NO_SITE, host="x.example"), "No site answers for the host x.example.", "`gapura status`"),
    (record(404, row=SITE, cause=r.NO_ROUTE), "The site alvin.xyz has no route for this path.", "A route with"),
    (record(400, row=0, cause=r.BAD_REQUEST), "The request is not valid HTTP, or longer than `limits` allow.", ""),
    (record(408, cause=r.SLOW_REQUEST), "The request did not arrive in time.", "`timeouts.head`"),
    (record(401, cause=r.DENIED), "The client did not prove who it is.", "`gapura explain URL`"),
    (record(403, cause=r.DENIED), "The client may not do this here.", "`gapura explain URL`"),
    (record(503, row=SITE, cause=r.MAINTENANCE), "The site alvin.xyz was in maintenance.", "`gapura maintenance off alvin.xyz`"),
    (record(503, row=NO, cause=r.OWN), "The configuration says that this is answered with 503.", ""),
    (record(500, cause=r.ERROR), "Gapura could not answer and said 500.", "error.log tells more: look for id-1."),
]  # fmt: skip


@pytest.mark.parametrize(("told", "sentence", "advice"), CASES, ids=[sentence[:40] for _, sentence, _ in CASES])
def test_the_sentence_and_the_advice(names: Names, told: Record, sentence: str, advice: str) -> None:
    verdict = judge(names, told)
    assert verdict.sentence.startswith(sentence)
    assert (verdict.advice == advice) if advice.endswith(".") or not advice else verdict.advice.startswith(advice)
    assert verdict.sentence.endswith(".")


def test_a_missing_file(names: Names) -> None:
    folder = Path(names.plan["folder"]) / "www"
    assert judge(names, record(404, row=FILES, cause=r.OWN)).sentence == f"There is no such file in {folder}."


@pytest.mark.parametrize("cause", range(len(r.CAUSES)))
def test_there_is_a_sentence_for_everything(names: Names, cause: int) -> None:
    """Also for a server, a route and a site that have left the configuration since."""
    for case in product((200, 404, 499, 502, 503, 999), (0, r.BROKEN_OFF, r.SLOW | r.HELD), (True, False)):
        check_sentence(names, cause, *case)


def check_sentence(names: Names, cause: int, status: int, flags: int, known: bool) -> None:
    told = record(
        *(status, "web/web:0" if known else "old/10.9.9.9:1"), row=WEB if known else 777, cause=cause, flags=flags, answered=5,
        note="no such condition", trials=(trial("web/web:1" if known else "old/x", cause),),
    )  # fmt: skip
    sentence, advice = judge(names, told)
    assert sentence.endswith(".")
    assert "  " not in sentence + advice
    assert "None" not in sentence + advice
    assert known or "a server that is gone" in sentence or cause >= r.NO_SERVER


def test_every_cause_of_an_attempt_has_words(names: Names) -> None:
    assert set(TRIED) == set(range(r.STALE, r.NO_SERVER))
    assert attempt(names, trial("web/web:0", r.TIMEOUT)) == "web:0 did not answer in time"
    assert attempt(names, trial("x/y", r.REFUSED)) == "a server that is gone refused the connection"


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(0, "0.00 ms"), (120_000, "0.12 ms"), (999_000_000, "999 ms"), (1_000_000_000, "1.0 s"), (3_210_000_000, "3.2 s")],
)
def test_durations(nanoseconds: int, text: str) -> None:
    assert duration(nanoseconds) == text
