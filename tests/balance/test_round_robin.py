"""Smooth weighted round robin: nginx's sequences, and an independent slow model of its arithmetic."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([5, 1, 1], "aabacaa"),
        ([1], "aaaa"),
        ([1, 1], "abab"),
        ([1, 1, 1], "abcabc"),
        ([2, 1], "abaaba"),
        ([3, 1], "aabaaaba"),
        ([1, 3], "babbbabb"),
        ([3, 2, 1], "abacba"),
        ([4, 3, 2], "abcabacba"),
    ],
)
def test_golden_sequences(scene, weights, expected):
    assert scene(*({"weight": weight} for weight in weights)).row(len(expected)) == expected


def test_first_wins_a_tie(scene):
    assert scene({}, {}, {}).row(1) == "a"


def test_down_server_is_skipped_and_the_rest_keep_their_shares(scene):
    assert scene({"weight": 2}, {"down": True, "weight": 7}, {}).row(6) == "acaaca"


def test_tried_servers_are_skipped(scene):
    s = scene({}, {}, {})
    assert s.row(3, tried=[s.servers[0]]) == "bcb"
    assert s.pick(tried=s.servers) is None


def test_failure_costs_weight_and_each_round_gives_one_back(scene):
    s = scene({"weight": 5, "max_fails": 2}, {"weight": 5, "max_fails": 2})
    a, b = s.servers
    s.fail(a)
    assert a.effective == 5 - 5 // 2
    seen = []
    for _ in range(3):
        s.pick()
        seen.append((a.effective, b.effective))
    assert seen == [(4, 5), (5, 5), (5, 5)]


def test_effective_weight_never_falls_below_zero(scene):
    s = scene({"weight": 2, "max_fails": 2}, {})
    for _ in range(5):
        s.fail(s.servers[0])
    assert s.servers[0].effective == 0


def test_advance_equals_so_many_picks(scene):
    first, second = (scene({"weight": 5}, {"weight": 3}, {"weight": 1}) for _ in range(2))
    first.row(4)
    second.upstream.policy.advance(4)
    assert [server.current for server in first.servers] == [server.current for server in second.servers]


class Model:
    """nginx's rules written slowly, with fractions and dictionaries, from the prose of its documentation."""

    def __init__(self, servers):
        self.servers = [
            {"weight": weight, "effective": weight, "max_fails": max_fails, "backup": backup, "current": Fraction(0), "fails": 0}
            for weight, max_fails, backup in servers
        ]
        self.pause = 10 * SECOND

    def usable(self, peer, now):
        if len(self.servers) == 1 or not peer["max_fails"] or peer["fails"] < peer["max_fails"]:
            return True
        return now - peer["checked"] >= self.pause

    def pick(self, now, tried):
        for tier in (False, True):
            rivals = [i for i, p in enumerate(self.servers) if p["backup"] == tier and i not in tried and self.usable(p, now)]
            if not rivals:
                continue
            total = sum(self.servers[i]["effective"] for i in rivals)
            for i in rivals:
                peer = self.servers[i]
                peer["current"] += peer["effective"]
                peer["effective"] = min(peer["weight"], peer["effective"] + 1)
            top = max(self.servers[i]["current"] for i in rivals)
            winner = next(i for i in rivals if self.servers[i]["current"] == top)
            self.servers[winner]["current"] -= total
            peer = self.servers[winner]
            if peer["fails"] and now - peer["checked"] >= self.pause:
                peer["checked"] = now
            return winner
        return None

    def failed(self, i, now):
        peer = self.servers[i]
        if len(self.servers) == 1 or not peer["max_fails"]:
            return
        peer["fails"] += 1
        peer["accessed"] = peer["checked"] = now
        peer["effective"] = max(0, peer["effective"] - peer["weight"] // peer["max_fails"])

    def answered(self, i):
        peer = self.servers[i]
        if peer["fails"] and peer["accessed"] < peer["checked"]:
            peer["fails"] = 0


SERVERS = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3), st.booleans()), min_size=1, max_size=5).filter(
    lambda servers: not servers[0][2]
)
STEPS = st.lists(st.tuples(st.sampled_from([0, 1, 4, 6, 13]), st.lists(st.booleans(), min_size=1, max_size=3)), max_size=60)


@settings(max_examples=150, deadline=None)
@given(servers=SERVERS, steps=STEPS)
def test_equals_the_model_under_failures(new_scene, servers, steps):
    """One worker; each request tries servers until one answers. The pause is never met to the nanosecond."""
    s = new_scene([{"weight": w, "max_fails": m, "backup": k} for w, m, k in servers])
    try:
        model = Model(servers)
        for seconds, outcomes in steps:
            s.pass_time(seconds + 0.001)
            tried = []
            for good in outcomes:
                picked = s.pick(tried=tried)
                expected = model.pick(s.now, [server.index for server in tried])
                assert (picked.index if picked else None) == expected
                if picked is None:
                    break
                s.pass_time(0.001)
                if good:
                    s.answer(picked)
                    model.answered(picked.index)
                    break
                s.fail(picked)
                model.failed(picked.index, s.now)
                tried.append(picked)
            assert [server.effective for server in s.servers] == [peer["effective"] for peer in model.servers]
    finally:
        s.close()
