from __future__ import annotations

import gzip
import json
import os
import stat
from pathlib import Path

import pytest

from gapura.control.event_log import EventLog
from gapura.events import Event, draft


def event(number: int) -> Event:
    return {"id": number, **draft("app.ready", f"web:{number}", "ready", "", {"port": number}, now=float(number))}


def written(path: Path, *numbers: int) -> EventLog:
    log = EventLog(str(path))
    assert log.open()
    for number in numbers:
        assert log.write(event(number))
    return log


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    log = written(tmp_path / "events.log", 1, 2, 3)
    assert log.restore(10) == ([event(1), event(2), event(3)], 3)
    assert log.restore(2) == ([event(2), event(3)], 3)
    assert stat.S_IMODE(os.stat(tmp_path / "events.log").st_mode) & 0o007 == 0
    log.close()


def test_only_one_writes(tmp_path: Path) -> None:
    first = written(tmp_path / "events.log", 1)
    second = EventLog(str(tmp_path / "events.log"))
    assert not second.open()
    assert not second.write(event(9))
    assert second.problem == "another process writes it"
    first.close()
    assert second.open()
    second.close()


def test_rotation_goes_on_with_the_numbers(tmp_path: Path) -> None:
    path = tmp_path / "events.log"
    log = written(path, 1, 2)
    path.rename(tmp_path / "events.log-20261122T000000Z")
    log.reopen(2, "2026-11-22T00:00:00.000Z")
    found, last = EventLog(str(path)).restore(10)
    assert (found, last) == ([event(1), event(2)], 2)
    (tmp_path / "events.log-20261122T000000Z").unlink()
    assert EventLog(str(path)).restore(10) == ([], 2), "the number is at the head of the new file"
    log.write(event(3))
    assert EventLog(str(path)).restore(10) == ([event(3)], 3)
    log.close()


def test_a_compressed_file_is_read_too(tmp_path: Path) -> None:
    written(tmp_path / "events.log", 3).close()
    lines = "".join(json.dumps(event(number)) + "\n" for number in (1, 2))
    (tmp_path / "events.log-20261122T000000Z.gz").write_bytes(gzip.compress(lines.encode()))
    assert EventLog(str(tmp_path / "events.log")).restore(10) == ([event(1), event(2), event(3)], 3)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"x",
        b"{}",
        b"[" * 100_000,
        b'{"id":1',
        b"\xff\xfe\x00",
        b'{"id":"1","at":"","type":"","severity":"info","subject":"","text":"","data":{}}',
        b'{"id":true,"at":"","type":"","severity":"info","subject":"","text":"","data":{}}',
        b'{"id":-1,"at":"","type":"","severity":"info","subject":"","text":"","data":{}}',
        b'{"id":9007199254740993,"at":"","type":"","severity":"info","subject":"","text":"","data":{}}',
    ],
)
def test_a_line_that_is_none_is_passed_over(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "events.log"
    path.write_bytes(json.dumps(event(1)).encode() + b"\n" + line + b"\n" + json.dumps(event(2)).encode() + b"\n" + line)
    log = EventLog(str(path))
    assert log.restore(10) == ([event(1), event(2)], 2)
    assert log.open()
    assert log.write(event(3)), "after a line without an end"
    assert log.restore(10)[0] == [event(1), event(2), event(3)]
    log.close()


def test_a_folder_in_its_place_is_no_end(tmp_path: Path) -> None:
    (tmp_path / "events.log").mkdir()
    log = EventLog(str(tmp_path / "events.log"))
    assert log.open()
    assert not log.write(event(1))
    assert log.problem == "Is a directory"
    (tmp_path / "events.log").rmdir()
    assert log.write(event(2))
    assert log.problem == ""
    assert log.lost == 1
    log.close()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("")
    (tmp_path / "events.log").symlink_to(tmp_path / "other")
    log = EventLog(str(tmp_path / "events.log"))
    assert log.open()
    assert not log.write(event(1))
    assert (tmp_path / "other").read_text() == ""
    assert log.restore(10) == ([], 0)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_loses_lines_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = written(tmp_path / "events.log", 1)
    full = os.open("/dev/full", os.O_WRONLY)
    ours = os.dup(log._fd)
    os.dup2(full, log._fd)
    os.close(full)
    assert not log.write(event(2))
    assert log.problem == "No space left on device"
    os.dup2(ours, log._fd)
    os.close(ours)
    assert log.write(event(3))
    assert [item["id"] for item in log.restore(10)[0]] == [1, 3]
    log.close()
