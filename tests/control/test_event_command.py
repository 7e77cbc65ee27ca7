from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from tests.control.receiver import run, until

from gapura.config.plan_events import CommandPlan
from gapura.control.event_command import AT_ONCE, OUTPUT, QUEUE, Command, environment
from gapura.events import Event, draft


class Told:
    def __init__(self) -> None:
        self.types: list[str] = []
        self.texts: list[str] = []

    def __call__(self, type: str, subject: str, text: str, /, *, severity: str = "", **data: Any) -> None:
        self.types.append(type)
        self.texts.append(text)


def event(number: int = 1, text: str = "web:0: out of memory", **data: Any) -> Event:
    return {"id": number, **draft("app.crashed", "web:0", text, "", data, now=1.0)}


def command(text: str, told: Told | None = None, timeout: float = 30.0, only: list[str] | None = None) -> Command:
    plan: CommandPlan = {"command": text, "only": only or [], "timeout": timeout}
    return Command(asyncio.get_running_loop(), plan, told or Told())


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


def test_it_hears_the_event_on_its_input_and_in_variables(tmp_path: Path) -> None:
    async def journey() -> None:
        sink = command(f"cat > {tmp_path}/in; env > {tmp_path}/env; pwd > {tmp_path}/pwd")
        assert await sink.test(event(hint="see `dmesg`")) == ""

    run(journey())
    assert json.loads((tmp_path / "in").read_text()) == event(hint="see `dmesg`")
    env = dict(line.partition("=")[::2] for line in (tmp_path / "env").read_text().splitlines())
    assert env["GAPURA_EVENT_TYPE"] == "app.crashed"
    assert env["GAPURA_EVENT_SEVERITY"] == "error"
    assert env["GAPURA_EVENT_TEXT"] == "web:0: out of memory"
    assert (tmp_path / "pwd").read_text() == "/\n"


@pytest.mark.parametrize(
    "text", ["$(touch X)", "`touch X`", "'; touch X; '", '"; touch X; "', "a\0b", "-rf / $HOME", "é\udcff\ud800"]
)
def test_nothing_of_an_event_becomes_part_of_the_command(tmp_path: Path, text: str) -> None:
    async def journey() -> None:
        sink = command(f'cd {tmp_path}; printf %s "$GAPURA_EVENT_TEXT" > said')
        assert await sink.test(event(text=text)) == ""

    run(journey())
    assert os.listdir(tmp_path) == ["said"]
    assert (tmp_path / "said").read_text() == text.replace("\0", "").replace("\udcff", "?").replace("\ud800", "?")


def test_little_of_our_environment_is_passed_on() -> None:
    found = environment(event(), "m", {"PATH": "/x", "SECRET": "hush", "DISPLAY": ":0", "LC_ALL": "C", "AWS_SECRET": "x"})
    assert {"SECRET", "AWS_SECRET"}.isdisjoint(found)
    assert found["PATH"] == "/x"
    assert found["DISPLAY"] == ":0"
    assert found["LC_ALL"] == "C"


def test_one_that_hangs_is_killed_with_all_that_it_began(tmp_path: Path) -> None:
    async def journey() -> None:
        pids = tmp_path / "pids"
        far = f"setsid sh -c 'echo $$ >> {pids}; sleep 1000'"
        text = f"echo $$ >> {pids}; sleep 1000 & echo $! >> {pids}; {far} & wait"
        sink = command(text, timeout=1.0)
        assert await sink.test(event()) == "it took longer than 1 s and was killed"

    run(journey())
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 3
    assert not any(map(alive, pids))


def test_what_it_leaves_behind_is_ended(tmp_path: Path) -> None:
    async def journey() -> None:
        sink = command(f"sleep 1000 & echo $! > {tmp_path}/pid")
        assert await sink.test(event()) == ""

    run(journey())
    assert not alive(int((tmp_path / "pid").read_text()))


def test_endless_output_is_read_and_thrown_away(caplog: pytest.LogCaptureFixture) -> None:
    async def journey() -> None:
        sink = command("yes abcdefg | head -c 20000000; echo the end >&2; exit 3")
        assert (await sink.test(event())).startswith("it ended with status 3")

    with caplog.at_level("INFO", "gapura.control.event_command"):
        run(journey())
    assert sum(len(record.getMessage()) for record in caplog.records) < 4 * OUTPUT


def test_two_at_once_and_the_others_wait(tmp_path: Path) -> None:
    async def journey() -> None:
        go = tmp_path / "go"
        sink = command(f"echo x >> {tmp_path}/begun; while [ ! -e {go} ]; do sleep 0.02; done")
        for number in range(1, 6):
            sink.offer(event(number))
        await until(lambda: (tmp_path / "begun").exists() and len((tmp_path / "begun").read_text()) >= 2 * AT_ONCE)
        assert sink.waiting == 5
        assert len((tmp_path / "begun").read_text()) == 2 * AT_ONCE
        go.touch()
        await until(lambda: not sink.waiting)
        assert len((tmp_path / "begun").read_text()) == 10

    run(journey())


def test_the_queue_is_bounded_and_the_end_is_quick(tmp_path: Path) -> None:
    async def journey() -> None:
        sink = command(f"echo $$ >> {tmp_path}/pids; exec sleep 1000")
        for number in range(QUEUE + 50):
            sink.offer(event(number))
        assert sink.waiting == QUEUE + AT_ONCE
        await until(lambda: (tmp_path / "pids").exists() and len((tmp_path / "pids").read_text().split()) == AT_ONCE)
        before = time.monotonic()
        await sink.close(0.05)
        assert not sink.waiting
        assert time.monotonic() - before < 30

    run(journey())
    assert not any(alive(int(pid)) for pid in (tmp_path / "pids").read_text().split())


def test_its_failure_is_told_once_and_its_recovery_once(tmp_path: Path) -> None:
    async def journey() -> None:
        told = Told()
        sink = command(f"echo no mail >&2; test -e {tmp_path}/ok", told)
        for number in range(3):
            sink.offer(event(number))
        await until(lambda: not sink.waiting)
        (tmp_path / "ok").touch()
        sink.offer(event(4))
        await until(lambda: not sink.waiting)
        assert told.types == ["events.undelivered", "events.delivered"]
        assert told.texts[0] == "on_event fails: it ended with status 1: no mail"

    run(journey())


def test_only_what_is_wanted(tmp_path: Path) -> None:
    async def journey() -> None:
        sink = command(f"touch {tmp_path}/x", only=["server"])
        sink.offer(event())
        sink.offer({**event(), "type": "events.undelivered"})
        assert not sink.waiting

    run(journey())


def test_a_command_that_is_not_there_is_told() -> None:
    async def journey() -> None:
        assert "status 127" in await command("no-such-program-here").test(event())

    run(journey())
