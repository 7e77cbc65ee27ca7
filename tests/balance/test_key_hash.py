"""hash and hash … consistent: nginx's arithmetic, movement of keys, distribution."""

from __future__ import annotations

from collections import Counter
from zlib import crc32

import pytest

from gapura.balance.key_hash import ring_points
from gapura.board import PORT, READY, STATE, STOPPED

KEYS = [b"/film/%d" % number for number in range(3000)]


def places(s, keys=KEYS):
    return [s.pick(key).id for key in keys]


@pytest.mark.parametrize("key", [b"a", b"/index.html", b"\xff\x00", b"x" * 300])
def test_plain_is_the_upper_half_of_crc32(scene, key):
    s = scene({}, {"weight": 2}, policy="hash")
    assert s.pick(key).id == ("a:1" if (crc32(key) >> 16 & 0x7FFF) % 3 < 1 else "b:1")


def test_plain_puts_the_attempt_before_the_key_and_adds_up(scene):
    s = scene({}, {}, {}, policy="hash")
    for key in KEYS[:100]:
        tried = [s.pick(key)]
        value, attempt = crc32(key) >> 16 & 0x7FFF, 0
        while value % 3 == tried[0].index and attempt < 30:
            attempt += 1
            value += crc32(str(attempt).encode() + key) >> 16 & 0x7FFF
        assert s.pick(key, tried).index == value % 3


@pytest.mark.parametrize("consistent", [False, True])
def test_an_empty_key_means_round_robin(scene, consistent):
    assert scene({}, {}, policy="hash", consistent=consistent).row(4) == "abab"


@pytest.mark.parametrize("consistent", [False, True])
def test_keys_stay_when_another_server_is_down(scene, consistent):
    s = scene({}, {}, {}, policy="hash", consistent=consistent)
    before = places(s)
    s.put(1, STATE, STOPPED)
    during = places(s)
    assert all(is_ == was for was, is_ in zip(before, during, strict=True) if was != "b:1")
    assert "b:1" not in during
    s.put(1, STATE, READY)
    assert places(s) == before


@pytest.mark.parametrize("consistent", [False, True])
def test_shares_follow_the_weights(scene, consistent):
    s = scene({"weight": 2}, {}, {}, policy="hash", consistent=consistent)
    shares = Counter(places(s))
    assert 0.43 < shares["a:1"] / len(KEYS) < 0.57
    assert 0.18 < shares["b:1"] / len(KEYS) < 0.32


def test_removing_one_of_five_moves_only_its_keys(scene):
    names = [{"id": f"10.0.0.{number}:80"} for number in range(1, 6)]
    five = places(scene(*names, policy="hash", consistent=True))
    four = places(scene(*names[:2], *names[3:], policy="hash", consistent=True))
    moved = [was for was, is_ in zip(five, four, strict=True) if was != is_]
    assert set(moved) == {"10.0.0.3:80"}
    assert 0.14 < len(moved) / len(KEYS) < 0.27


def test_the_order_in_the_file_does_not_matter_to_the_ring(scene):
    names = [{"id": f"10.0.0.{number}:80"} for number in range(1, 6)]
    assert places(scene(*names, policy="hash", consistent=True)) == places(scene(*names[::-1], policy="hash", consistent=True))


@pytest.mark.parametrize("consistent", [False, True])
def test_an_instance_keeps_its_keys_when_its_port_and_slot_change(scene, consistent):
    s = scene({"id": "app:0"}, {"id": "app:1"}, slots_each=2, policy="hash", consistent=consistent)
    before = places(s)
    s.put(0, STATE, STOPPED)
    s.put(1, STATE, READY)
    s.put(1, PORT, 45001)
    assert places(s) == before
    assert s.servers[0].slot == s.board.slot(1)


def test_ring_points_are_chained_crc32_of_host_nul_port():
    first = crc32(b"10.0.0.1\x0080" + bytes(4))
    second = crc32(b"10.0.0.1\x0080" + first.to_bytes(4, "little"))
    assert ring_points(b"10.0.0.1:80", 1)[:2] == [first, second]
    assert ring_points(b"[::1]:80", 1)[0] == crc32(b"[::1]\x0080" + bytes(4))
    assert ring_points(b"unix:/run/x.sock", 1)[0] == crc32(b"/run/x.sock\x00" + bytes(4))
    assert len(ring_points(b"10.0.0.1:80", 3)) == 480


def test_consistent_walks_to_the_next_point(scene):
    s = scene({}, {}, {}, policy="hash", consistent=True)
    ring = sorted((point, server.id) for server in s.servers for point in ring_points(server.id_bytes, 1))
    for key in KEYS[:300]:
        clockwise = [name for point, name in ring if point >= crc32(key)] + [name for _, name in ring]
        first = s.pick(key)
        assert first.id == clockwise[0]
        following = next((name for name in clockwise[:21] if name != first.id), None)
        if following:
            assert s.pick(key, [first]).id == following


@pytest.mark.parametrize("consistent", [False, True])
def test_nobody_left_and_single(scene, consistent):
    assert scene({"down": True}, {"down": True}, policy="hash", consistent=consistent).pick(b"key") is None
    assert scene({}, policy="hash", consistent=consistent).row(2, key=b"key") == "aa"
    assert scene(policy="hash", consistent=consistent).pick(b"key") is None
