"""Which certificates there must be and who is at work on them: with real children, and the real keeper of the master."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gapura import ipc
from gapura.control import certificates, errand
from gapura.control.certificates import Certificates, wanted
from gapura.master.keeper import Keeper

from ..conftest import own_children


class Kept:
    """Control's part of the loop, and a keeper that answers it at once. `mute` makes the master silent."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = folder
        for name in ("lib", "run"):
            (folder / name).mkdir()
        self.plan: Any = {}
        self.mute = False
        self.keeper = Keeper(lambda: self.plan)
        self.messages: list[ipc.Message] = []
        self.certificates = Certificates(self.loop, self.send)
        kept = self

        class Link:
            def send(self, message: ipc.Message, fds: tuple[int, ...] = ()) -> None:
                mine = [os.dup(fd) for fd in fds]

                def answer() -> None:
                    kept.certificates.answer(message, mine)
                    for fd in mine:
                        os.close(fd)

                kept.loop.call_soon(answer)

        class Child:
            link = Link()

            def tell(self, kind: str, **fields: Any) -> None:
                self.link.send({"type": kind, **fields})

        self.child: Any = Child()

    def send(self, message: ipc.Message, fds: tuple[int, ...]) -> None:
        self.messages.append(message)
        if not self.mute:
            self.keeper.hear(self.child, json.loads(json.dumps(message)), list(fds))

    def apply(self, *hosts: str, local: bool = False) -> None:
        """A plan with one site of these hosts."""
        tls = {"auto": True, "local": local, "names": list(hosts)}
        self.plan = {
            "paths": {"lib": str(self.folder / "lib"), "run": str(self.folder / "run")},
            "edge": {"user": "", "acme": self.acme()},
            "sites": [{"hosts": list(hosts), "tls": tls}, {"hosts": ["plain.test"], "tls": None}],
        }
        self.certificates.apply(self.plan)

    def acme(self) -> dict[str, Any]:
        """An authority that nobody reaches."""
        directory = {"url": "https://127.0.0.1:1/dir", "key_id": "", "key_file": ""}
        words = {"email": "", "directories": [directory], "key": "ecdsa", "ca": "/none", "exec": "", "update": None}
        return {**words, "renew_before": None}

    def until(self, condition: Callable[[], object], seconds: float = 60.0) -> None:
        async def wait() -> None:
            end = time.monotonic() + seconds
            while not condition():
                assert time.monotonic() < end, f"this never happened; {self.messages}"
                await asyncio.sleep(0.01)

        self.loop.run_until_complete(wait())

    def path(self, host: str, name: str = "certificate.pem") -> Path:
        return self.folder / "lib" / "certificates" / host / name

    def close(self) -> None:
        self.certificates.pause()
        self.loop.close()


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    monkeypatch.setattr(certificates, "SWEEP", 0.05)
    before = own_children()
    one = Kept(tmp_path)
    yield one
    one.close()
    assert own_children() <= before, "a child was left behind"


def test_only_hosts_that_ask_for_it_get_one(kept: Kept) -> None:
    kept.apply("a.localhost", "b.localhost")
    kept.until(lambda: kept.path("b.localhost", "record.json").exists())
    assert sorted(os.listdir(kept.folder / "lib" / "certificates")) == ["a.localhost", "b.localhost"]
    kept.until(lambda: [row["source"] for row in kept.keeper.rows] == ["local", "local"])


def test_who_vouches_for_what() -> None:
    def plan(local: bool, *names: str) -> Any:
        return {"sites": [{"tls": {"auto": True, "local": local, "names": names}}, {"tls": None}, {"tls": {"auto": False}}]}

    assert wanted(plan(False, "a.localhost", "alvin.xyz", "*.alvin.xyz")) == {
        "a.localhost": False,
        "alvin.xyz": True,
        "*.alvin.xyz": True,
    }
    assert wanted(plan(True, "alvin.xyz")) == {"alvin.xyz": False}


def test_a_certificate_whose_files_are_gone_comes_back(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "FILES", 0.0)
    kept.apply("a.localhost")
    kept.until(lambda: kept.path("a.localhost").exists() and not kept.certificates.hosts["a.localhost"].busy)
    kept.path("a.localhost").unlink()
    kept.until(lambda: kept.path("a.localhost").exists())


def test_a_ca_that_cannot_be_read_is_not_replaced(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    """Browsers believe it. Once it can be read again, things go on."""
    kept.apply("a.localhost")
    kept.until(lambda: kept.path("a.localhost").exists() and not kept.certificates.hosts["a.localhost"].busy)
    root, key = kept.folder / "lib" / "ca" / "root.pem", kept.folder / "lib" / "ca" / "root-key.pem"
    before = root.read_text()
    key.rename(key.with_suffix(".away"))
    key.symlink_to(key)
    kept.certificates.hurry(["a.localhost"])
    kept.until(lambda: f"{key} cannot be read" in caplog.text)
    assert root.read_text() == before
    assert key.is_symlink()


def test_a_public_name_is_served_locally_first_and_ordered_then(kept: Kept) -> None:
    kept.apply("alvin.xyz")
    kept.until(lambda: kept.keeper.rows and kept.keeper.rows[0]["problem"])
    row = kept.keeper.rows[0]
    assert (row["source"], row["wanted"], row["failures"]) == ("local", "acme", 1)
    record = json.loads(kept.path("alvin.xyz", "record.json").read_text())
    assert record["failures"] == 1
    assert record["begun"] == 0.0
    kinds = [message.get("kind") for message in kept.messages if message["type"] == "keep"]
    assert kinds == ["ca", "certificate", "record", "record"], "the order is written down before it begins"


def test_a_child_that_is_killed_is_a_failure_like_others(kept: Kept) -> None:
    kept.apply("alvin.xyz")
    kept.until(lambda: any(one.job["job"] == "order" for one in kept.certificates._errands))
    (order,) = [one for one in kept.certificates._errands if one.job["job"] == "order"]
    os.kill(order._process.pid, signal.SIGKILL)
    kept.until(lambda: kept.keeper.rows and kept.keeper.rows[0]["failures"] == 1)
    assert "ended with -9" in kept.keeper.rows[0]["problem"]


def test_a_child_that_hangs_is_killed(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errand, "DEADLINE", 0.3)
    monkeypatch.setattr(errand, "ARGV", ("sleep", "100"))
    kept.apply("alvin.xyz")
    kept.until(lambda: kept.certificates._errands)
    kept.until(lambda: not kept.certificates._errands)
    assert kept.certificates._local_from > time.time(), "it is not tried again at once"


def test_a_program_that_is_not_there(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errand, "ARGV", ("/no/such/program",))
    kept.apply("alvin.xyz")
    kept.until(lambda: kept.certificates._local_from > time.time())
    assert not kept.certificates._errands


def test_without_a_master_nothing_goes_on(kept: Kept) -> None:
    kept.mute = True
    kept.apply("a.localhost")
    kept.until(lambda: any(message["type"] == "lend" for message in kept.messages))
    kept.certificates.pause()
    assert not kept.certificates._errands
    kept.mute = False
    kept.apply("a.localhost")
    kept.until(lambda: kept.path("a.localhost").exists())


def test_hosts_that_leave_and_return_keep_their_certificate(kept: Kept) -> None:
    kept.apply("a.localhost")
    kept.until(lambda: kept.path("a.localhost", "record.json").exists())
    first = kept.path("a.localhost").read_bytes()
    kept.apply("b.localhost")
    kept.until(lambda: kept.path("b.localhost", "record.json").exists())
    assert list(kept.certificates.hosts) == ["b.localhost"]
    kept.apply("a.localhost", "b.localhost")
    kept.until(lambda: len(kept.keeper.rows) == 2)
    assert kept.path("a.localhost").read_bytes() == first


def test_strange_answers_do_no_harm(kept: Kept) -> None:
    kept.apply("a.localhost")
    for message in ({}, {"id": None}, {"id": 999, "type": "kept"}, {"id": []}):
        kept.certificates.answer(dict(message), [])
    kept.certificates.hurry(["unknown.test", ""])
    kept.until(lambda: kept.path("a.localhost").exists())


def test_nobody_else_of_the_same_user_reads_the_childs_memory(kept: Kept) -> None:
    """PR_SET_DUMPABLE: /proc/PID belongs to root then (proc(5)), who may look in any case."""
    kept.mute = True
    kept.apply("a.localhost")
    kept.until(lambda: any(message["type"] == "lend" for message in kept.messages))
    pid = kept.certificates._errands[0]._process.pid
    limits = Path(f"/proc/{pid}/status").read_text()
    assert "CoreDumping:\t0" in limits
    assert os.stat(f"/proc/{pid}/mem").st_uid == 0
