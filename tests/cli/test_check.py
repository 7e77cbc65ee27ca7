"""`check` and `schema`."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from gapura.config.plan import Plan


def test_a_good_file_is_summed_up(folder: Path, gapura: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gapura.config.reach.first_obstacle", lambda _user, _paths: "")  # wherever these tests run
    (folder / "app.py").touch()
    done = gapura("check")
    assert (done.status, done.err) == (0, "")
    assert (
        done.out.splitlines()
        == [
            "gapura.toml is fine. It would run:",
            "  1 worker, listening on 127.0.0.1:8099",
            "  app shop: 2 × python3 app.py",
            "  site shop.localhost → shop",
            "  site alvin.xyz → redirect, api",
            "  site *.alvin.xyz → respond",
        ]
        or done.out.splitlines()[4] == "  site alvin.xyz → api, redirect"
    )


def test_all_errors_with_place_line_and_caret(folder: Path, gapura: Any) -> None:
    (folder / "gapura.toml").write_text('[upstreams.api]\nservers = ["10.0.0.1:3000"]\nweigth = 1\n\n[sites.a]\nproxy = "apo"\n')
    done = gapura("check")
    assert done.status == 78
    assert done.out == ""
    first, second = f"{folder}/gapura.toml:3:1: ", f"{folder}/gapura.toml:6:9: "
    assert first in done.err
    assert second in done.err
    assert '    proxy = "apo"\n            ^^^^^\n    did you mean "api"?\n' in done.err
    assert done.err.endswith("2 errors in gapura.toml\n")


def test_what_only_the_machine_knows(folder: Path, gapura: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (folder / "gapura.toml").write_text(f'[edge]\nhttp = "127.0.0.1:{port}"\n[sites.a]\nfiles = "none"\n')
        done = gapura("check")
    assert done.status == 78
    assert f"port {port} is in use" in done.err
    assert "none" in done.err


def test_for_scripts(folder: Path, gapura: Any) -> None:
    good = json.loads(gapura("check", "--json").out)
    assert good["ok"] is True
    (folder / "gapura.toml").write_text("[edg]\n")
    done = gapura("check", "--json")
    assert done.status == 78
    problem = json.loads(done.out)["problems"][0]
    assert (problem["line"], problem["warning"]) == (1, False)
    assert problem["file"] == str(folder / "gapura.toml")


def test_warnings_alone_are_no_failure(folder: Path, gapura: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from gapura.errors import Problem

    def odd(plan: Plan, file: str) -> list[Problem]:
        return [Problem("a leftover", file, warning=True)]

    monkeypatch.setattr("gapura.config.check.check", odd)
    done = gapura("check")
    assert done.status == 0
    assert "warning: a leftover" in done.err
    assert "is fine" in done.out


@pytest.mark.parametrize("text", ["[", "a = \x00", "\xff\xfe", "[[[[", 'x = "' * 50])
def test_what_is_no_toml(folder: Path, gapura: Any, text: str) -> None:
    (folder / "gapura.toml").write_bytes(text.encode("latin-1"))
    for verb in ("check", "explain", "hosts"):
        done = gapura(verb, *(["a"] if verb == "explain" else []))
        assert done.status == 78
        assert f"{folder}/gapura.toml" in done.err
        assert "Traceback" not in done.err


def test_the_schema_is_json(gapura: Any) -> None:
    schema = json.loads(gapura("schema").out)
    assert schema["title"] == "gapura.toml"
    assert {"edge", "apps", "upstreams", "sites"} <= schema["properties"].keys()


def test_what_commands_have_said_of_servers_is_told(folder: Path, gapura: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gapura.config.check.check", lambda plan, file: [])
    lib = folder / ".gapura" / "lib"
    lib.mkdir(parents=True)
    said = {"added": [], "removed": {"127.0.0.1:3001": False}, "weights": {"127.0.0.1:3000": [5, 2]}}
    (lib / "overrides.json").write_text(json.dumps({"upstreams": {"api": said}}))
    done = gapura("check")
    assert done.out.splitlines()[-2:] == [
        "stays: upstream api: server 127.0.0.1:3001 removed by a command",
        "stays: upstream api: server 127.0.0.1:3000 has weight 5 by a command, the file says 2",
    ]
    assert len(json.loads(gapura("check", "--json").out)["overrides"]) == 2
