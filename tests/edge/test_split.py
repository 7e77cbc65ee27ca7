"""Split: exact shares of the new visitors, who stay where they came first."""

from __future__ import annotations

from collections import Counter

import pytest

from .edge import Edge, configuration


async def split(edge: Edge, shares: str = "90, 10", words: str = "", log: str = "", **more: object) -> None:
    """A site whose visitors are shared out among backends that are upstreams a, b, …"""
    parts = [share.strip() for share in shares.split(",")]
    text, choices = "", []
    for name, share in zip("abc", parts, strict=False):
        backend = edge.backends[len(choices)] if len(edge.backends) > len(choices) else await edge.backend()
        text += f'[upstreams.{name}]\nservers = ["{backend.address}"]\n'
        choices.append(f'{{ proxy = "{name}", share = {share} }}')
    listed = f"[{', '.join(choices)}]"
    text += f'[sites."*"]\nsplit = {f"{{ to = {listed}, {words} }}" if words else listed}\n'
    if edge.port:
        await edge.serve(configuration(text, {}, log))
    else:
        await edge.start(text, log, **more)


async def visits(edge: Edge, count: int) -> Counter[int]:
    """New visitors by the place of the backend that they got."""
    client = await edge.client()
    ports = {backend.address: place for place, backend in enumerate(edge.backends)}
    return Counter([ports[(await client.ask()).get("x-served-by") or ""] for _ in range(count)])


@pytest.mark.parametrize(
    ("shares", "expected"),
    [("90, 10", [90, 10, 0]), ("1, 1, 2", [25, 25, 50]), ("99.5, 0.5", [199, 1, 0]), ("0, 5", [0, 100, 0]), ("100, 0", [50, 0, 0])],
)
async def test_shares_are_exact(edge: Edge, shares: str, expected: list[int]) -> None:
    await split(edge, shares)
    found = await visits(edge, sum(expected))
    assert [found[place] for place in range(3)] == expected


async def test_a_visitor_stays(edge: Edge) -> None:
    await split(edge, "50, 50")
    client = await edge.client()
    for _ in range(4):
        first = await client.ask()
        line = first.get("set-cookie") or ""
        assert line.partition(";")[2] == " Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax"
        again = [await client.ask("/", f"Cookie: x=y; {line.partition(';')[0]}") for _ in range(3)]
        assert {answer.get("x-served-by") for answer in again} == {first.get("x-served-by")}
        assert [answer.get("set-cookie") for answer in again] == [None] * 3


async def test_returning_visitors_take_no_share(edge: Edge) -> None:
    await split(edge, "50, 50")
    client = await edge.client()
    sent = ((await client.ask()).get("set-cookie") or "").partition(";")[0]
    for _ in range(10):
        await client.ask("/", f"Cookie: {sent}")
    assert await visits(edge, 9) == {0: 4, 1: 5}


@pytest.mark.parametrize("value", ["", "a", "b", "../../etc", "x" * 8000, "\xff"])
async def test_made_up_cookies_are_those_of_new_visitors(edge: Edge, value: str) -> None:
    await split(edge, "50, 50", 'cookie = "side"')
    client = await edge.client()
    served = [await client.ask("/", f"Cookie: side={value}") for _ in range(4)]
    assert len({answer.get("x-served-by") for answer in served}) == 2
    assert all((answer.get("set-cookie") or "").startswith("side=") for answer in served)


async def test_a_share_of_0_keeps_those_who_have_been_there(edge: Edge) -> None:
    await split(edge, "1, 1")
    client = await edge.client()
    cookies = {answer.get("x-served-by"): (answer.get("set-cookie") or "") for answer in [await client.ask() for _ in range(2)]}
    second = edge.backends[1].address
    await split(edge, "1, 0")
    assert await visits(edge, 5) == {0: 5}
    assert (await client.ask("/", f"Cookie: {cookies[second].partition(';')[0]}")).get("x-served-by") == second


async def test_the_words_of_the_cookie(edge: Edge) -> None:
    await split(edge, "1, 1", 'cookie = "side", max_age = "1d", same_site = "none"')
    line = (await (await edge.client()).ask()).get("set-cookie") or ""
    assert line.startswith("side=")
    assert line.endswith("; Path=/; Max-Age=86400; HttpOnly; SameSite=None; Secure")


async def test_the_log_knows_the_upstream(edge: Edge) -> None:
    await split(edge, "1, 1", log="$upstream $route $status")
    await visits(edge, 4)
    assert sorted(edge.lines()) == ["a / 200", "a / 200", "b / 200", "b / 200"]
