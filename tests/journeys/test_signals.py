"""TERM, INT, QUIT, HUP and USR1 to the master, and the master as process 1 of a container."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from .harness.client import Answer, answers, visit
from .harness.proc import children, command_line, state, until
from .harness.site import Site, instances, section, settled


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_term_and_int_stop_fast(site: Site, name: str) -> None:
    site.configure(site.app("--grandchild"))
    master = site.foreground()
    site.wait(settled)
    master.send_signal(signal.Signals[name])
    assert master.wait(timeout=60) == 0
    site.nothing_left()


def test_quit_lets_exchanges_finish(site: Site) -> None:
    site.configure(site.app())
    master = site.foreground()
    site.wait(settled)
    found: list[Answer] = []
    visitor = threading.Thread(target=lambda: found.append(visit(site.port, "/slow?seconds=1.5")))
    visitor.start()
    until(lambda: sum(server["active"] for one in site.status()["upstreams"] for server in one["servers"]) == 1)
    master.send_signal(signal.SIGQUIT)
    until(lambda: not answers(site.port), what="no new connection is accepted")
    assert not found
    visitor.join()
    assert [answer.status for answer in found] == [200]
    assert master.wait(timeout=60) == 0
    site.nothing_left()


def test_hup_reloads(site: Site) -> None:
    site.configure(site.app())
    site.up()
    site.configure(site.app(), section('sites."new.test"', respond="new"))
    os.kill(site.status()["master"]["pid"], signal.SIGHUP)
    until(lambda: visit(site.port, host="new.test").status == 200)
    site.write("broken [")
    generation = site.status()["generation"]
    os.kill(site.status()["master"]["pid"], signal.SIGHUP)
    until(lambda: "gapura.toml:1:" in said(site), what="the master says what is wrong")
    assert site.status()["generation"] == generation
    assert visit(site.port).status == 200
    site.down()


def said(site: Site) -> str:
    """Everything in Gapura's own logs."""
    return "".join(log.read_text(errors="replace") for log in site.folder.rglob("*.log"))


def test_usr1_reopens_logs(site: Site) -> None:
    site.configure(site.app())
    site.up()
    access, moved = site.logs / "access.log", site.logs / "access.log.1"
    visit(site.port, "/before")
    until(lambda: access.exists() and "/before" in access.read_text())
    access.rename(moved)
    os.kill(site.status()["master"]["pid"], signal.SIGUSR1)
    until(access.exists)
    visit(site.port, "/after")
    until(lambda: "/after" in access.read_text())
    assert "/after" not in moved.read_text()
    site.down()


@pytest.fixture
def container() -> list[str]:
    """Words that make the next command process 1 of its own process namespace."""
    if os.geteuid():
        pytest.skip("process namespaces need root")
    return ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def test_as_process_one_it_reaps_forwards_and_logs_to_stdout(site: Site, container: list[str]) -> None:
    site.configure(site.app("--grandchild"))
    site.prefix = container
    outer = site.foreground()
    site.wait(settled)
    assert site.status()["master"]["pid"] == 1
    (master,) = children(outer.pid)
    assert len(running(site, "sleep 600")) == 2
    os.kill(running(site, "app.py")[0], signal.SIGKILL)
    site.wait(lambda status: settled(status) and sum(one["restarts"] for one in instances(status)) == 1)
    until(lambda: all(state(child) != "Z" for child in children(master)), what="every ended process is reaped")
    assert len(running(site, "sleep 600")) == 2, "the dead copy's grandchild is gone, its successor's is there"
    assert (site.folder / "up.log").read_text(), "what happens can be read on standard output"
    os.kill(master, signal.SIGTERM)
    assert outer.wait(timeout=60) == 0
    site.nothing_left()


def running(site: Site, words: str) -> list[int]:
    """Processes of the journey with these words in their command line, as this namespace numbers them."""
    return [pid for pid in site.processes() if words in command_line(pid)]
