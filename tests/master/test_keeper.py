"""The keeper: what control asks for is checked, written whole and with the right modes, and lent only where it is meant to be."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gapura.ipc import Message
from gapura.master import keeper
from gapura.master.keeper import Keeper

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nBBBB\n-----END PRIVATE KEY-----\n"
PAIR = {"certificate": CERTIFICATE, "key": KEY}
ACCOUNT = "0123456789abcdef" * 2
TOKEN = "abcdefghijklmnopqrstuvwxyz_-0123"


class Link:
    """Stands in for the channel to control: what was answered, with the content of what was lent."""

    def __init__(self) -> None:
        self.sent: list[tuple[Message, list[bytes]]] = []

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        self.sent.append((message, [os.pread(fd, 1000, 0) for fd in fds]))


class Control:
    """Stands in for the child that is control."""

    def __init__(self) -> None:
        self.link = Link()

    def tell(self, kind: str, **fields: Any) -> None:
        self.link.send({"type": kind, **fields})


class Place:
    """A keeper with its folders."""

    def __init__(self, folder: Path) -> None:
        self.lib, self.run, self.secret = folder / "lib", folder / "run", folder / "tsig.key"
        for made in (self.lib, self.run):
            made.mkdir(0o700)
        self.secret.write_text("c2VjcmV0")
        update = {"key_file": str(self.secret)}
        acme = {"directories": [{"url": "u", "key_id": "", "key_file": ""}], "update": update, "ca": ""}
        self.plan: Any = {
            "paths": {"lib": str(self.lib), "run": str(self.run), "logs": ""},
            "edge": {"user": "", "acme": acme},
        }
        self.keeper = Keeper(lambda: self.plan)
        self.control: Any = Control()

    def say(self, message: Message, *fds: int) -> tuple[Message, list[bytes]]:
        """The answer to a message."""
        before = len(self.control.link.sent)
        self.keeper.hear(self.control, message, list(fds))
        sent: list[tuple[Message, list[bytes]]] = self.control.link.sent
        return sent[-1] if len(sent) > before else ({}, [])

    def keep(self, kind: str, name: Any, *fds: int, **more: Any) -> str:
        answer, _ = self.say({"type": "keep", "id": 7, "kind": kind, "name": name, **more}, *fds)
        assert answer["type"] == "kept"
        assert answer["id"] == 7
        return str(answer["error"])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def sealed() -> Iterator[Any]:
    """Makes sealed memory with a content."""
    made: list[int] = []

    def make(content: object, seals: int = keeper._SEALED) -> int:
        fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        made.append(fd)
        os.write(fd, content if isinstance(content, bytes) else json.dumps(content).encode())
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        return fd

    yield make
    for fd in made:
        os.close(fd)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_certificate_is_kept_with_its_key_for_nobody_else(place: Place, sealed: Any) -> None:
    assert place.keep("certificate", "_.example.com", sealed(PAIR), record={"source": "acme"}) == ""
    folder = place.lib / "certificates" / "_.example.com"
    assert (folder / "certificate.pem").read_text() == CERTIFICATE
    assert (folder / "key.pem").read_text() == KEY
    assert json.loads((folder / "record.json").read_text()) == {"source": "acme"}
    assert mode(folder / "key.pem") == 0o600
    assert mode(folder) & 0o022 == 0
    assert sorted(os.listdir(folder)) == ["certificate.pem", "key.pem", "record.json"]


def test_what_only_stands_in_is_marked_as_such(place: Place, sealed: Any) -> None:
    marker = place.lib / "certificates" / "a.example" / "provisional"
    for provisional in (True, False, True):
        assert place.keep("certificate", "a.example", sealed(PAIR), record={"provisional": provisional}) == ""
        assert marker.exists() == provisional
    place.keep("certificate", "a.example", sealed(PAIR), record={})
    assert not marker.exists()


def test_other_edge_users_may_pass_but_not_look_around(place: Place, sealed: Any) -> None:
    place.plan["edge"]["user"] = "nobody"
    place.keep("certificate", "a.example", sealed(PAIR), record={})
    for folder in (place.lib, place.lib / "certificates", place.lib / "certificates" / "a.example"):
        assert mode(folder) == 0o711
    assert mode(place.lib / "certificates" / "a.example" / "key.pem") == 0o600


def test_the_old_certificate_stays_when_the_new_one_cannot_be_written(
    place: Place, sealed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.keep("certificate", "a.example", sealed(PAIR), record={"n": 1})

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keeper.os, "fsync", full)
    assert "No space left" in place.keep("certificate", "a.example", sealed({**PAIR, "key": CERTIFICATE}), record={"n": 2})
    folder = place.lib / "certificates" / "a.example"
    assert (folder / "key.pem").read_text() == KEY
    assert json.loads((folder / "record.json").read_text()) == {"n": 1}
    assert sorted(os.listdir(folder)) == ["certificate.pem", "key.pem", "record.json"], "no half of a key lies about"


def test_half_a_ca_never_takes_the_place_of_a_whole_one(place: Place, sealed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    place.keep("ca", "", sealed(PAIR))
    sync, synced = os.fsync, []

    def full_at_the_second(fd: int) -> None:
        synced.append(fd)
        if len(synced) == 2:
            raise OSError(28, "No space left on device")
        sync(fd)

    monkeypatch.setattr(keeper.os, "fsync", full_at_the_second)
    assert "No space left" in place.keep("ca", "", sealed({**PAIR, "key": KEY.replace("BBBB", "CCCC")}))
    assert (place.lib / "ca" / "root-key.pem").read_text() == KEY
    assert sorted(os.listdir(place.lib / "ca")) == ["root-key.pem", "root.pem"]


def test_what_cannot_be_read_is_not_what_is_not_there(place: Place) -> None:
    key = place.lib / "ca" / "root-key.pem"
    key.parent.mkdir()
    assert place.say({"type": "lend", "id": 1, "kind": "ca-key"})[0] == {"type": "lent", "id": 1, "found": False, "error": ""}
    key.symlink_to(key)
    answer, contents = place.say({"type": "lend", "id": 2, "kind": "ca-key"})
    assert answer["error"] == f"{key} cannot be read: Too many levels of symbolic links"
    assert not answer["found"]
    assert contents == []


def test_accounts_and_the_ca_are_lent_again(place: Place, sealed: Any) -> None:
    assert place.keep("account", ACCOUNT, sealed({"key": KEY})) == ""
    assert place.keep("ca", "", sealed(PAIR)) == ""
    assert mode(place.lib / "accounts") == 0o700
    assert mode(place.lib / "accounts" / f"{ACCOUNT}.json") == 0o600
    assert mode(place.lib / "ca" / "root-key.pem") == 0o600
    assert mode(place.lib / "ca" / "root.pem") == 0o644
    assert place.say({"type": "lend", "id": 1, "kind": "ca-key"}) == (
        {"type": "lent", "id": 1, "found": True, "error": ""},
        [KEY.encode()],
    )
    assert place.say({"type": "lend", "id": 2, "kind": "ca"})[1] == [CERTIFICATE.encode()]
    assert json.loads(place.say({"type": "lend", "id": 3, "kind": "account", "name": ACCOUNT})[1][0]) == {"key": KEY}


def test_files_are_lent_only_when_the_plan_names_them(place: Place, tmp_path: Path) -> None:
    assert place.say({"type": "lend", "id": 1, "kind": "file", "name": str(place.secret)})[1] == [b"c2VjcmV0"]
    for name in ("/etc/shadow", str(tmp_path), None, [str(place.secret)]):
        assert place.say({"type": "lend", "id": 1, "kind": "file", "name": name}) == (
            {"type": "lent", "id": 1, "found": False, "error": ""},
            [],
        )


def test_what_instances_print_is_lent_by_their_names_and_nothing_beside_it(place: Place, tmp_path: Path) -> None:
    place.plan["apps"] = {"web": {"instances": 2}}
    place.plan["paths"]["logs"] = str(tmp_path)
    (tmp_path / "web-0.log").write_text("hello\n")
    (tmp_path / "web-1.log").symlink_to(tmp_path / "web-0.log")
    (tmp_path / "web-2.log").write_text("of another time\n")
    (tmp_path / "gapura.log").write_text("ours\n")
    assert place.say({"type": "lend", "id": "b1", "kind": "log", "name": "web:0"})[1] == [b"hello\n"]
    names = ("web:1", "web:2", "web:00", "web:-1", "web:0x", "web", "web:", "api:0", "../web:0", "gapura", ":0", None, 7, ["web:0"])
    for name in names:
        answer, contents = place.say({"type": "lend", "id": "b1", "kind": "log", "name": name})
        assert not answer["found"], name
        assert contents == []


def test_a_pipe_in_the_place_of_a_secret_does_not_hang_the_master(place: Place) -> None:
    place.secret.unlink()
    os.mkfifo(place.secret)
    assert place.say({"type": "lend", "id": 1, "kind": "file", "name": str(place.secret)})[0]["found"] is False


def test_challenges_come_and_go(place: Place) -> None:
    assert place.keep("challenge", TOKEN, text=f"{TOKEN}.thumbprint") == ""
    other = TOKEN + "2"
    place.keep("challenge", other, text=f"{other}.thumbprint")
    folder = place.run / "challenges"
    assert (folder / TOKEN).read_text() == f"{TOKEN}.thumbprint"
    place.say({"type": "forget", "name": TOKEN})
    assert os.listdir(folder) == [other]
    place.say({"type": "forget"})
    assert os.listdir(folder) == []


def test_there_is_an_end_to_challenges(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "CHALLENGES", 2)
    assert [place.keep("challenge", f"{TOKEN}{n}", text=TOKEN) for n in range(3)] == ["", "", "there are too many challenges"]


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "/etc", "a\0b", ".hidden", "a..b", "A.example", "a b", "é.example", "x" * 300, None, 7],
)
def test_a_name_that_cannot_be_is_refused(place: Place, sealed: Any, name: Any) -> None:
    assert place.keep("certificate", name, sealed(PAIR), record={}) == "a name that cannot be"
    assert place.keep("record", name, record={}) == "a name that cannot be"
    assert place.keep("account", name, sealed({})) == "a name that cannot be"
    assert place.keep("challenge", name, text=TOKEN) == "a name that cannot be"
    assert not (place.lib / "certificates").exists() or os.listdir(place.lib / "certificates") == []
    assert list(place.run.iterdir()) == []


@pytest.mark.parametrize("text", ["", "short", "with space in it and more", "a/b" * 20, "x\n" * 20, "x" * 600, None, 5])
def test_the_text_of_a_challenge_is_checked(place: Place, text: Any) -> None:
    assert place.keep("challenge", TOKEN, text=text) == "a name that cannot be"


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"certificate": CERTIFICATE},
        {"certificate": KEY[:20], "key": KEY},
        {"certificate": CERTIFICATE, "key": "x"},
        {"certificate": 5, "key": None},
        {"certificate": CERTIFICATE + "\0", "key": KEY},
        [],
        b"no JSON",
        b"\xff\xfe",
        b"[" * 5000,
        b" " * (keeper.LARGEST + 1),
    ],
)
def test_what_is_no_pair_is_refused(place: Place, sealed: Any, content: Any) -> None:
    assert place.keep("certificate", "a.example", sealed(content), record={})
    assert place.keep("ca", "", sealed(content))
    assert not list(place.lib.rglob("*.pem"))


def test_only_sealed_memory_is_read(place: Place, sealed: Any, tmp_path: Path) -> None:
    """A file could change while it is read, a pipe would never end."""
    refused = "it did not come in sealed memory"
    assert place.keep("certificate", "a.example", record={}) == refused
    assert place.keep("certificate", "a.example", sealed(PAIR, 0), record={}) == refused
    assert place.keep("certificate", "a.example", sealed(PAIR, fcntl.F_SEAL_WRITE), record={}) == refused
    reader, writer = os.pipe()
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    for fd in (reader, file):
        assert place.keep("certificate", "a.example", fd, record={}) == refused
        os.close(fd)
    os.close(writer)


@pytest.mark.parametrize("record", [None, [], "x", {"problem": "x" * keeper.LONGEST_RECORD}])
def test_a_record_is_a_small_object(place: Place, record: Any) -> None:
    assert place.keep("record", "a.example", record=record) == "the record is no object, or too long"


def test_strange_messages_do_no_harm(place: Place) -> None:
    for message in (
        {},
        {"type": "keep"},
        {"type": "keep", "kind": []},
        {"type": "lend", "kind": {}},
        {"type": "forget", "name": []},
    ):
        place.say(dict(message))
    place.keeper.hear(place.control, {"type": "certificates", "rows": "x"}, [])
    assert place.keeper.rows == []
    place.keeper.hear(place.control, {"type": "certificates", "rows": [{"host": "a"}, 5]}, [])
    assert place.keeper.rows == [{"host": "a"}]


def test_a_link_in_the_place_of_a_folder_is_not_followed(place: Place, sealed: Any, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (place.lib / "certificates").mkdir()
    (place.lib / "certificates" / "a.example").symlink_to(elsewhere)
    assert place.keep("certificate", "a.example", sealed(PAIR), record={})
    assert os.listdir(elsewhere) == []


def test_before_the_first_plan_nothing_is_kept(place: Place) -> None:
    place.plan = None
    assert place.say({"type": "keep", "kind": "challenge", "name": TOKEN, "text": TOKEN}) == ({}, [])
