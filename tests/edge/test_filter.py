"""Filters: each sees the answer before the ones that were installed earlier."""

from __future__ import annotations

from gapura.edge.exchange import Exchange
from gapura.edge.filter import Filter, bottom
from gapura.edge.router import NEXT, Route

from .edge import Edge


class Marked(Filter):
    __slots__ = ("mark",)

    def __init__(self, exchange: Exchange, mark: bytes) -> None:
        super().__init__(exchange)
        self.mark = mark

    def head(self, block: bytes) -> bytes:
        return block + b"\r\nX-Mark: " + self.mark


def install(edge: Edge, *marks: bytes) -> list[Exchange]:
    """Put filters before the action of every route; the exchanges that pass."""
    seen: list[Exchange] = []

    def step(exchange: Exchange) -> int:
        seen.append(exchange)
        for mark in marks:
            Marked(exchange, mark)
        return NEXT

    def prepended(route: Route) -> Route:
        route.steps = (step, *route.steps)
        return route

    router = edge.worker.snapshot.router
    site = router.site(b"a.example")[1]
    assert site is not None
    assert site.only is not None
    prepended(site.only)
    return seen


async def test_the_last_one_installed_sees_the_answer_first(edge: Edge) -> None:
    await edge.proxy()
    seen = install(edge, b"outer", b"inner")
    client = await edge.client()
    answer = await client.ask("/")
    assert answer.status == 200
    assert answer.all("x-mark") == ["inner", "outer"]
    assert bottom(seen[0].sink) in edge.worker.connections


async def test_errors_pass_them_too(edge: Edge) -> None:
    (edge.folder / "www").mkdir()
    await edge.start('[sites."a.example"]\nfiles = "www"\n')
    install(edge, b"one")
    client = await edge.client()
    answer = await client.ask("/missing")
    assert (answer.status, answer.all("x-mark")) == (404, ["one"])
