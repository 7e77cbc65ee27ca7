"""Sticky: the cookie's server as long as it is eligible; its value tells nothing and is the same everywhere."""

from __future__ import annotations

from gapura.balance.sticky import cookie_values
from gapura.board import ADMIN, DISABLED, HEALTH, UNHEALTHY

COOKIE = {"name": "c", "max_age": None, "secure": None, "same_site": "Lax"}


def sticky(scene, *servers, secret="s" * 16, **more):
    return scene(*servers, sticky={"cookie": COOKIE, "secret": secret}, **more)


def test_the_cookie_decides(scene):
    s = sticky(scene, {}, {}, {})
    value = s.upstream.cookies["b:1"]
    assert s.row(5, key=value) == "bbbbb"


def test_unknown_and_forged_values_are_as_none(scene):
    s = sticky(scene, {}, {})
    assert [s.row(2, key=value) for value in (b"", b"b:1", b"x" * 8192, b"\xff\0")] == ["ab"] * 4


def test_visitors_with_a_cookie_do_not_disturb_the_rotation(scene):
    s = sticky(scene, {"weight": 5}, {}, {})
    value = s.upstream.cookies["c:1"]
    row = ""
    for _ in range(7):
        row += s.row(1)
        assert s.row(2, key=value) == "cc"
    assert row == "aabacaa"


def test_another_one_when_it_cannot(scene):
    s = sticky(scene, {}, {}, {})
    value = s.upstream.cookies["b:1"]
    s.put(1, HEALTH, UNHEALTHY)
    assert "b" not in s.row(4, key=value)
    s.put(1, HEALTH, 0)
    assert s.row(1, key=value) == "b"
    s.put(1, ADMIN, DISABLED)
    assert "b" not in s.row(4, key=value)


def test_not_again_to_a_server_that_was_tried(scene):
    s = sticky(scene, {}, {})
    value = s.upstream.cookies["b:1"]
    assert s.pick(value, [s.servers[1]]).id == "a:1"


def test_a_backup_is_left_when_a_primary_is_there(scene):
    s = sticky(scene, {}, {"backup": True})
    value = s.upstream.cookies["b:1"]
    assert s.row(2, key=value) == "aa"
    s.put(0, HEALTH, UNHEALTHY)
    assert s.row(2, key=value) == "bb"


def test_values_are_the_same_in_all_workers_and_after_a_reload(scene):
    s = sticky(scene, {}, {}, secret="")
    assert s.worker(1).cookies == s.worker(0, s.upstream).cookies == s.upstream.cookies


def test_values_tell_nothing(scene):
    s = sticky(scene, {}, {})
    one = cookie_values("u", s.servers, "one secret of many")
    other = cookie_values("u", s.servers, "another of as many")
    assert not set(one.values()) & set(other.values())
    assert set(cookie_values("v", s.servers, "one secret of many").values()).isdisjoint(one.values())
    assert all(len(value) == 16 and value.isascii() for value in one.values())
