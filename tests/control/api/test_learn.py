"""The explanations beside the dashboard."""

from __future__ import annotations

import re

import pytest

from .world import World


@pytest.mark.parametrize(("accepted", "language"), [("id-ID,id;q=0.9", "id"), ("en", "en"), ("de", "en"), ("", "en")])
def test_the_first_page_is_in_the_browsers_language(world: World, accepted: str, language: str) -> None:
    answer = world.ask("GET", "/learn/", accept_language=accepted)
    assert answer.status == 302
    assert answer.headers["location"] == f"{language}/web-server.html"


def test_a_page_and_its_drawings(world: World) -> None:
    page = world.ask("GET", "/learn/id/load-balancing.html")
    assert page.status == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    names = re.findall(r'src="\.\./drawings/([^"]+)"', page.body.decode())
    assert names
    for name in names:
        drawing = world.ask("GET", f"/learn/drawings/{name}")
        assert drawing.status == 200
        assert drawing.headers["content-type"] == "image/svg+xml"


@pytest.mark.parametrize(
    "path",
    [
        "/learn/en/cooking.html",
        "/learn/fr/homework.html",
        "/learn/en/homework",
        "/learn/drawings/x.svg",
        "/learn/drawings/..%2fREADME.md",
    ],
)
def test_what_is_not_there(world: World, path: str) -> None:
    assert world.ask("GET", path).status == 404
