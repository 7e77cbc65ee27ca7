"""The master's loop: timers, descriptors, signals, tasks."""

from __future__ import annotations

import os
import signal
import time

import pytest

from gapura.master import loop as module
from gapura.master.loop import READ, Loop, Steps, pause, until


def test_timers_run_in_their_order(loop: Loop) -> None:
    seen: list[str] = []
    loop.after(0.02, lambda: seen.append("second"))
    loop.after(0.01, lambda: seen.append("first"))
    loop.after(0.015, lambda: seen.append("never")).cancel()
    loop.after(0.03, loop.stop)
    loop.run()
    assert seen == ["first", "second"]


def test_every_goes_on(loop: Loop) -> None:
    seen: list[int] = []
    loop.every(0.001, lambda: seen.append(1) or (loop.stop() if len(seen) == 3 else None))  # type: ignore[func-returns-value]
    loop.run()
    assert len(seen) == 3


def test_a_readable_descriptor_is_told(loop: Loop) -> None:
    read, write = os.pipe()
    seen: list[bytes] = []

    def ready() -> None:
        seen.append(os.read(read, 10))
        loop.forget(read)
        loop.stop()

    loop.watch(read, READ, ready)
    os.write(write, b"hello")
    loop.run()
    assert seen == [b"hello"]
    os.close(read)
    os.close(write)


def test_a_failing_handler_does_not_end_the_loop(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    loop.after(0.0, lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    loop.after(0.01, loop.stop)
    loop.run()
    assert "a handler failed" in caplog.text


def test_signals_only_enqueue(loop: Loop) -> None:
    seen: list[int] = []
    before = signal.getsignal(signal.SIGUSR2)
    try:
        loop.on_signal(signal.SIGUSR2, lambda: (seen.append(1), loop.stop()))  # type: ignore[func-returns-value, arg-type, return-value]
        loop.after(0.0, lambda: os.kill(os.getpid(), signal.SIGUSR2))
        loop.run()
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert seen == [1]


def test_a_task_waits_for_its_condition(loop: Loop) -> None:
    facts: list[str] = []

    def steps() -> Steps[str]:
        held = yield from until(lambda: bool(facts), 5.0)
        return f"{held} {facts}"

    task = loop.start("test", steps(), lambda task: loop.stop())
    loop.after(0.01, lambda: facts.append("now"))
    loop.run()
    assert task.result == "True ['now']"


def test_a_task_goes_on_when_its_time_is_over(loop: Loop) -> None:
    def steps() -> Steps[bool]:
        yield from pause(0.01)
        return (yield from until(lambda: False, 0.01))

    task = loop.start("test", steps(), lambda task: loop.stop())
    began = time.monotonic()
    loop.run()
    assert task.result is False
    assert time.monotonic() - began >= 0.02


def test_a_task_that_another_waits_for_does_not_cost_a_round(loop: Loop) -> None:
    def quick() -> Steps[None]:
        yield from pause(0.01)

    def waits() -> Steps[None]:
        yield from until(lambda: first.done, 1000.0)

    second = loop.start("second", waits(), lambda task: loop.stop())
    first = loop.start("first", quick())
    loop.run()
    assert second.done


def test_an_error_ends_only_its_task(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    def steps() -> Steps[None]:
        yield from pause(0.0)
        raise ValueError("broken")

    told = loop.start("told", steps(), lambda task: None)
    logged = loop.start("logged", steps())
    loop.after(0.02, loop.stop)
    loop.run()
    assert isinstance(told.error, ValueError)
    assert isinstance(logged.error, ValueError)
    assert [record.message for record in caplog.records] == ["logged failed"]


def test_a_cancelled_task_cleans_up_and_tells_nobody(loop: Loop) -> None:
    seen: list[str] = []

    def steps() -> Steps[None]:
        try:
            yield from until(lambda: False, 100.0)
        finally:
            seen.append("cleaned")

    task = loop.start("test", steps(), lambda task: seen.append("then"))
    loop.turn(0.0)
    task.cancel()
    loop.turn(0.0)
    assert (task.done, task.cancelled, seen) == (True, True, ["cleaned"])


def test_polling_looks_without_events(loop: Loop) -> None:
    began = time.monotonic()

    def steps() -> Steps[bool]:
        return (yield from until(lambda: time.monotonic() > began + 0.05, 1000.0, poll=True))

    task = loop.start("test", steps(), lambda task: loop.stop())
    loop.run()
    assert task.result is True


def test_a_signal_before_the_loop_runs_is_not_lost(loop: Loop) -> None:
    seen: list[int] = []
    before = signal.getsignal(signal.SIGUSR2)
    try:
        loop.on_signal(signal.SIGUSR2, lambda: seen.append(1))
        os.kill(os.getpid(), signal.SIGUSR2)
        loop.after(0.0, loop.stop)
        loop.run()
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert seen == [1]


def test_busy_tasks_let_timers_have_their_turn(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def steps(number: int) -> Steps[None]:
        yield from ()
        seen.append(f"task {number}")
        if number < 3:
            loop.after(0.0, lambda: seen.append(f"timer {number}"))
        else:
            loop.stop()

    for number in range(4):
        loop.start("busy", steps(number))
    with monkeypatch.context() as clock:
        moments = iter(range(10_000))
        clock.setattr(time, "monotonic", lambda: next(moments) * 1e-6)  # no two looks at the clock are alike
        monkeypatch.setattr(module, "SLICE", 1.5e-6)
        loop.run()
    assert seen == ["task 0", "timer 0", "task 1", "timer 1", "task 2", "timer 2", "task 3"]
