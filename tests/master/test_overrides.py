"""What was said of servers, kept for the next master."""

from __future__ import annotations

from pathlib import Path

import pytest

from gapura.config.overrides import Overrides
from gapura.master.overrides import NAME, KeptOverrides

SAID: Overrides = {"api": {"added": [], "removed": {"10.0.0.1:80": False}, "weights": {"10.0.0.2:80": [3, 1]}}}


def test_it_outlives_the_master(tmp_path: Path) -> None:
    KeptOverrides(str(tmp_path)).keep(SAID)
    assert KeptOverrides(str(tmp_path)).said == SAID


def test_what_has_not_changed_is_not_written(tmp_path: Path) -> None:
    held = KeptOverrides(str(tmp_path))
    held.keep({})
    assert not (tmp_path / NAME).exists()


def test_what_could_not_be_written_is_tried_again(tmp_path: Path) -> None:
    held = KeptOverrides(str(tmp_path / "gone"))
    held.keep(SAID)
    assert held.problem
    assert held.said == SAID, "it holds all the same"
    (tmp_path / "gone").mkdir()
    held.keep(SAID)
    assert not held.problem
    assert KeptOverrides(str(tmp_path / "gone")).said == SAID


@pytest.mark.parametrize("text", ["{}", '{"upstreams": 5}', '{"upstreams": {"api": {}}}', "["])
def test_a_file_that_is_none_of_ours_says_nothing(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / NAME).write_text(text)
    assert KeptOverrides(str(tmp_path)).said == {}
    assert "servers are as the configuration says" in caplog.text
