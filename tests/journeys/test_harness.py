"""The harness itself: a load generator that cannot see a failure would prove nothing."""

from __future__ import annotations

from collections.abc import Callable

from .harness import cases
from .harness.client import Download, WebSocket, visit
from .harness.foreign import Foreign
from .harness.load import Load
from .harness.outcome import Outcome, parse, play, unmet
from .harness.witness import Witness


def test_every_request_is_counted(foreign: Callable[..., Foreign]) -> None:
    server = foreign("one")
    with Load(server.port, total=301) as load:
        load.reached(100)
    assert load.report.failures == {}
    assert len(load.report.sent) == 301
    assert load.report.stale == 0


def test_a_dead_server_is_seen_as_failures(foreign: Callable[..., Foreign]) -> None:
    server = foreign("one")
    with Load(server.port, total=300) as load:
        load.reached(100)
        server.stop()
    assert len(load.report.sent) == 300
    assert sum(load.report.failures.values()) > 100
    assert all(kind.split()[0] in {"refused", "closed", "reset"} for kind in load.report.failures)


def test_an_idle_connection_closed_by_the_server_is_stale_and_no_failure(foreign: Callable[..., Foreign]) -> None:
    server = foreign("one")
    with Load(server.port, total=40, rate=20, clients=4) as load:
        load.reached(8)
        server.stop()
        server.start()
    assert load.report.stale >= 1
    assert set(load.report.failures) <= {"refused ConnectionRefusedError", "closed", "reset ConnectionResetError"}


def test_an_answer_that_breaks_off_is_a_failure(foreign: Callable[..., Foreign]) -> None:
    server = foreign("one")
    with Load(server.port, "/download?bytes=20000000", total=1, clients=1) as load:
        load.reached(0)
        server.stop()
    assert sum(load.report.failures.values()) == 1


def test_tunnels_events_and_downloads_of_the_test_program(foreign: Callable[..., Foreign]) -> None:
    server = foreign("one")
    socket = WebSocket(server.port)
    assert socket.ask("hello") == "hello"
    socket.close()
    download = Download(server.port, 1_000_001)
    download.read(1000)
    download.rest()
    assert download.whole
    download.close()
    assert visit(server.port, "/events?count=3").body == "data: 0\n\ndata: 1\n\ndata: 2\n\n"


def test_the_witness_answers_what_is_valid_and_names_what_is_not() -> None:
    rows = {case.name: case for case in cases.load("proxy")}
    witness = Witness()
    try:
        for name in ("OK-GET", "OK-POST-CHUNKED", "OK-EXPECT-100", "OK-SPLIT-BYTES", "OK-CONN-CLOSE", "UP-HTTP10-NOCL"):
            case = rows[name]
            witness.begin(case.answer, case.hangs_up)
            outcome = play(witness.port, case)
            outcome.seen = witness.requests
            assert unmet(outcome, case) == [], name
            assert witness.violations == []
        for name in ("SM-CLTE", "HD-BARE-LF", "HD-NUL-VALUE", "CK-SIZE-PLUS", "HO-DUP", "RL-TAB-SEP", "CK-TRAILER-NO-COLON"):
            witness.begin()
            play(witness.port, rows[name])
            assert witness.violations, name
    finally:
        witness.close()


def test_expectations_can_fail() -> None:
    (case,) = (case for case in cases.load("proxy") if case.name == "OK-GET")
    refused = parse(
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno", ["GET"], reset=False, closed=True
    )
    assert unmet(Outcome(refused, 0.1), case) == ["status=200", "conn=open", "up=1"]
    (cut,) = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nno", ["GET"], reset=False, closed=True)
    assert cut.truncated
