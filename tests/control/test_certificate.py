"""What is to be done for one certificate, from what is known of it. No clock but the test's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gapura.control.certificate import FIRST_DELAY, LOCAL, LONGEST_DELAY, NOTHING, ORDER, Certificate, delay, read_record

NOW = 1_900_000_000.0
DAY = 86400.0
CA = "the local CA"


def certificate(folder: Path, public: bool = True, files: bool = True, **record: Any) -> Certificate:
    """One that is on the disk with this record."""
    one = Certificate("a.example", str(folder), public)
    place = Path(one.folder)
    place.mkdir(parents=True)
    if files:
        (place / "certificate.pem").touch()
        (place / "key.pem").touch()
    (place / "record.json").write_text(json.dumps(record))
    one.load(NOW)
    return one


def acme(**changes: Any) -> dict[str, Any]:
    return {"source": "acme", "not_after": NOW + 60 * DAY, "renew_at": NOW + 30 * DAY, **changes}


def local(**changes: Any) -> dict[str, Any]:
    return {"source": "local", "ca": CA, "not_after": NOW + 60 * DAY, "renew_at": NOW + 30 * DAY, **changes}


def stand_in(**changes: Any) -> dict[str, Any]:
    return local(provisional=True, **changes)


@pytest.mark.parametrize(
    ("public", "record", "task"),
    [
        (True, {}, LOCAL),  # https works at once
        (True, stand_in(), ORDER),
        (True, stand_in(next_try=NOW + 1), NOTHING),
        (True, stand_in(next_try=NOW), ORDER),
        (True, stand_in(renew_at=NOW - 1, next_try=NOW + 1), LOCAL),
        (True, local(next_try=NOW + 1), LOCAL),  # visitors must not be sent to it any more
        (False, stand_in(), LOCAL),
        (True, local(ca="another"), LOCAL),
        (True, acme(), NOTHING),
        (True, acme(renew_at=NOW - 1), ORDER),
        (True, acme(renew_at=NOW - 1, next_try=NOW + 9), NOTHING),
        (True, acme(not_after=NOW - 1), LOCAL),
        (False, {}, LOCAL),
        (False, local(), NOTHING),
        (False, local(renew_at=NOW), LOCAL),
        (False, local(not_after=NOW), LOCAL),
        (False, acme(), LOCAL),
    ],
)
def test_what_is_to_be_done(tmp_path: Path, public: bool, record: dict[str, Any], task: str) -> None:
    one = certificate(tmp_path, public, **record)
    assert one.task(NOW, CA) == task
    one.busy = "order"
    assert one.task(NOW, CA) == NOTHING


def test_files_that_are_gone_are_replaced(tmp_path: Path) -> None:
    assert certificate(tmp_path, files=False, **acme()).task(NOW, CA) == LOCAL


def test_a_ca_that_may_not_be_read_says_nothing_against_a_certificate(tmp_path: Path) -> None:
    assert certificate(tmp_path, public=False, **local(ca="unknown")).task(NOW, None) == NOTHING


def test_tries_become_rarer_and_never_end(tmp_path: Path) -> None:
    one, now, waits = certificate(tmp_path, **stand_in()), NOW, []
    for _ in range(12):
        assert one.task(now, CA) == ORDER
        one.begin(now)
        one.failed("it does not work", {}, ["u"], now)
        assert one.task(now, CA) == NOTHING
        waits.append(one.value("next_try") - now)
        now = one.value("next_try")
        one.record |= {"not_after": now + DAY, "renew_at": now + DAY}
    assert FIRST_DELAY * 0.8 <= waits[0] <= FIRST_DELAY * 1.2
    assert all(LONGEST_DELAY * 0.8 <= wait <= LONGEST_DELAY * 1.2 for wait in waits[-3:])
    assert sum(1 for wait in waits if wait < 3600) <= 5, "authorities count failures by the hour"


def test_nobody_knocks_before_the_authority_wants_it(tmp_path: Path) -> None:
    one = certificate(tmp_path, **stand_in())
    one.failed("too many requests", {"u": NOW + 7200}, ["u"], NOW)
    assert one.value("next_try") >= NOW + 7200
    one.failed("too many requests", {"u": NOW + 90_000}, ["u", "another"], NOW)
    assert one.value("next_try") < NOW + 90_000, "the other one may be asked earlier"
    assert one.record["blocked"] == {"u": NOW + 90_000}


def test_what_failed_is_known_after_a_restart(tmp_path: Path) -> None:
    one = certificate(tmp_path, **stand_in(next_try=NOW + 500, failures=3, problem="why", blocked={"u": NOW + 400}))
    assert one.task(NOW, CA) == NOTHING
    assert one.row()["problem"] == "why"
    assert one.row()["failures"] == 3


def test_an_order_that_was_cut_off_begins_anew_at_once_but_not_without_end(tmp_path: Path) -> None:
    one = certificate(tmp_path, **stand_in(begun=NOW - 5))
    assert one.task(NOW, CA) == ORDER
    again = certificate(tmp_path / "2", **stand_in(begun=NOW - 5, interrupted=1))
    assert again.task(NOW, CA) == NOTHING
    assert again.value("next_try") > NOW


def test_a_local_certificate_takes_nothing_away_from_what_is_known_about_orders(tmp_path: Path) -> None:
    one = certificate(tmp_path, **stand_in(failures=2, next_try=NOW + 9, problem="why"))
    one.got(local(renew_at=NOW + 80 * DAY))
    assert (one.number("failures"), one.value("next_try"), one.record["problem"]) == (2, NOW + 9, "why")
    one.got(acme())
    assert (one.number("failures"), one.record.get("problem")) == (0, None)


def test_hurry(tmp_path: Path) -> None:
    one = certificate(tmp_path, **acme(next_try=NOW + 9, blocked={"u": NOW + 9}))
    one.hurry()
    assert one.task(NOW, CA) == ORDER
    assert one.record["blocked"] == {}


def test_a_changed_configuration_is_taken_up(tmp_path: Path) -> None:
    one = certificate(tmp_path, **acme(not_before=NOW - 30 * DAY))
    one.follow(20 * DAY, retry=False)
    assert one.value("renew_at") == NOW + 40 * DAY
    one.follow(1000 * DAY, retry=False)
    assert NOW - 30 * DAY < one.value("renew_at") < NOW, "not before it was issued"
    other = certificate(tmp_path / "2", **stand_in(failures=3, next_try=NOW + 9))
    other.follow(None, retry=False)
    assert other.task(NOW, CA) == NOTHING
    other.follow(None, retry=True)
    assert other.task(NOW, CA) == ORDER


def test_rows_are_for_people(tmp_path: Path) -> None:
    row = certificate(tmp_path, **acme(issuer="Somebody")).row()
    assert (row["wanted"], row["source"], row["issuer"], row["next_try"]) == ("acme", "acme", "Somebody", NOW + 30 * DAY)
    fresh = Certificate("b.example", str(tmp_path), False).row()
    assert (fresh["wanted"], fresh["source"], fresh["not_after"], fresh["next_try"]) == ("local", None, None, None)


def test_a_wildcard_has_a_folder_of_its_own(tmp_path: Path) -> None:
    assert Certificate("*.a.example", str(tmp_path), True).folder.endswith("/certificates/_.a.example")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"not_after": "x"}',
        '{"source": 5}',
        '{"blocked": []}',
        '{"blocked": {"u": "x"}}',
        "[" * 10_000,
        '{"failures": {}}',
    ],
)
def test_a_record_that_makes_no_sense_is_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "record.json"
    file.write_text(text)
    assert read_record(str(file)) == {}


def test_no_two_hosts_wait_equally_long() -> None:
    assert len({delay(3) for _ in range(20)}) > 10
