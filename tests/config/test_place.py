from __future__ import annotations

from pathlib import Path

import pytest

from gapura.config.place import conf_d, is_system, paths_of


def test_state_lies_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = f"{tmp_path}/.gapura"
    expected = {"run": state, "logs": f"{state}/logs", "lib": f"{state}/lib"}
    assert paths_of(str(tmp_path / "gapura.toml")) == expected
    monkeypatch.chdir(tmp_path)
    assert paths_of("gapura.toml") == expected


def test_state_of_the_system() -> None:
    assert paths_of("/etc/gapura/other.toml") == {"run": "/run/gapura", "logs": "/var/log/gapura", "lib": "/var/lib/gapura"}
    assert is_system("/etc/gapura/gapura.toml")
    assert not is_system("/etc/gapura/conf.d/gapura.toml")


def test_only_the_system_reads_conf_d(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.toml").write_text("")
    assert conf_d(str(tmp_path / "gapura.toml")) == ([], [])
