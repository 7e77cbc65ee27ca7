"""A server as a worker sees it: eligible, where, and why not."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapura.balance.server import Server
from gapura.board import (
    ADMIN,
    BACKOFF,
    CRASHED,
    DISABLED,
    DOWN_AT,
    DRAINING,
    ERRORS,
    HEALTH,
    HIT_AT,
    PORT,
    READY,
    READY_AT,
    RETURNS_AT,
    SINCE,
    STARTING,
    STATE,
    STOPPED,
    UNHEALTHY,
)

SECOND = 1_000_000_000


def test_the_cells_read_at_once_lie_side_by_side():
    assert tuple(range(STATE, STATE + 4)) == (STATE, ADMIN, HEALTH, DOWN_AT)
    assert struct.calcsize("@4Q") == 32


CELLS = st.fixed_dictionaries(
    {
        STATE: st.integers(0, 6),
        ADMIN: st.integers(0, 2),
        HEALTH: st.integers(0, 1),
        DOWN_AT: st.sampled_from([0, 980, 995, 1000]).map(lambda second: second * SECOND),
        READY_AT: st.sampled_from([0, 900, 996]).map(lambda second: second * SECOND),
        HIT_AT: st.sampled_from([0, 999]).map(lambda second: second * SECOND),
    }
)


@settings(max_examples=300, deadline=None)
@given(first=CELLS, second=CELLS, down=st.booleans(), max_conns=st.integers(0, 2), claimed=st.integers(0, 2))
def test_eligible_is_condition_up_is_no_reason_why_not(new_scene, first, second, down, max_conns, claimed):
    s = new_scene([{"id": "app:0", "down": down, "max_conns": max_conns}], slots_each=2)
    try:
        for _ in range(claimed):
            s.upstream.claim(s.now)
        for slot, cells in enumerate((first, second)):
            for cell, value in cells.items():
                s.put(slot, cell, value)
        server = Server(s.plan["servers"][0], s.board)
        eligible = server.eligible(s.now)
        assert eligible == (server.condition(s.now) == "up") == (server.why_not(s.now) == "")
        if eligible:
            state, admin, health = (s.cells[server.slot + cell] for cell in (STATE, ADMIN, HEALTH))
            assert (state, admin, health) == (READY, 0, 0)
            assert server.may_return(s.now, 0)
    finally:
        s.close()


def test_an_instance_moves_to_the_slot_of_its_new_process(scene):
    s = scene({"id": "app:0"}, slots_each=2)
    server = s.servers[0]
    s.put(0, PORT, 3000)
    assert server.eligible(s.now)
    assert (server.port_now(), server.address) == (3000, "127.0.0.1:3000")
    s.put(1, STATE, READY)
    s.put(1, PORT, 3007)
    assert server.eligible(s.now)
    assert server.port_now() == 3000, "the old process goes on as long as it may"
    s.put(0, ADMIN, DRAINING)
    assert server.eligible(s.now)
    assert (server.port_now(), server.address) == (3007, "127.0.0.1:3007")
    s.put(1, STATE, CRASHED)
    assert not server.eligible(s.now)


@pytest.mark.parametrize(
    ("settings", "address", "port"),
    [
        ({"id": "10.0.0.1:80"}, "10.0.0.1:80", 80),
        ({"id": "[::1]:3000"}, "[::1]:3000", 3000),
        ({"id": "a:0", "host": "", "port": 0, "path": "/run/x.sock"}, "unix:/run/x.sock", 0),
    ],
)
def test_addresses_as_people_write_them(scene, settings, address, port):
    server = scene(settings).servers[0]
    assert (server.address, server.port_now()) == (address, port)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({}, ""),
        ({STATE: STARTING}, "it is starting"),
        ({STATE: STOPPED}, "it is stopped"),
        ({STATE: CRASHED}, "it crashed too often and was given up"),
        ({STATE: 0}, "it is not running"),
        ({ADMIN: DRAINING}, "it is draining"),
        ({ADMIN: DISABLED}, "it was disabled by a command"),
        ({HEALTH: UNHEALTHY}, "it does not answer health checks"),
        ({STATE: BACKOFF, RETURNS_AT: 1001.5}, "it ended unexpectedly and is started again in 1.5 s"),
        ({STATE: BACKOFF, RETURNS_AT: 999}, "it ended unexpectedly and is started again in 0.0 s"),
        ({DOWN_AT: 998.0}, "it failed (0 failures so far) and is tried again in 8.0 s"),
    ],
)
def test_why_not_in_plain_words(scene, cells, words):
    s = scene({}, {})
    for cell, value in cells.items():
        s.put(0, cell, int(value * SECOND) if value > 900 else value)
    assert s.servers[0].why_not(s.now) == words


def test_why_not_names_limits_and_failures(scene):
    s = scene({"max_conns": 1, "down": False}, {"down": True})
    s.upstream.claim(s.now)
    assert s.servers[0].why_not(s.now) == "it has as many connections as max_conns = 1 allows"
    assert s.servers[1].why_not(s.now) == "the configuration marks it as down"
    t = scene({}, {})
    t.put(0, DOWN_AT, t.now)
    t.cells[t.board.column(t.board.slot(0), ERRORS, 0)] = 7
    assert "7 failures" in t.servers[0].why_not(t.now)


@pytest.mark.parametrize(("state", "expected"), [(STARTING, True), (STOPPED, True), (BACKOFF, True), (READY, False)])
def test_left_at_is_when_the_state_changed(scene, state, expected):
    s = scene({"id": "app:0"}, slots_each=2)
    s.put(0, STATE, state)
    s.put(0, SINCE, s.now - 5 * SECOND)
    assert s.servers[0].left_at(s.now) == (s.now - 5 * SECOND if expected else 0)


def test_a_server_without_a_slot_is_refused(scene):
    s = scene({})
    plan = s.plan["servers"][0].copy()
    plan["slots"] = []
    with pytest.raises(ValueError, match="a:1 has no slot"):
        Server(plan, s.board)
