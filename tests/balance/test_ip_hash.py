"""ip_hash against nginx's arithmetic, done by hand."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from gapura.board import STATE, STOPPED


def nginx_value(data, rounds=1):
    value = 89
    for _ in range(rounds):
        for byte in data:
            value = (value * 113 + byte) % 6271
    return value


@pytest.mark.parametrize("client", ["10.0.0.1", "192.168.239.7", "127.0.0.1", "255.255.255.255", "8.8.8.8"])
def test_first_three_bytes_of_ipv4(scene, client):
    s = scene({}, {}, {}, policy="ip_hash")
    packed = ip_address(client).packed
    assert s.pick(packed).index == nginx_value(packed[:3]) % 3


@pytest.mark.parametrize("client", ["::1", "2001:db8::7", "fe80::1:2:3:4"])
def test_all_bytes_of_ipv6(scene, client):
    s = scene({}, {}, {}, policy="ip_hash")
    packed = ip_address(client).packed
    assert s.pick(packed).index == nginx_value(packed) % 3


def test_a_client_without_address_hashes_zeros(scene):
    s = scene({}, {}, {}, policy="ip_hash")
    assert s.pick(b"").index == nginx_value(b"\0\0\0") % 3


def test_one_network_goes_together_and_stays(scene):
    s = scene({}, {}, {}, policy="ip_hash")
    picked = {s.pick(bytes([192, 168, 7, host])).id for host in range(256) for _ in range(2)}
    assert len(picked) == 1


def test_weight_takes_that_many_places(scene):
    s = scene({"weight": 3}, {"weight": 2}, policy="ip_hash")
    for third in range(200):
        packed = bytes([10, 0, third, 1])
        assert s.pick(packed).id == ("a:1" if nginx_value(packed[:3]) % 5 < 3 else "b:1")


def test_clients_of_a_stopped_server_hash_on_and_others_stay(scene):
    s = scene({}, {}, {}, policy="ip_hash")
    clients = [bytes([10, 0, third, 1]) for third in range(256)]
    before = [s.pick(client).index for client in clients]
    s.put(1, STATE, STOPPED)
    for client, was in zip(clients, before, strict=True):
        now = s.pick(client).index
        if was != 1:
            assert now == was
        else:
            rounds = next(n for n in range(2, 22) if nginx_value(client[:3], n) % 3 != 1)
            assert now == nginx_value(client[:3], rounds) % 3


def test_a_retry_goes_where_the_hash_leads_next(scene):
    s = scene({}, {}, {}, policy="ip_hash")
    client = bytes([10, 1, 2, 3])
    first = s.pick(client)
    rounds = next(n for n in range(2, 22) if nginx_value(client[:3], n) % 3 != first.index)
    assert s.pick(client, tried=[first]).index == nginx_value(client[:3], rounds) % 3


def test_round_robin_after_twenty_misses(scene):
    """With weights 1 : 5000 the small server is practically never hit, so only the fallback finds it."""
    s = scene({}, {"weight": 5000, "down": True}, policy="ip_hash")
    assert {s.row(1, key=bytes([10, third, 0, 1])) for third in range(64)} == {"a"}


def test_nobody_left(scene):
    s = scene({"down": True}, {"down": True}, policy="ip_hash")
    assert s.pick(b"\x7f\0\0\1") is None


def test_single_server(scene):
    assert scene({}, policy="ip_hash").row(3, key=b"\x7f\0\0\1") == "aaa"
