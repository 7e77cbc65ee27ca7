from __future__ import annotations

from pathlib import Path

import pytest

from gapura.master.takeover import StateFile


def test_a_state_that_cannot_be_written_is_told_once_and_can_be_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = StateFile(str(tmp_path))
    assert state.write({"generation": 1})
    (tmp_path / "state.json.new").mkdir()
    assert not state.write({"generation": 2})
    assert not state.write({"generation": 3})
    assert state.read()["generation"] == 1
    assert caplog.text.count("cannot be written") == 1
    (tmp_path / "state.json.new").rmdir()
    assert state.write({"generation": 4})
    assert state.read()["generation"] == 4
