"""The records: written by one process, read by another, never half a record."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapura import records as r
from gapura.records import FAILED, RECENT, Record, Records, Trial


@pytest.fixture
def records() -> Iterator[Records]:
    """A worker's records of column 2."""
    made = Records.create()
    mine = Records(made.fd, 2)
    made.close()
    yield mine
    mine.close()
    os.close(mine.fd)


def plain(name: str = "a", started: int = 1) -> Record:
    return Record(name, started, 10)


def test_nothing_is_there_at_first(records: Records) -> None:
    assert records.written() == {}
    assert records.newest() == []
    assert records.find("a") is None
    assert records.read(2, RECENT) == []


def test_what_is_written_is_read(records: Records) -> None:
    record = Record(
        *("id-1", 5_000, 900, 7, 502, r.CLOSED, r.HELD | r.TLS, 2, 0xDEADBEEF, 12, "GET", "/a?b=***", "alvin.xyz", "10.0.0.9"),
        *("connection reset", 123, 45, -70, -20, 3, 4, 300, 310, 880, (Trial(1, 11, r.REFUSED, 2_000),)),
    )
    records.write(FAILED, record)
    assert records.newest() == [record._replace(column=2, ring=FAILED, number=1)]
    assert records.newest([RECENT]) == []
    assert records.find("id-1") == records.newest()[0]
    assert records.find("id-") is None


text = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=20)
moment = st.none() | st.integers(-(1 << 50), 1 << 50)
trial = st.builds(
    Trial,
    st.integers(0, 2**32 - 1),
    st.integers(0, 1024),
    st.sampled_from(range(10)),
    st.integers(0, 10**6).map(lambda us: us * 1000),
)


@given(
    st.builds(
        Record,
        *(st.text("0123456789abcdef", min_size=1, max_size=36), st.integers(0, 1 << 62), st.integers(0, 1 << 62)),
        row=st.integers(0, 1023),
        status=st.integers(0, 999),
        server=st.integers(0, 2**32 - 1),
        slot=st.integers(0, 65535),
        cause=st.sampled_from(range(len(r.CAUSES))),
        flags=st.integers(0, 255),
        tries=st.integers(0, 255),
        method=text,
        path=text,
        host=text,
        client=text,
        note=text,
        sent=st.integers(0, 1 << 60),
        received=st.integers(0, 1 << 60),
        accepted=moment,
        tls=moment,
        routed=moment,
        answered=moment,
        first_claimed=moment,
        claimed=moment,
        connected=moment,
        trials=st.lists(trial, max_size=4).map(tuple),
        trace=st.one_of(st.just(""), st.integers(1, 2**128 - 1).map("{:032x}".format)),
        parent=st.one_of(st.just(""), st.integers(1, 2**64 - 1).map("{:016x}".format)),
        span=st.integers(0, 2**64 - 1),
        column=st.just(-1),
        ring=st.just(RECENT),
        number=st.just(0),
    )
)
def test_whatever_is_written_is_read(record: Record) -> None:
    made = Records.create()
    records = Records(made.fd, 63)
    made.close()
    try:
        records.write(RECENT, record)
        short = {name: getattr(record, name)[:16] for name in ("method",)}
        assert records.read(63, RECENT) == [record._replace(column=63, ring=RECENT, number=1, **short)]
    finally:
        records.close()
        os.close(records.fd)


def test_what_is_too_long_is_cut_and_the_path_gets_what_is_left(records: Records) -> None:
    records.write(RECENT, Record("i" * 500, 1, 2, path="/p" * 500, host="h" * 500, client="c" * 500, method="M" * 99, tries=9999))
    found = records.newest()[0]
    assert (found.id, found.client, found.method) == ("i" * 128, "c" * 45, "M" * 16)
    assert found.tries == 255
    records.write(RECENT, Record("id", 2, 3, path="/" + "p" * 500, client="10.0.0.1"))
    assert len(records.newest()[0].path) == r.TEXTS - len("id" + "10.0.0.1" + 5 * " ")


def test_of_many_attempts_the_first_and_the_last_stay(records: Records) -> None:
    records.write(FAILED, plain()._replace(trials=tuple(Trial(1, slot, r.REFUSED, 0) for slot in range(9))))
    assert [trial.slot for trial in records.newest()[0].trials] == [0, 6, 7, 8]


@pytest.mark.parametrize("ring", [RECENT, FAILED])
def test_a_ring_keeps_the_newest(records: Records, ring: int) -> None:
    more = r.PLACES[ring] + 5
    for number in range(1, more + 1):
        records.write(ring, plain(f"n{number}", number))
    kept = records.read(2, ring)
    assert [record.number for record in kept] == list(range(6, more + 1))
    assert records.written() == {(2, ring): more}
    assert [record.number for record in records.read(2, ring, most=3)] == [more - 2, more - 1, more]
    assert records.read(2, ring, after=more) == []
    assert [record.number for record in records.read(2, ring, after=more - 1)] == [more]
    assert records.find("n5") is None
    assert records.find("n6") == kept[0]
    assert records.find(f"n{more}") == kept[-1]
    assert records.newest(most=2) == kept[:-3:-1]


def test_rings_and_columns_lie_apart(records: Records) -> None:
    other = Records(records.fd, 3)
    for ring in (RECENT, FAILED):
        for number in range(1, r.PLACES[ring] + 1):
            records.write(ring, plain(f"{ring}", number))
    other.write(RECENT, plain("other"))
    assert {record.id for record in records.read(2, RECENT)} == {"0"}
    assert {record.id for record in records.read(2, FAILED)} == {"1"}
    assert len(records.read(2, FAILED)) == 1024
    assert [record.id for record in records.read(3, RECENT)] == ["other"]
    other.close()


def test_of_an_id_that_came_twice_the_newest_is_found(records: Records) -> None:
    records.write(RECENT, plain("x", 100))
    records.write(FAILED, plain("x", 50))
    found = records.find("x")
    assert found is not None
    assert found.started == 100
    assert records.find("é€") is None


@pytest.mark.parametrize("at", [0, 5, 30, 120, 200, 399])
def test_a_record_that_is_half_there_is_left_out(records: Records, at: int) -> None:
    for number in (1, 2, 3):
        records.write(RECENT, plain(f"n{number}", number))
    start = r._place(2, RECENT, 2)
    records._memory[start + at] ^= 0x40
    assert [record.id for record in records.read(2, RECENT)] == ["n1", "n3"]
    assert [record.id for record in records.newest()] == ["n3", "n1"]
    assert records.find("n2") is None


def test_a_record_that_was_overwritten_before_it_was_counted_is_left_out(records: Records) -> None:
    """The writer is killed, or interrupted, between a record and its count."""
    for number in range(1, r.PLACES[FAILED] + 2):
        records.write(FAILED, plain(f"n{number}", number))
    records._cells[r.COUNTS + len(r.PLACES) * 2 + FAILED] -= 1
    assert [record.number for record in records.read(2, FAILED)] == list(range(2, r.PLACES[FAILED] + 1))
    records.write(FAILED, plain("again", 5))
    assert records.read(2, FAILED)[-1].id == "again"


WRITER = """
import sys
from gapura.records import RECENT, Record, Records
records = Records(int(sys.argv[1]), 0)
for number in range(1, 60_001):
    records.write(RECENT, Record(f"{number:x}", number, number * 3, path=f"/{number}" * 9, sent=number, client=f"{number}"))
"""


def test_a_reader_never_sees_half_a_record_of_another_process() -> None:
    records = Records.create()
    with subprocess.Popen([sys.executable, "-P", "-c", WRITER, str(records.fd)], pass_fds=[records.fd]) as writer:
        seen = 0
        ended = False
        while not ended:
            ended = writer.poll() is not None
            for record in records.read(0, RECENT, most=200):
                number = record.number
                seen += 1
                assert record == Record(
                    f"{number:x}",
                    number,
                    number * 3,
                    path=f"/{number}" * 9,
                    sent=number,
                    client=f"{number}",
                    column=0,
                    number=number,
                )
        assert writer.returncode == 0
    assert seen > 200
    assert records.written() == {(0, RECENT): 60_000}
    records.close()
    os.close(records.fd)


def test_reading_makes_no_memory_real() -> None:
    records = Records.create()
    records.newest()
    records.find("nobody")
    assert os.fstat(records.fd).st_blocks * 512 <= 2 * r.HEADER
    mine = Records(records.fd, 0)
    for number in range(1, r.PLACES[RECENT] + r.PLACES[FAILED] + 1):
        mine.write(RECENT if number <= r.PLACES[RECENT] else FAILED, plain(str(number), number))
    assert os.fstat(records.fd).st_blocks * 512 <= 5 << 19
    mine.close()
    records.close()
    os.close(records.fd)


@pytest.mark.parametrize("size", [0, 4096, r.SIZE])
def test_what_are_no_records_is_refused(size: int) -> None:
    fd = os.memfd_create("other")
    os.ftruncate(fd, size)
    try:
        with pytest.raises(ValueError, match="records of this version"):
            Records(fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("record", "failed"),
    [
        (plain()._replace(status=200), False),
        (plain()._replace(status=404), False),
        (plain()._replace(status=502), True),
        (plain()._replace(status=200, trials=(Trial(1, 1, r.REFUSED, 0),)), True),
        (plain()._replace(status=200, flags=r.BROKEN_OFF), True),
        (plain()._replace(status=200, flags=r.SLOW), False),
        (plain()._replace(status=499, cause=r.CLIENT_GONE), True),
        (plain()._replace(status=200, cause=r.CLIENT_GONE), False),
        (plain()._replace(status=200, trials=(Trial(1, 1, r.STALE, 0),)), False),
    ],
)
def test_which_have_failed(record: Record, failed: bool) -> None:
    assert record.failed is failed
