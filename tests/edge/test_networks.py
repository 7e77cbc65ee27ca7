"""Networks that may come in and networks that may not."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapura.edge import networks as module
from gapura.edge.networks import Networks, networks

from .client import get
from .edge import Edge

V4, V6 = ("0.0.0.0/0",), ("::/0",)


@pytest.mark.parametrize(
    ("allow", "deny", "client", "expected"),
    [
        (("10.0.0.0/8",), (), "10.255.255.255", True),
        (("10.0.0.0/8",), (), "11.0.0.0", False),
        (("10.0.0.0/8",), (), "::ffff:10.1.2.3", True),
        (("10.0.0.0/8",), (), "::a00:1", False),  # not mapped, but of the same number
        (("10.0.0.0/8",), (), "unknown", False),
        (("10.0.0.0/8",), (), "", False),
        (("10.0.0.0/8",), (), "10.0.0.1 ", False),
        (("10.0.0.0/8",), (), "10.0.0.1\n", False),
        (("10.0.0.0/8",), (), "010.0.0.1", False),
        (("10.0.0.0/8",), (), "\xff", False),
        (("10.0.0.0/8",), (), "fe80::1%eth0", False),
        (("fe80::/10",), (), "fe80::1%eth0", True),
        ((), ("10.0.0.0/8",), "10.0.0.1", False),
        ((), ("10.0.0.0/8",), "11.0.0.1", True),
        ((), ("10.0.0.0/8",), "2001:db8::1", True),
        ((), ("10.0.0.0/8",), "unknown", False),
        # of nginx' documentation: deny 192.168.1.1; allow 192.168.1.0/24; allow 10.1.1.0/16; allow 2001:0db8::/32; deny all
        (("192.168.1.0/24", "10.1.0.0/16", "2001:db8::/32"), ("192.168.1.1/32",), "192.168.1.1", False),
        (("192.168.1.0/24", "10.1.0.0/16", "2001:db8::/32"), ("192.168.1.1/32",), "192.168.1.2", True),
        (("192.168.1.0/24", "10.1.0.0/16", "2001:db8::/32"), ("192.168.1.1/32",), "10.1.9.9", True),
        (("192.168.1.0/24", "10.1.0.0/16", "2001:db8::/32"), ("192.168.1.1/32",), "2001:db8:1::1", True),
        (("192.168.1.0/24", "10.1.0.0/16", "2001:db8::/32"), ("192.168.1.1/32",), "8.8.8.8", False),
        ((*V4, *V6, "10.0.0.5/32"), ("10.0.0.0/8",), "10.0.0.5", True),
        ((*V4, *V6, "10.0.0.5/32"), ("10.0.0.0/8",), "10.0.0.6", False),
        ((*V4, *V6, "10.0.0.5/32"), ("10.0.0.0/8",), "1.1.1.1", True),
        ((*V4, *V6, "10.0.0.5/32"), ("10.0.0.0/8",), "::1", True),
        (("10.0.0.0/8",), ("10.0.0.0/8",), "10.0.0.1", False),
        ((), (*V4, *V6), "10.0.0.1", False),
    ],
)  # fmt: skip
def test_who_may_come_in(allow: tuple[str, ...], deny: tuple[str, ...], client: str, expected: bool) -> None:
    found = Networks(allow, deny)
    assert [found.holds(client.encode("latin-1")) for _ in range(2)] == [expected, expected]


NETWORK = st.one_of(
    st.ip_addresses(v=4).flatmap(lambda a: st.integers(0, 32).map(lambda n: str(ipaddress.ip_network((a, n), strict=False)))),
    st.ip_addresses(v=6).flatmap(lambda a: st.integers(0, 95).map(lambda n: str(ipaddress.ip_network((a, n), strict=False)))),
)


@given(st.lists(NETWORK, max_size=12), st.lists(NETWORK, max_size=12), st.ip_addresses())
def test_the_narrowest_network_decides(
    allow: list[str], deny: list[str], client: ipaddress.IPv4Address | ipaddress.IPv6Address
) -> None:
    """Against the plain way: all networks that hold the address, the longest prefix, deny before allow."""
    if client.version == 6 and client.ipv4_mapped:
        client = client.ipv4_mapped
    holding = [
        (network.prefixlen, not allowed, allowed)
        for texts, allowed in ((allow, True), (deny, False))
        for network in map(ipaddress.ip_network, texts)
        if network.version == client.version and client in network
    ]
    expected = max(holding)[2] if holding else not allow
    assert Networks(tuple(allow), tuple(deny)).holds(str(client).encode()) is expected


@given(st.binary(max_size=60))
def test_no_address_is_an_answer_too(client: bytes) -> None:
    assert Networks(("10.0.0.0/8",), ()).holds(client) in (True, False)


def test_a_long_list_costs_what_a_short_one_does() -> None:
    """Structurally: a look-up asks once for each length of a prefix."""
    many = tuple(f"10.{number >> 8}.{number & 255}.0/24" for number in range(20_000) if number >> 8 < 256)
    found = Networks(many, ())
    assert [len(rules) for rules in found._rules.values()] == [1, 0]
    assert found.holds(b"10.3.7.9")
    assert not found.holds(b"11.3.7.9")


def test_a_flood_of_clients_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 10)
    found = Networks(("10.0.0.0/8",), ())
    for number in range(95):
        assert found.holds(b"10.0.0.%d" % number)
    assert len(found._known) <= 10


def test_routes_share_a_list() -> None:
    assert networks(("10.0.0.0/8",), ()) is networks(("10.0.0.0/8",), ())


# -- in a worker --------------------------------------------------------------------------------------------------------------


async def test_a_client_that_may_not_come_in(edge: Edge) -> None:
    backend = await edge.backend()
    await edge.start(
        f"""
        [sites."*"]
        proxy = "{backend.address}"
        deny = "127.0.0.0/8"
        [[sites."*".routes]]
        path = "/open/"
        respond = "come in"
        deny = []
        allow = "all"
        """
    )
    client = await edge.client()
    answer = await client.ask("/", "Accept: text/html")
    assert (answer.status, answer.get("content-type")) == (403, "text/html; charset=utf-8")
    assert (await client.ask("/", method="HEAD")).status == 403
    assert (await client.ask("/", method="POST", body=b"x" * 100)).status == 403
    assert (await client.ask("/open/")).body == b"come in"
    assert backend.requests == []
    old = await edge.client()
    assert (await old.ask(version="1.0")).status == 403


@pytest.mark.parametrize(
    ("forwarded", "status"), [("9.9.9.9", 200), ("8.8.8.8", 403), ("9.9.9.9, 8.8.8.8", 403), ("", 403), ("x", 403)]
)
async def test_behind_a_trusted_proxy_the_visitor_counts(edge: Edge, forwarded: str, status: int) -> None:
    await edge.start('[sites."*"]\nrespond = "x"\nallow = "9.9.9.9"\n', trusted_proxies=["127.0.0.1"])
    client = await edge.client()
    assert (await client.ask("/", *([f"X-Forwarded-For: {forwarded}"] if forwarded else []))).status == status


async def test_nobody_else_is_believed(edge: Edge) -> None:
    await edge.start('[sites."*"]\nrespond = "x"\nallow = "9.9.9.9"\n')
    client = await edge.client()
    for line in ("X-Forwarded-For: 9.9.9.9", "X-Real-IP: 9.9.9.9", "Forwarded: for=9.9.9.9"):
        assert (await client.ask("/", line)).status == 403


async def test_a_body_is_not_asked_for_before_the_decision(edge: Edge) -> None:
    backend = await edge.backend()
    await edge.start(f'[sites."*"]\nproxy = "{backend.address}"\nallow = "9.9.9.9"\n')
    client = await edge.client()
    client.send(get("/", "Content-Length: 5", "Expect: 100-continue", method="POST"))
    answer = await client.head()
    assert (answer.status, answer.get("connection")) == (403, "close")
    assert backend.requests == []
