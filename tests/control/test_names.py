"""Rows and slots, and what they are called."""

from __future__ import annotations

from typing import Any

from gapura.board import id_hash
from gapura.config.plan_admin import UPSTREAM
from gapura.control.names import Names, internal, pair


def site(host: str, row: int | None, *routes: tuple[int | None, str]) -> Any:
    found: dict[str, Any] = {
        "hosts": [host, f"www.{host}"],
        "routes": [{"upstream": name, "row": number} for number, name in routes],
    }
    return found if row is None else {**found, "row": row}


def test_rows_and_slots_have_names() -> None:
    plan: Any = {
        "sites": [site("a", 1, (2, "u"), (None, "u")), site("gapura.localhost", 8, (9, UPSTREAM))],
        "upstreams": {
            "u": {"name": "u", "app": False, "servers": [{"id": "unix:/x/y", "slots": [4]}]},
            UPSTREAM: {"name": UPSTREAM, "app": False, "servers": [{"id": "unix:/d", "slots": [5]}]},
        },
    }
    names = Names(plan)
    assert names.site_of == {1: "a", 2: "a", 8: "gapura.localhost", 9: "gapura.localhost"}
    assert names.rows_of["a"] == [1, 2]
    assert set(names.routes) == {2, 9}
    assert names.ours == {8, 9}
    assert names.server_of == {4: "u/unix:/x/y"}
    assert names.hashes == {id_hash("u", "unix:/x/y") & 0xFFFFFFFF: "u/unix:/x/y"}
    assert pair("u/unix:/x/y") == ("u", "unix:/x/y")
    assert pair("") == ("", "")


def test_a_site_of_others_that_also_leads_here_is_no_site_of_ours() -> None:
    assert internal(site("a", None, (1, UPSTREAM)))
    assert not internal(site("a", None, (1, UPSTREAM), (2, "u")))
    assert not internal(site("a", None))
