"""Many slow readers of a big download: the memory of a worker stays bounded and nobody else waits for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from .harness.client import Download
from .harness.foreign import Foreign
from .harness.load import Load
from .harness.proc import resident, until, worked
from .harness.site import Site, section

PORTION = 1000
PAUSE = 0.1
"""Bytes and seconds: 10 KB/s for each reader."""


@contextmanager
def readers(port: int, count: int, size: int) -> Iterator[list[Download]]:
    """So many downloads, each taking a portion, then pausing."""
    downloads = [Download(port, size) for _ in range(count)]
    end = threading.Event()

    def read() -> None:
        while not end.wait(PAUSE):
            for download in downloads:
                download.read(PORTION)

    thread = threading.Thread(target=read, name="readers")
    thread.start()
    try:
        yield downloads
    finally:
        end.set()
        thread.join()
        for download in downloads:
            download.close()


def at_rest(pid: int) -> bool:
    """Whether a process does next to nothing for half a second."""
    before = worked(pid)
    time.sleep(0.5)
    return worked(pid) - before < 0.1


@pytest.mark.parametrize(
    ("count", "size", "requests"),
    [(50, 20_000_000, 900), pytest.param(200, 100_000_000, 4500, marks=pytest.mark.full)],
)
def test_slow_readers(site: Site, foreign: Callable[..., Foreign], count: int, size: int, requests: int) -> None:
    server = foreign("films")
    site.configure(section("upstreams.shop", servers=[server.address]), workers=1)
    site.up()
    (worker,) = site.worker_pids()
    with Load(site.port, total=900) as before:
        pass
    small = resident(worker)
    with readers(site.port, count, size) as downloads:
        until(lambda: at_rest(worker), what="the kernel's buffers of all downloads are full")
        with Load(site.port, total=requests) as together:
            pass
        grown = resident(worker) - small
    with Load(site.port, total=900) as after:
        pass
    assert grown < 100_000_000
    assert all(download.received > 0 for download in downloads)
    assert before.report.failures == together.report.failures == after.report.failures == {}
    if count == 200:
        # Only the long form, which has the machine for itself. Below 25 ms the figure is the machine's scheduling, not Gapura's.
        alone = max(before.report.percentile(0.99), after.report.percentile(0.99))
        assert together.report.percentile(0.99) < max(2 * alone, 0.025)
    site.down()
