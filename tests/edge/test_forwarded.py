"""Who the client is, and who says so."""

from __future__ import annotations

import pytest

from gapura.edge.forwarded import Trust

from .edge import Edge

FOR = "X-Forwarded-For: "


@pytest.mark.parametrize(
    ("lines", "client", "chain"),
    [
        ([], "127.0.0.1", "127.0.0.1"),
        ([FOR + "1.2.3.4"], "1.2.3.4", "1.2.3.4, 127.0.0.1"),
        ([FOR + "6.6.6.6, 1.2.3.4"], "1.2.3.4", "6.6.6.6, 1.2.3.4, 127.0.0.1"),
        ([FOR + "6.6.6.6", FOR + "1.2.3.4, 10.0.0.7"], "1.2.3.4", "6.6.6.6, 1.2.3.4, 10.0.0.7, 127.0.0.1"),
        ([FOR + "10.0.0.9, 10.0.0.7"], "10.0.0.9", "10.0.0.9, 10.0.0.7, 127.0.0.1"),
        ([FOR + "junk, 10.0.0.7"], "10.0.0.7", "junk, 10.0.0.7, 127.0.0.1"),
        ([FOR + "[2001:db8::1]"], "2001:db8::1", "[2001:db8::1], 127.0.0.1"),
        ([FOR + 'fe80::1%" 200 "x'], "127.0.0.1", 'fe80::1%" 200 "x, 127.0.0.1'),
        ([FOR], "127.0.0.1", "127.0.0.1"),
    ],
)
async def test_a_trusted_proxy_is_believed(edge: Edge, lines: list[str], client: str, chain: str) -> None:
    backend = await edge.proxy(log="$remote_addr", trusted_proxies=["127.0.0.0/8", "10.0.0.0/8"])
    await (await edge.client()).ask("/", *lines)
    assert backend.requests[0].get("x-forwarded-for") == chain
    assert edge.lines() == [client]


@pytest.mark.parametrize(
    ("lines", "proto", "host"),
    [
        (["X-Forwarded-Proto: https", "X-Forwarded-Host: b.example"], "https", "b.example"),
        (["X-Forwarded-Proto: gopher"], "http", "a.example"),
        (["X-Forwarded-Proto: http", "X-Forwarded-Proto: https"], "https", "a.example"),
    ],
)
async def test_scheme_and_host_of_a_trusted_proxy(edge: Edge, lines: list[str], proto: str, host: str) -> None:
    backend = await edge.proxy(trusted_proxies=["127.0.0.1"])
    await (await edge.client()).ask("/", *lines)
    (request,) = backend.requests
    assert (request.get("x-forwarded-proto"), request.get("x-forwarded-host"), request.get("host")) == (proto, host, "a.example")


@pytest.mark.parametrize("trusted", [[], ["192.0.2.0/24"]])
async def test_nobody_else_is_believed(edge: Edge, trusted: list[str]) -> None:
    backend = await edge.proxy(log="$remote_addr", trusted_proxies=trusted)
    lines = (
        FOR + "1.2.3.4",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil",
        "X-Forwarded-Port: 1",
        "Forwarded: for=1",
        "X-Real-IP: 1",
    )
    await (await edge.client()).ask("/", *lines)
    (request,) = backend.requests
    found = [(name, value) for name, value in request.lines if "forwarded" in name or "real" in name]
    assert found == [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-proto", "http"), ("x-forwarded-host", "a.example")]
    assert edge.lines() == ["127.0.0.1"]


@pytest.mark.parametrize("peer", ["unknown", "unix:", "", "10.0.0.1.", "::1"])
def test_who_is_not_in_a_network_is_not_trusted(peer: str) -> None:
    assert not Trust(["10.0.0.0/8"]).trusts(peer)


def test_a_network_of_each_family() -> None:
    trust = Trust(["10.1.2.3/8", "2001:db8::/32"])
    assert trust.trusts("10.9.9.9")
    assert trust.trusts("2001:db8:1::1")
