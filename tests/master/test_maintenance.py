from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from gapura.config.plan import Plan
from gapura.errors import CommandError
from gapura.master.maintenance import NAME, Maintenance, meant

from .conftest import make_plan


def plan_of(folder: Path, *sites: list[str]) -> Plan:
    plan = make_plan(folder)
    made: Any = [{"hosts": hosts, "routes": [], "closed": None} for hosts in sites]
    return {**plan, "sites": made}


def closed(plan: Plan) -> dict[str, Any]:
    return {site["hosts"][0]: site["closed"] for site in plan["sites"] if site["closed"]}


def test_closed_sites_are_marked(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, ["a.example", "www.a.example"], ["b.example"])
    maintenance = Maintenance("")
    assert maintenance.marked(plan) is plan
    maintenance.close(["a.example"], 0.0, "soon")
    marked = maintenance.marked(plan)
    assert closed(plan) == {}
    assert closed(marked)["a.example"]["message"] == "soon"
    assert list(closed(marked)) == ["a.example"]
    maintenance.open(["a.example", "b.example"])
    assert closed(maintenance.marked(marked)) == {}


def test_closing_again_keeps_since_when(tmp_path: Path) -> None:
    maintenance = Maintenance("")
    maintenance.close(["a"], 0.0, "")
    maintenance.closed["a"]["since"] = 5.0
    maintenance.close(["a"], 7.0, "x")
    assert maintenance.closed["a"] == {"since": 5.0, "until": 7.0, "message": "x"}


def test_an_end_that_has_come_is_forgotten(tmp_path: Path) -> None:
    maintenance = Maintenance("")
    maintenance.close(["a.example"], time.time() - 1, "")
    maintenance.close(["b.example"], time.time() + 100, "")
    assert list(closed(maintenance.marked(plan_of(tmp_path, ["a.example"], ["b.example"])))) == ["b.example"]
    assert list(maintenance.closed) == ["b.example"]
    assert maintenance.next_end() == maintenance.closed["b.example"]["until"]
    maintenance.open(["b.example"])
    assert maintenance.next_end() == 0.0


def test_it_outlives_the_master(tmp_path: Path) -> None:
    maintenance = Maintenance(str(tmp_path))
    maintenance.close(["a.example"], 0.0, "soön")
    maintenance.write()
    assert os.stat(tmp_path / NAME).st_mode & 0o777 == 0o600
    assert Maintenance(str(tmp_path)).closed == maintenance.closed


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"closed": []}', '{"closed": {"a": 1}}', '{"closed": {"a": {"since": "x", "until": 0, "message": ""}}}'],
)
def test_a_malformed_file_is_not_believed(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / NAME).write_text(text)
    assert Maintenance(str(tmp_path)).closed == {}
    assert "cannot be read" in caplog.text


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text('{"closed": {"a": {"since": 1, "until": 0, "message": ""}}}')
    (tmp_path / NAME).symlink_to(tmp_path / "other")
    assert Maintenance(str(tmp_path)).closed == {}


def test_a_folder_that_takes_nothing_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    maintenance = Maintenance(str(tmp_path / "gone"))
    maintenance.close(["a"], 0.0, "")
    maintenance.write()
    assert "after a restart of Gapura it would be as before" in caplog.text


def test_a_full_disk_leaves_what_was_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maintenance = Maintenance(str(tmp_path))
    maintenance.close(["a"], 0.0, "")
    maintenance.write()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gapura.master.kept.json.dump", full)
    maintenance.close(["b"], 0.0, "")
    maintenance.write()
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert set(Maintenance(str(tmp_path)).closed) == {"a"}
    assert maintenance.problem.endswith(
        "cannot be written (No space left on device): after a restart of Gapura it would be as before"
    )
    monkeypatch.undo()
    maintenance.write()
    assert maintenance.problem == ""


def test_a_site_is_meant_by_any_of_its_hosts(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, ["a.example", "www.a.example"], ["*.b.example"], ["*"])
    assert meant(plan, ["WWW.a.example", "a.example", "*"]) == ["a.example", "*"]
    with pytest.raises(CommandError, match=r"there is no site c\.example") as caught:
        meant(plan, ["c.example"])
    assert caught.value.hint == "Sites of this configuration: a.example, *.b.example, *."
