"""Which file is meant, and where its Gapura lives."""

from __future__ import annotations

from pathlib import Path

import pytest

from gapura.cli import place
from gapura.errors import CommandError


def test_beside_the_file(tmp_path: Path) -> None:
    found = place.place_of(str(tmp_path / "site.toml"))
    assert found == place.Place(str(tmp_path / "site.toml"), str(tmp_path / ".gapura"), str(tmp_path / ".gapura/logs"))


def test_the_systems_own_folders() -> None:
    assert place.place_of("/etc/gapura/gapura.toml") == place.Place("/etc/gapura/gapura.toml", "/run/gapura", "/var/log/gapura")


def test_the_current_folder_goes_before_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, system = tmp_path / "here", tmp_path / "etc"
    here.mkdir()
    system.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(place, "SYSTEM", str(system))
    (system / "gapura.toml").write_text("")
    assert place.find().file == str(system / "gapura.toml")
    (here / "gapura.toml").write_text("")
    assert place.find().file == str(here / "gapura.toml")


def test_nothing_found_says_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(place, "SYSTEM", str(tmp_path / "etc"))
    with pytest.raises(CommandError, match=r"there is no gapura\.toml in this folder") as caught:
        place.find()
    assert str(tmp_path / "etc") in caught.value.hint
    assert caught.value.exit_status == 78


def test_a_gapura_whose_file_was_deleted_can_still_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".gapura").mkdir()
    (tmp_path / ".gapura" / "control.sock").touch()
    assert place.find().run == str(tmp_path / ".gapura")
    assert place.find("gapura.toml").run == str(tmp_path / ".gapura")


def test_paths_are_shown_as_a_person_here_would_write_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert place.short(str(tmp_path / "a" / "b")) == "a/b"
    assert place.short("/etc/hosts") == "/etc/hosts"
