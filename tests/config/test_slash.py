"""`/admin` where only `/admin/` has a route."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gapura.config.load import load
from gapura.config.slash import slash_routes

Configure = Callable[..., str]
HEAD = '[edge]\nhttp = 8080\n[sites."a.b"]\nproxy = "127.0.0.1:3000"\n'


def made(configure: Configure, *routes: str) -> dict[str, str]:
    """The routes that nobody wrote: their path, and where they lead."""
    text = HEAD + "".join(f'[[sites."a.b".routes]]\n{route}\n' for route in routes)
    written = load(configure(text))["sites"][0]["routes"]
    found = slash_routes(written)
    assert found[: len(written)] == written
    assert all((route["kind"], route["action"], route["status"]) == ("exact", "redirect", 301) for route in found[len(written) :])
    return {route["path"]: route["location"] for route in found[len(written) :]}


PROXY = 'proxy = "127.0.0.1:3001"'


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ([f'path = "/admin/"\n{PROXY}'], {"/admin": "/admin/$is_args$args"}),
        ([f'path = "/a%20b/%C3%BC/"\n{PROXY}'], {"/a b/ü": "/a%20b/%C3%BC/$is_args$args"}),
        ([f'path = "/x/"\n{PROXY}', f'path = "/x/y/"\n{PROXY}'], {"/x": "/x/$is_args$args", "/x/y": "/x/y/$is_args$args"}),
        ([f'path = "/x/"\nsplit = [{{ {PROXY}, share = 100 }}]'], {"/x": "/x/$is_args$args"}),
        # what has a route of its own, is no prefix, or is not proxied stays as it is
        ([f'path = "/admin/"\n{PROXY}', f'path = "/admin"\n{PROXY}'], {}),
        ([f'path = "/admin/"\n{PROXY}', 'path = "/admin"\nkind = "exact"\nrespond = "x"'], {}),
        ([f'path = "/admin"\n{PROXY}'], {}),
        ([f'path = "/admin/"\nkind = "exact"\n{PROXY}'], {}),
        ([f'path = "^/admin/"\nkind = "regex"\n{PROXY}'], {}),
        ([f'path = "/admin/"\nmethods = "POST"\n{PROXY}'], {}),
        (['path = "/admin/"\nrespond = "x"'], {}),
        ([f'path = "/$x/"\n{PROXY}'], {}),
        ([], {}),
    ],
)
def test_which_are_made(configure: Configure, routes: list[str], expected: dict[str, str]) -> None:
    assert made(configure, *routes) == expected


def test_who_may_ask_is_as_for_the_prefix(configure: Configure) -> None:
    text = HEAD + f'[[sites."a.b".routes]]\npath = "/admin/"\n{PROXY}\nallow = "10.0.0.0/8"\n'
    *_, made = slash_routes(load(configure(text))["sites"][0]["routes"])
    assert made["access"] is not None
    assert (made["upstream"], made["name"]) == ("", "/admin")
