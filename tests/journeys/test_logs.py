"""Every request has exactly one line, over all files, while logs are rotated, compressed, and whoever does it is killed."""

from __future__ import annotations

import gzip
import os
import signal
from collections import Counter
from pathlib import Path

from .harness.client import HOST
from .harness.load import Load
from .harness.proc import until
from .harness.site import Site, section


def files(folder: Path) -> list[Path]:
    """The access log and what it was renamed to."""
    return sorted(folder.glob("access.log*"))


def ids(folder: Path) -> Counter[str]:
    """The request ids of all whole lines, and how often they are there."""
    found: Counter[str] = Counter()
    for path in files(folder):
        data = path.read_bytes()
        for line in (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines():
            words = line.decode().split()
            assert len(words) >= 5, line
            found[words[-5]] += 1
    return found


def configure(site: Site, **rotate: object) -> None:
    edge = section("edge", http=f"127.0.0.1:{site.port}", workers=2)
    log = section("edge.access_log", rotate={"size": 20_000, "keep": 1000, **rotate})
    site.write(edge + log + section(f'sites."{HOST}"', respond="fine"))


def written(site: Site, load: Load) -> None:
    """All lines are in files, once each, and nothing else is."""
    until(lambda: sum(ids(site.logs).values()) >= len(load.report.sent), within=60)
    found = ids(site.logs)
    assert [name for name, count in found.items() if count > 1] == []
    assert len(found) == len(load.report.sent)
    assert load.report.failures == {}


def test_rotation_under_load(site: Site) -> None:
    configure(site)
    site.up()
    with Load(site.port, total=100_000, rate=800) as load:
        until(lambda: len(list(site.logs.glob("access.log-*.gz"))) >= 3, within=90)
        load.enough()
    written(site, load)
    until(lambda: all(path.suffix == ".gz" for path in files(site.logs)[1:]), within=90)
    written(site, load)
    site.down()


def test_master_killed_again_and_again_while_it_rotates(site: Site) -> None:
    configure(site)
    site.up()
    with Load(site.port, total=100_000, rate=400) as load:
        for _ in range(3):
            before = len(files(site.logs))
            until(lambda before=before: len(files(site.logs)) > before, within=60)  # type: ignore[misc]
            os.kill(site.status()["master"]["pid"], signal.SIGKILL)
            site.up()
        load.enough()
    written(site, load)
    until(lambda: all(path.suffix == ".gz" for path in files(site.logs)[1:]), within=100)
    written(site, load)
    site.down()


def test_rotation_by_another_program(site: Site) -> None:
    configure(site, size="none", every="none")
    site.up()
    log = site.logs / "access.log"
    with Load(site.port, total=100_000, rate=400) as load:
        for number in range(1, 4):
            load.reached(number * 200)
            log.rename(f"{log}.{number}")
            os.kill(site.status()["master"]["pid"], signal.SIGUSR1)
            until(log.exists)
        load.enough()
    written(site, load)
    site.down()
