"""What a plan is compiled to: the order of steps, nothing for who asks for nothing, and only what is needed is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from gapura.config.load import load
from gapura.edge.router import Step

from .edge import Edge

EVERYTHING = """
[sites."*"]
respond = "hello"
response_headers = { set = { X-A = "1" } }
security_headers = true
cors = { origins = ["https://b.example"] }
limit = "10/s"
allow = ["127.0.0.1"]
forward_auth = { to = "127.0.0.1:1", headers = ["X-User"] }
compress = true
error_pages = { 502 = "page.html" }
intercept_errors = true
"""
HEAVY = ("bcrypt", "jwt", "cryptography", "isal", "brotli", "backports", "acme", "josepy", "requests", "pydantic", "click", "dns")


def name(step: Step) -> str:
    """What a step is made by."""
    if isinstance(step, partial):
        return str(step.func.__module__.rpartition(".")[2]) + step.func.__name__
    maker = getattr(step, "__self__", step)
    return str(getattr(maker, "__qualname__", type(maker).__name__)).partition(".")[0]


async def test_steps_come_in_the_order_of_the_documents(edge: Edge) -> None:
    await edge.start(EVERYTHING)
    (route,) = edge.worker.snapshot.router.sites[0].routes
    assert [name(step) for step in route.steps] == [
        *("_Edit", "SecurityHeaders", "Cors"),
        *("Limits", "guard_network", "Cors", "guard_strip", "ForwardAuth"),
        *("_Compress", "intercept_step", "respond"),
    ]
    assert [name(step) for step in route.dressing] == ["dressing", "SecurityHeaders", "Cors"]


@pytest.mark.parametrize("action", ['proxy = "127.0.0.1:1"', 'files = "www"', 'respond = "x"', 'redirect = "/x"'])
async def test_who_asks_for_nothing_has_one_step(edge: Edge, tmp_path: Path, action: str) -> None:
    (tmp_path / "www").mkdir()
    await edge.start(f'[sites."*"]\n{action}\n')
    site = edge.worker.snapshot.router.sites[0]
    assert [len(route.steps) for route in site.routes] == [1]
    assert site.routes[0].dressing == ()
    assert site.gate is None


def test_a_plain_worker_imports_nothing_large(tmp_path: Path) -> None:
    """In a process of its own: this one has imported everything."""
    file = tmp_path / "gapura.toml"
    (tmp_path / "www").mkdir()
    file.write_text('[sites."a.example"]\nrespond = "x"\n[sites."b.example"]\nfiles = "www"\n')
    program = (
        "import json, sys; from gapura.board import Board; from gapura.edge.snapshot import Snapshot; import gapura.edge.worker\n"
        "Snapshot(json.load(sys.stdin), 1, Board.create(1), 0, None)\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    plan = json.dumps(load(str(file)))
    done = subprocess.run([sys.executable, "-P", "-c", program], input=plan, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not set(HEAVY) & set(done.stdout.split())
