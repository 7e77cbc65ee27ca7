"""What commands have said of single servers, beside what the file says."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapura.config import overrides
from gapura.config.change import written_servers
from gapura.config.overrides import AddedServer, Overrides, applied
from gapura.config.plan import Plan, expand
from gapura.errors import CommandError


def server(label: str, **words: Any) -> dict[str, Any]:
    host, _, port = label.rpartition(":")
    plain = {
        "id": label,
        "host": host,
        "port": int(port),
        "path": "",
        "name": "",
        "weight": 1,
        "max_fails": 1,
        "fail_timeout": 10.0,
    }
    return {**plain, "max_conns": 0, "slow_start": None, "backup": False, "down": False, "slots": [], **words}


def upstream(name: str, *servers: dict[str, Any], **words: Any) -> dict[str, Any]:
    return {"name": name, "app": False, "policy": "round_robin", "servers": list(servers), "names": [], "defaults": None, **words}


def named(label: str, *addresses: str, **words: Any) -> dict[str, Any]:
    """An upstream with one DNS name that has these addresses."""
    host, _, port = label.rpartition(":")
    template = server(label, name=label, **words)
    plan: Any = upstream("api", {**template, "host": ""}, names=[{"host": host, "port": int(port), "server": template}])
    plan["servers"] = expand(plan, host, int(port), list(addresses))
    return plan  # type: ignore[no-any-return]


def plan_of(*upstreams: dict[str, Any]) -> Plan:
    plan: Any = {"upstreams": {item["name"]: item for item in upstreams}, "sites": [], "apps": {}}
    return plan  # type: ignore[no-any-return]


def added(label: str, **words: Any) -> AddedServer:
    host, _, port = label.rpartition(":")
    plain: dict[str, Any] = {
        "id": label,
        "host": host,
        "port": int(port),
        "path": "",
        "named": not host[0].isdigit(),
        "weight": 1,
        "backup": False,
    }
    whole: Any = {**plain, "max_fails": None, "fail_timeout": None, "max_conns": None, "addresses": [], **words}
    return whole  # type: ignore[no-any-return]


A, B, C = "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"


def shares(plan: Plan, name: str = "api") -> dict[str, int]:
    return {item["id"]: item["weight"] for item in plan["upstreams"][name]["servers"]}


def test_without_a_word_the_plan_is_the_file_s() -> None:
    plan = plan_of(upstream("api", server(A)))
    assert applied(plan, {}) == (plan, {}, [])
    assert applied(plan, {}).plan is plan


def test_added_weighed_and_removed() -> None:
    plan = plan_of(upstream("api", server(A), server(B)), upstream("other", server(A)))
    said = overrides.add(plan, {}, "api", added(C, weight=2, max_conns=5))
    said = overrides.weigh(plan, said, "api", A, 3)
    said = overrides.remove(plan, said, "api", B, force=False)
    result = applied(plan, said)
    assert shares(result.plan) == {A: 3, C: 2}
    assert result.plan["upstreams"]["api"]["servers"][1]["max_conns"] == 5
    assert shares(result.plan, "other") == {A: 1}
    assert shares(plan) == {A: 1, B: 1}, "the file's plan is left alone"
    assert (result.overrides, result.dropped) == (said, [])
    assert overrides.sentences(said) == [
        f"upstream api: server {C} added by a command",
        f"upstream api: server {B} removed by a command",
        f"upstream api: server {A} has weight 3 by a command, the file says 1",
    ]
    marks = {item["id"]: overrides.origin(said, "api", item) for item in result.plan["upstreams"]["api"]["servers"]}
    assert marks == {A: {"added": False, "file_weight": 1}, C: {"added": True, "file_weight": None}}
    assert overrides.origin(said, "other", plan["upstreams"]["other"]["servers"][0]) == {"added": False, "file_weight": None}


def test_a_server_gets_what_its_upstream_says() -> None:
    defaults = {"max_fails": 3, "fail_timeout": 5.0, "max_conns": 7, "slow_start": 2.0}
    plan = plan_of(upstream("api", server(A), defaults=defaults))
    made = applied(plan, overrides.add(plan, {}, "api", added(B, max_fails=0))).plan["upstreams"]["api"]["servers"][1]
    assert (made["max_fails"], made["fail_timeout"], made["max_conns"], made["slow_start"]) == (0, 5.0, 7, 2.0)


def test_the_file_s_own_weight_ends_what_was_said() -> None:
    plan = plan_of(upstream("api", server(A, weight=2), server(B)))
    said = overrides.weigh(plan, {}, "api", A, 5)
    assert overrides.weigh(plan, said, "api", A, 2) == {}


def test_the_weight_and_the_end_of_an_added_one() -> None:
    plan = plan_of(upstream("api", server(A)))
    said = overrides.weigh(plan, overrides.add(plan, {}, "api", added(B)), "api", B, 4)
    assert shares(applied(plan, said).plan) == {A: 1, B: 4}
    assert overrides.remove(plan, said, "api", B, force=False) == {}


def test_a_removed_one_comes_back() -> None:
    plan = plan_of(upstream("api", server(A, max_fails=2), server(B)))
    gone = overrides.remove(plan, {}, "api", A, force=False)
    assert overrides.reset(plan, gone, "api", "", force=False) == {}
    assert overrides.reset(plan, gone, "api", A, force=False) == {}
    assert overrides.add(plan, gone, "api", added(A)) == {}, "adding it says the same"
    assert shares(applied(plan, overrides.add(plan, gone, "api", added(A, weight=3, max_fails=2))).plan) == {A: 3, B: 1}
    with pytest.raises(CommandError, match="with other words"):
        overrides.add(plan, gone, "api", added(A, max_fails=9))


def test_what_is_said_of_a_name_holds_for_all_its_addresses() -> None:
    plan = plan_of(named("db.internal:80", "10.1.0.1", "10.1.0.2"))
    said = overrides.weigh(plan, {}, "api", "db.internal:80", 4)
    changed = applied(plan, said).plan
    assert shares(changed) == {"10.1.0.1:80": 4, "10.1.0.2:80": 4}
    assert [name["server"]["weight"] for name in changed["upstreams"]["api"]["names"]] == [4]
    said = overrides.remove(plan, {}, "api", "db.internal:80", force=True)
    gone = applied(plan, said).plan["upstreams"]["api"]
    assert (gone["servers"], gone["names"]) == ([], [])


def test_a_name_that_is_added_has_the_addresses_that_it_had_last() -> None:
    plan = plan_of(upstream("api", server(A)))
    said = overrides.add(plan, {}, "api", added("db.internal:80", addresses=["10.1.0.1"], weight=2))
    assert shares(applied(plan, said).plan) == {A: 1, "10.1.0.1:80": 2}
    said = overrides.resolved(said, "api", "db.internal:80", ["10.0.0.1", "10.1.0.9"])
    assert shares(applied(plan, said).plan) == {A: 1, "10.1.0.9:80": 2}, "what is written stands before what a name means"
    assert len(applied(plan, said).plan["upstreams"]["api"]["names"]) == 1


# -- the file says something new ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "then", "shown", "dropped"),
    [
        (("add", C), [server(A), server(C, weight=9)], {A: 1, C: 9}, f"the file has {C} itself now"),
        (("weigh", A), [server(A, weight=4), server(B)], {A: 4, B: 1}, f"the file says weight 4 for {A} now: the 7 said before"),
        (("weigh", A), [server(B)], {B: 1}, f"{A} has left the file: its weight of 7 is forgotten"),
        (("remove", A), [server(B)], {B: 1}, f"{A}, which was removed, has left the file too"),
        (("remove", A), [server(A)], {A: 1}, f"{A} is back: without it no server would be left"),
    ],
)
def test_the_file_wins_and_it_is_said_once(said: tuple[str, str], then: list[Any], shown: dict[str, int], dropped: str) -> None:
    plan = plan_of(upstream("api", server(A), server(B)))
    verb, label = said
    if verb == "add":
        held = overrides.add(plan, {}, "api", added(label))
    elif verb == "weigh":
        held = overrides.weigh(plan, {}, "api", label, 7)
    else:
        held = overrides.remove(plan, {}, "api", label, force=False)
    later = plan_of(upstream("api", *then))
    result = applied(later, held)
    assert shares(result.plan) == shown
    assert len(result.dropped) == 1
    assert dropped in result.dropped[0]
    assert result.overrides == {}
    assert applied(later, result.overrides).dropped == []


@pytest.mark.parametrize("later", [plan_of(), plan_of(upstream("api", server(A), app=True))])
def test_an_upstream_that_leaves_the_file_takes_all_with_it(later: Plan) -> None:
    plan = plan_of(upstream("api", server(A)))
    result = applied(later, overrides.add(plan, {}, "api", added(B)))
    assert (result.plan, result.overrides) == (later, {})
    assert result.dropped == ["upstream api has left the file: what commands said of its servers is forgotten"]


def test_the_last_one_stays_away_if_that_was_meant() -> None:
    plan = plan_of(upstream("api", server(A), server(B)))
    said = overrides.remove(plan, overrides.remove(plan, {}, "api", A, force=False), "api", B, force=True)
    result = applied(plan, said)
    assert (shares(result.plan), result.dropped) == ({}, [])


# -- bad inputs -----------------------------------------------------------------------------------------------------------------

STAND = plan_of(
    upstream("api", server(A), server(B, backup=True), server(C, down=True)),
    upstream("web", server("127.0.0.1:0"), app=True),
    upstream("gapura:dashboard", server("127.0.0.1:1")),
    {**named("db.internal:80", "10.1.0.1"), "name": "db"},
)


@pytest.mark.parametrize(
    ("verb", "words", "error", "hint", "code"),
    [
        ("add", ("nope", added(A)), "there is no upstream nope", "Upstreams of this configuration: api, db.", "missing"),
        ("add", ("gapura:dashboard", added(A)), "there is no upstream gapura:dashboard", "", "missing"),
        ("add", ("web", added(A)), "web is an app: its servers are its instances", "`gapura scale web N`", ""),
        ("add", ("api", added(A)), f"api has {A} already", f"`gapura server weight api {A} N`", ""),
        ("add", ("db", added("10.1.0.1:80")), "db has 10.1.0.1:80 already", "one of the addresses of db.internal:80", ""),
        ("weigh", ("api", "x:1", 2), "api has no server x:1", f"Its servers: {A}, {B}, {C}.", "missing"),
        ("weigh", ("api", A, 0), "a weight of 0 is none", f"`gapura drain api {A}`", ""),
        ("weigh", ("api", A, -1), "weight must be from 1 to 10000", "", ""),
        ("weigh", ("api", A, 10001), "weight must be from 1 to 10000", "", ""),
        ("weigh", ("web", "web:0", 2), "web is an app", "they share alike", ""),
        (
            "weigh",
            ("db", "10.1.0.1:80", 2),
            "10.1.0.1:80 is one of the addresses of db.internal:80",
            "say it of db.internal:80",
            "missing",
        ),
        ("remove", ("api", A, False), "no server of api would be left that serves", "--force", ""),
        ("remove", ("api", "", True), "api has no server ", "", "missing"),
        ("remove", ("web", "web:0", True), "web is an app", "", ""),
        ("reset", ("nope", "", False), "there is no upstream nope", "", "missing"),
        ("reset", ("api", "x:1", False), "api has no server x:1", "", "missing"),
    ],
)
def test_what_makes_no_sense_is_refused(verb: str, words: tuple[Any, ...], error: str, hint: str, code: str) -> None:
    with pytest.raises(CommandError) as caught:
        getattr(overrides, verb)(STAND, {}, *words)
    assert error in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.code == code


def test_the_end_of_the_last_one_that_was_added() -> None:
    plan = plan_of(upstream("api", server(A)))
    said = overrides.remove(plan, overrides.add(plan, {}, "api", added(B)), "api", A, force=False)
    for change in (overrides.remove, overrides.reset):
        with pytest.raises(CommandError, match="would be left"):
            change(plan, said, "api", B, False)
    with pytest.raises(CommandError, match="was removed from api"):
        overrides.weigh(plan, said, "api", A, 2)


WHOLE: Overrides = {
    "api": {"added": [added(C, fail_timeout=1.5, max_fails=2, addresses=["::1"])], "removed": {A: True}, "weights": {B: [2, 1]}}
}


def test_it_is_understood_as_it_was_written() -> None:
    assert overrides.understood(json.loads(json.dumps(WHOLE))) == WHOLE


def broken(change: str, value: object) -> Any:
    document: Any = copy.deepcopy(WHOLE)
    entry = document["api"]
    if change in entry:
        entry[change] = value
    else:
        entry["added"][0][change] = value
    return document


BAD_ADDED: tuple[Any, ...] = ({}, 1, [{}], ["x"])


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"api": 1},
        {"api": {"added": []}},
        *(broken("weights", value) for value in ({A: 3}, {A: [1]}, {A: ["1", 1]}, {A: [True, 1]}, 5)),
        *(broken("removed", value) for value in ([A], 1)),
        *(broken("added", value) for value in BAD_ADDED),
        *(broken(key, None) for key in ("id", "host", "port", "path", "weight", "addresses")),
        broken("fail_timeout", "soon"),
        broken("max_conns", 1.5),
    ],
)
def test_what_was_not_written_by_us_is_not_believed(document: object) -> None:
    if isinstance(document, dict) and document.get("api", 0) == broken("added", {})["api"]:
        assert overrides.understood(document)["api"]["added"] == []
        return
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        overrides.understood(document)


# -- whatever is said, and whatever the file becomes -----------------------------------------------------------------------------

LABELS = [f"10.0.0.{number}:80" for number in range(3)]
files = st.dictionaries(st.sampled_from(LABELS), st.integers(1, 3), min_size=1)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("file"), files),
        st.tuples(st.just("add"), st.sampled_from(LABELS), st.integers(1, 3)),
        st.tuples(st.just("weigh"), st.sampled_from(LABELS), st.integers(0, 3)),
        st.tuples(st.just("remove"), st.sampled_from(LABELS), st.booleans()),
        st.tuples(st.just("reset"), st.sampled_from(["", *LABELS]), st.booleans()),
    ),
    max_size=25,
)


class Model:
    """The same in the simplest words: the file's servers, and what was said of each."""

    def __init__(self, file: dict[str, int]) -> None:
        self.file = file
        self.added: dict[str, int] = {}
        self.removed: dict[str, bool] = {}
        self.weights: dict[str, tuple[int, int]] = {}

    def shown(self) -> dict[str, int]:
        held = {label: self.weights.get(label, (weight, 0))[0] for label, weight in self.file.items() if label not in self.removed}
        return held | self.added

    def reload(self, file: dict[str, int]) -> None:
        self.file = file
        self.added = {label: weight for label, weight in self.added.items() if label not in file}
        self.removed = {label: forced for label, forced in self.removed.items() if label in file}
        self.weights = {label: pair for label, pair in self.weights.items() if file.get(label) == pair[1]}
        if not self.shown() and not all(self.removed.values()):
            self.removed = {label: True for label, forced in self.removed.items() if forced}

    def say(self, verb: str, label: str, value: Any) -> None:
        if verb == "add":
            if label in self.removed:
                del self.removed[label]
                if value != self.file[label]:
                    self.weights[label] = (value, self.file[label])
            else:
                self.added[label] = value
        elif verb == "weigh":
            if label in self.added:
                self.added[label] = value
            elif value == self.file[label]:
                self.weights.pop(label, None)
            else:
                self.weights[label] = (value, self.file[label])
        elif verb == "remove" and label in self.file:
            self.removed[label] = value
            self.weights.pop(label, None)
            if value:
                self.removed = dict.fromkeys(self.removed, True)
        elif verb == "remove":
            del self.added[label]
            if value:
                self.removed = dict.fromkeys(self.removed, True)
        elif verb == "reset" and not label:
            self.added, self.removed, self.weights = {}, {}, {}
        else:
            for said in (self.added, self.removed, self.weights):
                said.pop(label, None)


@settings(max_examples=500, deadline=None)
@given(files, steps)
def test_the_plan_is_always_the_file_s_and_what_was_said(file: dict[str, int], said: list[Any]) -> None:
    def made(servers: dict[str, int]) -> Plan:
        return plan_of(upstream("api", *(server(label, weight=weight) for label, weight in servers.items())))

    model, plan, held = Model(file), made(file), Overrides()
    for verb, *words in said:
        if verb == "file":
            plan = made(words[0])
            held = applied(plan, held).overrides
            model.reload(words[0])
        else:
            label, value = words
            word = added(label, weight=value) if verb == "add" else label
            rest = () if verb == "add" else (value,)
            try:
                held = getattr(overrides, verb)(plan, held, "api", word, *rest)
            except CommandError:
                pass
            else:
                model.say(verb, label, value)
        result = applied(plan, held)
        assert shares(result.plan) == model.shown()
        assert (result.overrides, result.dropped) == (held, []), "what holds is what was left, and is told no more"
        assert overrides.understood(json.loads(json.dumps(held))) == held
        assert {item["id"] for item in result.plan["upstreams"]["api"]["servers"]} == set(
            written_servers(result.plan["upstreams"]["api"])
        )
