"""Master, workers and control die, hang and are replaced while visitors come and go."""

from __future__ import annotations

import os
import re
import signal
import time

from .harness.load import Load, Sent
from .harness.proc import alive, state, until
from .harness.site import Site, instances, plain, settled


def in_hands(sent: list[Sent], moment: float) -> bool:
    """Whether all of these were under way at a moment. A signal takes some milliseconds to end a process."""
    return all(one.began <= moment + 0.05 and one.ended >= moment for one in sent)


def test_master_killed_under_load_and_taken_over(site: Site) -> None:
    site.configure(site.app("--chatty", "1000", "--grandchild"))
    site.up()
    before = site.status()
    with Load(site.port, total=100_000) as load:
        load.reached(300)
        os.kill(before["master"]["pid"], signal.SIGKILL)
        until(lambda: not alive(before["master"]["pid"]))
        load.reached(len(load.report.sent) + 600)
        site.up()
        load.reached(len(load.report.sent) + 600)
        load.enough()
    assert load.report.failures == {}
    after = site.status()
    assert after["master"]["pid"] != before["master"]["pid"]
    assert [one["pid"] for one in instances(after)] == [one["pid"] for one in instances(before)], "the app was not touched"
    assert not {one["pid"] for one in after["workers"]} & {one["pid"] for one in before["workers"]}
    working_commands(site)
    site.down()


def working_commands(site: Site) -> None:
    """`ps`, `logs` and `restart` do what they say."""
    shown = plain(site.gapura("ps").stdout)
    assert all(str(one["pid"]) in shown for one in site.instances())
    assert re.search(r"line \d+ of a program", site.gapura("logs", "-n", "20", "shop:1").stdout)
    old = {one["pid"] for one in site.instances()}
    site.gapura("restart", "shop")
    assert not old & {one["pid"] for one in instances(site.wait(settled))}


def test_no_line_of_output_is_lost_while_there_is_no_master(site: Site) -> None:
    site.configure(site.app("--chatty", "1000", instances=1))
    site.up()
    log = site.logs / "shop-0.log"
    until(lambda: log.exists() and numbers(log.read_text()), what="the program has said something")
    master = site.status()["master"]["pid"]
    os.kill(master, signal.SIGKILL)
    until(lambda: not alive(master))
    mark = numbers(log.read_text())[-1] + 500
    until(lambda: numbers(log.read_text())[-1] > mark, what="control writes the log as long as there is no master")
    site.up()
    mark = numbers(log.read_text())[-1] + 1000
    until(lambda: numbers(log.read_text())[-1] > mark, what="the new master writes the log")
    found = numbers(log.read_text())
    assert found == list(range(1, len(found) + 1))
    site.down()


def numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r" line (\d+) of a program", text)]


def test_upgrade_by_up_again(site: Site) -> None:
    site.configure(site.app("--chatty", "100"))
    site.up()
    before = site.status()
    with Load(site.port, total=100_000) as load:
        load.reached(300)
        site.up()
        after = site.wait(lambda status: settled(status) and status["master"]["pid"] != before["master"]["pid"])
        load.reached(len(load.report.sent) + 300)
        load.enough()
    assert load.report.failures == {}
    assert [one["pid"] for one in instances(after)] == [one["pid"] for one in instances(before)]
    site.wait(lambda status: not {one["pid"] for one in status["workers"]} & {one["pid"] for one in before["workers"]})
    working_commands(site)
    site.down()


def test_a_killed_worker_loses_at_most_what_it_had_in_hands(site: Site) -> None:
    site.configure(site.app())
    site.up()
    with Load(site.port, "/slow?seconds=0.05", total=100_000) as load:
        load.reached(300)
        victim = site.worker_pids()[0]
        moment = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        site.wait(lambda status: settled(status) and victim not in [one["pid"] for one in status["workers"]])
        assert len(site.worker_pids()) == 2
        load.reached(len(load.report.sent) + 300)
        load.enough()
    assert in_hands(load.report.failed, moment), load.report.failures
    assert len(load.report.failed) <= 32
    site.down()


def test_a_killed_control_is_replaced_unnoticed(site: Site) -> None:
    site.configure(site.app())
    site.up()
    with Load(site.port, total=100_000) as load:
        load.reached(300)
        victim = site.status()["control"]["pid"]
        os.kill(victim, signal.SIGKILL)
        site.wait(lambda status: status["control"]["pid"] not in (0, None, victim))
        load.reached(len(load.report.sent) + 300)
        load.enough()
    assert load.report.failures == {}
    site.down()


def test_a_hung_worker_is_replaced(site: Site) -> None:
    site.configure(site.app())
    site.up()
    with Load(site.port, total=100_000) as load:
        load.reached(300)
        victim = site.worker_pids()[0]
        moment = time.monotonic()
        os.kill(victim, signal.SIGSTOP)
        until(lambda: state(victim) == "T")
        site.wait(lambda status: settled(status) and victim not in [one["pid"] for one in status["workers"]])
        took = time.monotonic() - moment
        load.reached(len(load.report.sent) + 600)
        load.enough()
    assert not alive(victim)
    assert len(load.report.failed) <= 32
    assert not [one for one in load.report.failed if one.began > moment + took], "the successor serves"
    site.down()
