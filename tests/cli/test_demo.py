"""`demo`: the example is copied, listens where it should, and is started."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

import gapura as package
from gapura.cli import demo, run
from gapura.cli.place import Place
from gapura.errors import CommandError


@pytest.fixture
def launched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Place, bool]]:
    """What was started, in a current folder that is empty."""
    monkeypatch.chdir(tmp_path)
    calls: list[tuple[Place, bool]] = []
    monkeypatch.setattr(run, "launch", lambda place, detach: calls.append((place, detach)))
    return calls


def config(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "gapura.toml").read_text())


def test_the_example_is_copied_and_started(launched: list[Any], tmp_path: Path, gapura: Any) -> None:
    assert gapura("demo").status == 0
    folder = tmp_path / "gapura-demo"
    assert launched == [(Place(str(folder / "gapura.toml"), str(folder / ".gapura"), str(folder / ".gapura/logs")), False)]
    assert config(folder)["edge"]["http"] == 8080
    assert config(folder)["apps"]["dumbflix"]["instances"] == 2
    assert (folder / "app.py").is_file()
    assert gapura("check", "-c", "gapura-demo", "--json").out.startswith("{")


def test_a_copy_that_was_changed_stays_as_it_is(launched: list[Any], tmp_path: Path, gapura: Any) -> None:
    gapura("demo", "--port", "18111", "-d")
    folder = tmp_path / "gapura-demo"
    changed = (folder / "gapura.toml").read_text().replace("instances = 2", "instances = 3")
    (folder / "gapura.toml").write_text(changed)
    gapura("demo")
    assert (folder / "gapura.toml").read_text() == changed
    gapura("demo", "--port", "18112")
    assert config(folder)["edge"]["http"] == 18112
    assert config(folder)["apps"]["dumbflix"]["instances"] == 3
    assert [detach for _, detach in launched] == [True, False, False]


def test_a_temporary_folder(launched: list[Any], tmp_path: Path, gapura: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert gapura("demo", "--temp").status == 0
    folder = Path(launched[0][0].file).parent
    assert folder.parent == tmp_path
    assert folder.name.startswith("gapura-demo-")


@pytest.mark.parametrize("content", ["file", "folder"])
def test_somebody_elses_folder_is_left_alone(launched: list[Any], tmp_path: Path, gapura: Any, content: str) -> None:
    if content == "file":
        (tmp_path / "mine").write_text("x")
    else:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.txt").write_text("x")
    done = gapura("demo", "mine")
    assert done.status == 1
    assert "mine is there, but is no demo" in done.err
    assert launched == []


def test_a_folder_that_cannot_be_made(launched: list[Any], tmp_path: Path, gapura: Any) -> None:
    (tmp_path / "file").touch()
    done = gapura("demo", "file/below")
    assert done.status == 1
    assert "could not be made" in done.err


def test_the_example_of_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "gapura" / "examples" / "dumbflix"
    inside.mkdir(parents=True)
    monkeypatch.setattr(package, "__file__", str(tmp_path / "gapura" / "__init__.py"))
    with pytest.raises(CommandError, match="missing from this installation"):
        demo.example()
    (inside / "gapura.toml").touch()
    assert demo.example() == inside


@pytest.mark.parametrize(
    "text",
    [
        "[apps.a]\ncommand = 'x'\n",
        "[edge]\nworkers = 1\n\n[apps.a]\ncommand = 'x'\n",
        "[edge]\nhttp = 80\nworkers = 1\n[apps.a]\ncommand = 'x'\n",
        "[edge]\nworkers = 1\nhttp=80\n[apps.a]\ncommand = 'x'\n",
        "[apps.a]\ncommand = 'x'\n[edge]\nworkers = 1",
    ],
)
def test_the_port_is_set_and_the_rest_stays(tmp_path: Path, text: str) -> None:
    file = tmp_path / "gapura.toml"
    file.write_text(text)
    demo.listen_on(file, 4711)
    demo.listen_on(file, 4712)
    before, after = tomllib.loads(text), tomllib.loads(file.read_text())
    assert after["edge"].pop("http") == 4712
    before.setdefault("edge", {}).pop("http", None)
    assert after == before
    assert [path.name for path in tmp_path.iterdir()] == ["gapura.toml"]


@pytest.mark.parametrize(
    ("called", "on_path", "said"),
    [
        (".venv/bin/gapura", False, "cd gapura-demo && ../.venv/bin/gapura status"),
        (".venv/bin/gapura", True, "cd gapura-demo && gapura status"),
        ("/nowhere/at all/bin/gapura", False, "cd gapura-demo && '/nowhere/at all/bin/gapura' status"),
        ("/lib/gapura/cli/__main__.py", False, "cd gapura-demo && gapura status"),
    ],
)
def test_what_to_type_next_can_be_typed(
    launched: list[Any], tmp_path: Path, gapura: Any, monkeypatch: pytest.MonkeyPatch, called: str, on_path: bool, said: str
) -> None:
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    (folder / "gapura").touch(mode=0o755)
    monkeypatch.setattr("sys.argv", [called])
    monkeypatch.setenv("PATH", str(folder) if on_path else str(tmp_path))
    assert said in gapura("demo").out
