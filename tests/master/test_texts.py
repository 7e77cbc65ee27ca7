"""The text of the configuration: checked aside, taken into use, and only then in the file's place."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path
from typing import Any

import pytest

from gapura.errors import CommandError, ConfigError
from gapura.master.loader import load
from gapura.master.loop import Steps
from gapura.master.replacement import Replacement
from gapura.master.texts import Texts, present

from .conftest import FAKE, House, finish, free_port, turn_until

US = pwd.getpwuid(os.geteuid()).pw_name


PORT = free_port()
ANY_PORT = """
import sys
from gapura.config import __main__, check
check.bind_error = lambda host, port: 0  # who holds it here is not called gapura
sys.exit(__main__.main(sys.argv[1:]))
"""


def text_of(*hosts: str, extra: str = "") -> str:
    sites = "".join(f'[sites."{host}"]\nrespond = "x"\n' for host in hosts)
    return f'[edge]\nhttp = "127.0.0.1:{PORT}"\nworkers = 1\nuser = "{US}"\n{sites}{extra}'


class Home:
    """A door whose configuration is a real file, read by the real config process."""

    def __init__(self, house: House, folder: Path) -> None:
        self.house, self.door, self.loop = house, house.door, house.loop
        self.file = folder / "gapura.toml"
        self.file.write_text(text_of("a.example"))
        for name in ("logs", "lib"):
            (folder / ".gapura" / name).mkdir(parents=True)
        self.door.loading = self.loading
        self.texts = Texts(self.door, [sys.executable, "-P", "-c", ANY_PORT])
        finish(self.loop, self.door.reload())

    def loading(self) -> Steps[Any]:
        plan, _, self.door.read = yield from load(self.loop, str(self.file))
        return plan

    def put(self, text: str, generation: int | None = None, file: str = "", guarded: bool = False) -> list[str]:
        said: list[str] = finish(self.loop, self.texts.put(text, file, generation, guarded))
        return said

    def check(self, text: str | None, guarded: bool = False) -> dict[str, Any]:
        found: dict[str, Any] = finish(self.loop, self.texts.check(text, "", guarded))
        return found

    @property
    def hosts(self) -> list[str]:
        return [site["hosts"][0] for site in self.door.running["sites"] if "gapura" not in site["hosts"][0]]


@pytest.fixture
def home(house: House, tmp_path: Path) -> Home:
    return Home(house, tmp_path)


def test_the_text_is_shown(home: Home) -> None:
    shown = home.texts.shown()
    assert (shown["generation"], shown["file"], shown["text"]) == (1, str(home.file), text_of("a.example"))
    assert [item["changed"] for item in shown["files"]] == [False]
    home.file.write_bytes(b"\xef\xbb\xbf" + text_of("a.example").replace("\n", "\r\n").encode())
    assert [item["changed"] for item in home.texts.shown()["files"]] == [False], "the same, however its lines end"
    home.file.write_bytes(b"\xff")
    assert [(item["text"], item["changed"]) for item in home.texts.shown()["files"]] == [("", True)]


def test_a_text_is_taken_up_and_is_in_the_file_then(home: Home) -> None:
    assert home.put(text_of("a.example", "b.example"), generation=1) == ["site b.example added"]
    assert home.hosts == ["a.example", "b.example"]
    assert home.file.read_text() == text_of("a.example", "b.example")
    assert Path(home.texts.kept("")).read_text() == text_of("a.example")
    assert finish(home.loop, home.door.reload()) == []


def test_a_text_that_is_wrong_changes_nothing(home: Home) -> None:
    with pytest.raises(ConfigError) as caught:
        home.put(text_of("a.example", extra="[apps.x]\ninstance = 2\n"))
    assert {problem.line for problem in caught.value.problems} == {7, 8}
    assert (home.hosts, home.door.generation) == (["a.example"], 1)
    assert (
        os.listdir(home.file.parent) == [".gapura", "gapura.toml"] or sorted(os.listdir(home.file.parent))[-1] != "gapura.toml.new"
    )
    with pytest.raises(CommandError, match="has neither sites nor apps"):
        home.put(text_of())
    assert home.file.read_text() == text_of("a.example")


def test_who_comes_second_gets_a_conflict(home: Home) -> None:
    tasks = [
        home.door.enter(f"put {host}", home.texts.put(text_of(host), "", 1, False), lambda task: None)
        for host in ("b.example", "c.example")
    ]
    turn_until(home.loop, lambda: all(task.done for task in tasks))
    assert tasks[0].error is None
    assert isinstance(tasks[1].error, CommandError)
    assert tasks[1].error.code == "conflict"
    assert (home.hosts, home.file.read_text()) == (["b.example"], text_of("b.example"))


def test_generations_that_change_no_file_are_none(home: Home) -> None:
    """Names that resolve anew, weights and maintenance make generations, too."""
    finish(home.loop, home.door.close_sites(["a.example"], 0.0, ""))
    assert home.door.generation == 2
    home.put(text_of("a.example", "b.example"), generation=1)
    for stale in (1, 2, 9):
        with pytest.raises(CommandError, match="was changed since generation"):
            home.put(text_of("c.example"), generation=stale)


def test_a_file_that_was_changed_by_hand_meanwhile_is_a_conflict_with_the_difference(home: Home) -> None:
    home.file.write_text(text_of("a.example", "hand.example"))
    with pytest.raises(CommandError, match="was changed by hand meanwhile") as caught:
        home.put(text_of("b.example"), generation=1)
    assert caught.value.code == "conflict"
    assert '+[sites."hand.example"]' in caught.value.problems[0].hint
    assert home.file.read_text() == text_of("a.example", "hand.example")
    finish(home.loop, home.door.reload())
    home.put(text_of("b.example"), generation=2)


@pytest.mark.parametrize("behaviour", ["refuses"])
def test_workers_that_refuse_leave_the_file_as_it_was(home: Home, behaviour: str) -> None:
    home.house.children.argv = {**home.house.children.argv, "worker": [*FAKE, "worker", behaviour]}
    for child in home.house.children.workers:
        child.kill()
    with pytest.raises(CommandError, match="was not taken up"):
        home.put(text_of("b.example"))
    assert (home.hosts, home.file.read_text()) == (["a.example"], text_of("a.example"))
    assert not any(name.endswith(".new") for name in os.listdir(home.file.parent))


def test_a_file_that_cannot_be_replaced_at_last_has_what_was_before_serve(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(replacement: Replacement) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Replacement, "commit", fail)
        with pytest.raises(CommandError, match="Input/output error") as caught:
            home.put(text_of("b.example"))
    assert caught.value.hint == "The configuration before serves again."
    assert (home.hosts, home.file.read_text(), home.door.generation) == (["a.example"], text_of("a.example"), 3)
    home.put(text_of("b.example"), generation=3)


def test_a_file_that_is_saved_by_hand_at_the_last_moment_is_not_lost(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = Replacement.prepare

    def saved(replacement: Replacement) -> None:
        prepare(replacement)
        home.file.write_text(text_of("hand.example"))

    monkeypatch.setattr(Replacement, "prepare", saved)
    with pytest.raises(CommandError, match="changed by hand at this moment") as caught:
        home.put(text_of("b.example"))
    assert caught.value.code == "conflict"
    assert (home.hosts, home.file.read_text()) == (["a.example"], text_of("hand.example"))


def test_a_folder_that_takes_nothing_is_found_before_anything_changes(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(replacement: Replacement) -> None:
        raise CommandError("the disk is full")

    monkeypatch.setattr(Replacement, "prepare", fail)
    with pytest.raises(CommandError, match="the disk is full"):
        home.put(text_of("b.example"))
    assert (home.hosts, home.door.generation) == (["a.example"], 1)


def test_a_check_changes_nothing(home: Home) -> None:
    found = home.check(text_of("a.example", "b.example"))
    assert (found["valid"], found["changes"]) == (True, ["site b.example added"])
    assert '+[sites."b.example"]' in found["diff"]
    found = home.check(text_of("a.example") + "wrong\n")
    assert (found["valid"], found["changes"], found["problems"][0]["line"]) == (False, [], 7)
    found = home.check(None)
    assert (found["valid"], found["changes"], found["diff"]) == (True, [], "")
    home.file.write_text(text_of("c.example"))
    assert home.check(None)["changes"] == ["site c.example added", "site a.example removed"]
    assert home.door.generation == 1


def test_what_only_files_may_say(home: Home) -> None:
    app = '[apps.x]\ncommand = "true"\n'
    with pytest.raises(ConfigError, match="not taken from the API: another app"):
        home.put(text_of("a.example", extra=app), guarded=True)
    assert home.check(text_of("a.example", extra=app), guarded=True)["valid"] is False
    assert home.put(text_of("b.example"), guarded=True) == ["site b.example added", "site a.example removed"]
    assert home.check(text_of("b.example", "c.example"), guarded=True)["valid"] is True


def test_a_file_that_is_not_ours(home: Home) -> None:
    for steps in (home.texts.put("", "/etc/passwd", None, False), home.texts.check("", "/etc/passwd", False)):
        with pytest.raises(CommandError, match="is no file of this configuration"):
            finish(home.loop, steps)


def test_nothing_is_put_before_the_first_generation(house: House) -> None:
    with pytest.raises(CommandError, match="still starting"):
        finish(house.loop, Texts(house.door).put("", "", None, False))
    with pytest.raises(CommandError, match="still starting"):
        Texts(house.door).shown()


def test_what_is_there(tmp_path: Path) -> None:
    assert present(str(tmp_path / "none")) is None
    assert present(str(tmp_path)) is None
