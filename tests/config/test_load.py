from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from gapura import board
from gapura.config import build, build_listeners, place, schema_edge
from gapura.config.load import examine, load
from gapura.config.plan import Plan
from gapura.errors import ConfigError, Problem

HERE = Path(__file__).parent
Configure = Callable[..., str]


def bad_inputs() -> list[Any]:
    """`bad_inputs.txt`: a name, the file, and the exact messages about it."""
    cases = []
    for part in re.split(r"^=== ", (HERE / "bad_inputs.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        name, _, rest = part.partition("\n")
        text, _, expected = rest.partition("---\n")
        cases.append(pytest.param(text, expected, id=name))
    return cases


def test_the_table_of_bad_inputs_is_long() -> None:
    assert len(bad_inputs()) >= 60


@pytest.mark.parametrize(("text", "expected"), bad_inputs())
def test_bad_input(configure: Configure, text: str, expected: str) -> None:
    file = configure(text)
    with pytest.raises(ConfigError) as caught:
        load(file)
    rendered = "".join(problem.render() + "\n" for problem in caught.value.problems)
    assert rendered.replace(os.path.dirname(file) + "/", "") == expected
    assert all(problem.line for problem in caught.value.problems)


@pytest.mark.parametrize("name", sorted(path.stem for path in (HERE / "plans").glob("*.toml")))
def test_golden_plan(configure: Configure, name: str) -> None:
    file = configure((HERE / "plans" / f"{name}.toml").read_text(encoding="utf-8"))
    plan = json.loads(json.dumps(load(file)).replace(os.path.dirname(file), "/folder"))
    assert asked_for(plan) == json.loads((HERE / "plans" / f"{name}.json").read_text(encoding="utf-8"))


def asked_for(value: object) -> object:
    """A plan without its nulls: what nobody asked for is not in the golden files."""
    if isinstance(value, dict):
        return {key: asked_for(item) for key, item in value.items() if item is not None}
    return [asked_for(item) for item in value] if isinstance(value, list) else value


def problems_of(file: str) -> list[tuple[str, int]]:
    with pytest.raises(ConfigError) as caught:
        load(file)
    return [(problem.message, problem.line) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("raw", "message", "line"),
    [
        (b'a = "\xff"\n', "a byte that is not UTF-8", 1),
        (b"a = 1\nb = 'x\0y'\n", "a control character", 2),
        (b"a = " + b"[" * 50_000, "brackets or keys are nested too deep", 0),
        (b"a = " + b"[" * 70_000, "the line has more than 65536 characters", 1),
        (b"a = " + b"{a=" * 20_000, "brackets or keys are nested too deep", 0),
        (b"a" + b".a" * 20_000 + b" = 1", "a name with more than 64 parts between dots", 1),
        (b"[edge]\nworkers = " + b"9" * 5000, "a number has too many digits", 2),
        (b"#" * (10 << 20), "is larger than 1 MiB: that is no configuration", 0),
        (b"\n#\n" * (10 << 18), "is larger than 1 MiB: that is no configuration", 0),
        (b"\xff\xfe[\0", "a byte that is not UTF-8", 1),
    ],
    ids=["utf8", "nul", "deep", "long line", "deep tables", "deep keys", "digits", "large", "large lines", "utf16"],
)
def test_hostile_file(tmp_path: Path, raw: bytes, message: str, line: int) -> None:
    file = tmp_path / "gapura.toml"
    file.write_bytes(raw)
    assert problems_of(str(file)) == [(message, line)]


def test_a_file_full_of_mistakes_is_answered_soon(configure: Configure) -> None:
    problems = problems_of(configure("[edge]\n" + "".join(f"key{number} = 1\n" for number in range(40_000))))
    assert len(problems) == 501
    assert problems[0] == ("39500 more problems are not shown", 0)


def test_a_long_word_is_answered_soon(configure: Configure) -> None:
    assert problems_of(configure("w" * 60_000 + "\n" + "[a." + "w" * 60_000 + "]\n"))[0][1] == 1


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert problems_of(str(tmp_path / "x.toml")) == [("there is no such file", 0)]


def test_a_folder_and_a_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for file in (tmp_path, tmp_path / "fifo", Path("/dev/null")):
        [(message, _)] = problems_of(str(file))
        assert message in ("is a folder or a device, not a file", "is a folder, not a file")


def test_a_name_with_nul(tmp_path: Path) -> None:
    assert problems_of(f"{tmp_path}/a\0b") == [("cannot be read: not a file name", 0)]


def test_a_file_without_the_right_to_read(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    file = configure("")

    def refuse(*_arguments: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert problems_of(file) == [("may not be read by you", 0)]


def test_windows_file(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "gapura.toml").write_bytes(b'\xef\xbb\xbf[edge]\r\nworkers = 1\r\n[sites."*"]\r\nrespond = "x"\r\n')
    assert load(str(tmp_path / "gapura.toml"))["edge"]["workers"] == 1


def test_an_empty_file_is_a_plan(configure: Configure) -> None:
    plan = load(configure(""))
    assert plan["sites"] == []
    assert plan["edge"]["workers"] == 2


@pytest.mark.parametrize(("allowed", "port"), [(True, 80), (False, 8080)])
def test_default_port(configure: Configure, monkeypatch: pytest.MonkeyPatch, allowed: bool, port: int) -> None:
    monkeypatch.setattr(build_listeners, "may_bind", lambda _port: allowed)
    assert [(item["host"], item["port"]) for item in load(configure(""))["edge"]["http"]] == [("0.0.0.0", port), ("::", port)]


def test_high_ports_need_no_right() -> None:
    assert build_listeners.may_bind(8080)


def resolver(**found: list[str]) -> Callable[[Sequence[str]], Mapping[str, list[str]]]:
    names = {name.replace("_", "."): addresses for name, addresses in found.items()}
    return lambda asked: {name: names[name] for name in asked if name in names}


def servers_of(plan: Plan, upstream: str) -> list[str]:
    return [server["id"] for server in plan["upstreams"][upstream]["servers"]]


NAMES = """
[upstreams.web]
servers = ["10.0.0.1:3000", { address = "web.internal:3000", weight = 2 }, "10.0.0.9:3000"]
"""


def test_a_name_with_two_addresses_is_two_servers_in_its_place(configure: Configure) -> None:
    plan = load(configure(NAMES), resolver(web_internal=["10.0.0.3", "10.0.0.2"]))
    assert servers_of(plan, "web") == ["10.0.0.1:3000", "10.0.0.2:3000", "10.0.0.3:3000", "10.0.0.9:3000"]
    assert [server["weight"] for server in plan["upstreams"]["web"]["servers"]] == [1, 2, 2, 1]
    assert [(name["host"], name["port"]) for name in plan["upstreams"]["web"]["names"]] == [("web.internal", 3000)]
    assert plan["upstreams"]["web"]["health"] is not None


def test_a_name_that_does_not_resolve_is_a_warning(configure: Configure) -> None:
    plan, warnings, _ = examine(configure(NAMES))
    assert servers_of(plan, "web") == ["10.0.0.1:3000", "10.0.0.9:3000"]
    assert [(item.message, item.line, item.warning) for item in warnings] == [("the name web.internal does not resolve", 3, True)]


def test_a_misspelt_app_with_a_port_is_a_name_that_does_not_resolve(configure: Configure) -> None:
    text = '[apps.dumbflix]\ncommand = "x"\n[sites."a.b"]\nproxy = "dumbflx:3000"\n'
    [warning] = examine(configure(text)).warnings
    assert warning.hint == 'did you mean "dumbflix", without a port? it is asked again and again, until then requests get 503'


def test_an_address_that_a_name_repeats_is_one_server(configure: Configure) -> None:
    plan = load(configure(NAMES), resolver(web_internal=["10.0.0.1", "10.0.0.2"]))
    assert servers_of(plan, "web") == ["10.0.0.1:3000", "10.0.0.2:3000", "10.0.0.9:3000"]


@pytest.mark.parametrize(
    ("servers", "found", "checked"),
    [
        ('["10.0.0.1:80", "unix:/run/x", "[fd00::1]:80"]', {}, True),
        ('["10.0.0.1:80", "8.8.8.8:80"]', {}, False),
        ('["example.com:80"]', {"example_com": ["10.0.0.1"]}, True),
        ('["example.com:80"]', {"example_com": ["8.8.8.8"]}, False),
        ('["example.com:80"]', {}, False),
        ('["backend:80"]', {}, True),
    ],
)
def test_checks_are_on_where_servers_are_our_own(
    configure: Configure, servers: str, found: dict[str, list[str]], checked: bool
) -> None:
    plan = load(configure(f"[upstreams.web]\nservers = {servers}\n"), resolver(**found))
    assert (plan["upstreams"]["web"]["health"] is not None) is checked


def test_checks_of_public_servers_are_on_when_written(configure: Configure) -> None:
    plan = load(configure('[upstreams.web]\nservers = ["8.8.8.8:80"]\nhealth = { path = "/up" }\n'))
    health = plan["upstreams"]["web"]["health"]
    assert health is not None
    assert (health["path"], health["host"], health["interval"]) == ("/up", "localhost", 1.0)


def test_one_address_in_two_routes_is_one_upstream(configure: Configure) -> None:
    text = '[sites."a.b"]\nproxy = "localhost:3000"\n[sites."c.d"]\nproxy = "http://LOCALHOST:3000/"\n'
    plan = load(configure(text), resolver(localhost=["127.0.0.1"]))
    assert list(plan["upstreams"]) == ["localhost:3000"]
    assert servers_of(plan, "localhost:3000") == ["127.0.0.1:3000"]


def test_proxy_may_name_an_upstream_as_nginx_does(configure: Configure) -> None:
    plan = load(configure('[upstreams.web]\nservers = "10.0.0.1:80"\n[sites."a.b"]\nproxy = "http://web"\n'))
    assert plan["sites"][0]["routes"][0]["upstream"] == "web"


def test_env_file_and_env(configure: Configure) -> None:
    file = configure('[apps.a]\ncommand = "x"\nenv_file = "vars"\nenv = { B = "mine" }\n', vars="A=1\nB=2\n")
    assert load(file)["apps"]["a"]["env"] == {"A": "1", "B": "mine"}


def test_a_wrong_env_file_is_reported_with_its_own_place(configure: Configure) -> None:
    file = configure('[apps.a]\ncommand = "x"\nenv_file = "vars"\n', vars="A=1\nwhat is this\n")
    with pytest.raises(ConfigError) as caught:
        load(file)
    [problem] = caught.value.problems
    assert (os.path.basename(problem.file), problem.line, problem.text) == ("vars", 2, "what is this")


def test_max_instances_is_the_number_of_cpus(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2})
    plan = load(configure('[edge]\nworkers = "auto"\n[apps.a]\ncommand = "x"\ninstances = "max"\n'))
    assert plan["edge"]["workers"] == 3
    assert servers_of(plan, "a") == ["a:0", "a:1", "a:2"]


def test_port_in_the_environment_is_a_warning(configure: Configure) -> None:
    warnings = examine(configure('[apps.a]\ncommand = "x"\nenv = { PORT = 3000 }\n')).warnings
    assert [(item.message, item.hint) for item in warnings] == [
        ("PORT is given by Gapura, this one is not used", "write port = 3000")
    ]


def test_no_more_servers_than_the_board_has_room_for(configure: Configure) -> None:
    assert build.MAX_SLOTS == board.SLOTS
    assert schema_edge.MAX_WORKERS <= board.COLUMNS // 2
    apps = "".join(f'[apps.a{number}]\ncommand = "x"\ninstances = 256\n' for number in range(2))
    assert len(load(configure(apps))["apps"]) == 2
    one_more = '[upstreams.u]\nservers = "10.0.0.1:80"\n'
    assert problems_of(configure(apps + one_more)) == [("the file has more servers than there is room for: 1025 of 1024", 0)]


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(place, "SYSTEM", str(tmp_path))
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "gapura.toml").write_text('[edge]\nhttp = 8080\n[sites."a.b"]\nrespond = "a"\n')
    return tmp_path


def test_files_of_conf_d_are_merged(system: Path) -> None:
    (system / "conf.d" / "b.toml").write_text('[sites."b.b"]\nproxy = "web"\n')
    (system / "conf.d" / "a.toml").write_text('[edge]\nworkers = 3\n[upstreams.web]\nservers = ["10.0.0.1:80"]\n')
    plan = load(str(system / "gapura.toml"))
    assert [site["hosts"] for site in plan["sites"]] == [["a.b"], ["b.b"]]
    assert plan["edge"]["workers"] == 3
    assert plan["paths"] == {"run": "/run/gapura", "logs": "/var/log/gapura", "lib": "/var/lib/gapura"}


def test_leftovers_in_conf_d_are_not_read(system: Path) -> None:
    for name in ("a.toml~", "a.toml.save", ".a.toml.swp", ".#a.toml", "#a.toml"):
        (system / "conf.d" / name).write_text("what is this")
    warnings = examine(str(system / "gapura.toml")).warnings
    assert len(warnings) == 5
    assert {item.message for item in warnings} == {"is not read: its name does not end in .toml"}


def test_one_site_in_two_files(system: Path) -> None:
    (system / "conf.d" / "x.toml").write_text('\n[sites."a.b"]\nrespond = "b"\n[sites."A.B"]\nrespond = "c"\n')
    with pytest.raises(ConfigError) as caught:
        load(str(system / "gapura.toml"))
    assert [(os.path.basename(p.file), p.line, p.column, p.message) for p in caught.value.problems] == [
        ("x.toml", 2, 8, f'"a.b" is in {system}/gapura.toml as well'),
        ("x.toml", 4, 8, 'a.b already belongs to [sites."a.b"]'),
    ]


def test_all_files_with_syntax_errors_are_named(system: Path) -> None:
    (system / "gapura.toml").write_text("a =\n")
    (system / "conf.d" / "x.toml").write_text("\nb =\n")
    with pytest.raises(ConfigError) as caught:
        load(str(system / "gapura.toml"))
    assert [(os.path.basename(p.file), p.line) for p in caught.value.problems] == [("gapura.toml", 1), ("x.toml", 2)]


WORDS = [
    "\x1b[31m",
    "\u202e",
    "\r",
    '"',
    "[",
    "]",
    "{",
    "}",
    "=",
    "\n",
    "#",
    ".",
    ",",
    "-1",
    "0",
    "true",
    "1e999",
    "nan",
    "\\",
    "\0",
    "é",
    "\U0001f600",
    "1979-05-27",
]


def mutated(text: str, chance: random.Random) -> str:
    """`text` after one to four accidents of an editor."""
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.choice((0, 0, 1, 2, 10, 40)))
        piece = chance.choice((*WORDS, text[chance.randrange(len(text) + 1) :][: chance.randint(0, 40)], ""))
        text = text[:start] + piece + text[end:]
    return text


@pytest.mark.parametrize("name", sorted(path.stem for path in (HERE / "plans").glob("*.toml")))
def test_mutated_files_never_raise_anything_else(configure: Configure, name: str) -> None:
    whole = (HERE / "plans" / f"{name}.toml").read_text(encoding="utf-8")
    chance = random.Random(name)
    outcomes = {"plan": 0, "problems": 0}
    for _ in range(80):
        file = configure(mutated(whole, chance))
        problems: list[Problem] = []
        try:
            json.dumps(load(file), allow_nan=False)
            outcomes["plan"] += 1
        except ConfigError as error:
            problems = error.problems
            outcomes["problems"] += bool(problems)
        assert all(len(problem.text) <= 161 for problem in problems)
        assert all((problem.text + problem.message + problem.hint).isprintable() for problem in problems)
    assert min(outcomes.values()) > 0


@pytest.mark.parametrize(
    ("http", "server"),
    [
        ('"127.0.0.1:8080"', "127.0.0.1:8081"),
        ('"127.0.0.1:8080"', "127.0.0.2:8080"),
        ("8080", "192.0.2.1:8080"),
        ("8080", "unix:/s"),
    ],
)
def test_a_server_beside_our_own_listener(configure: Configure, http: str, server: str) -> None:
    assert load(configure(f'[edge]\nhttp = {http}\n[sites."*"]\nproxy = "{server}"\n'))["sites"]


def test_another_host_may_lead_back_to_another_site(configure: Configure) -> None:
    sites = '[sites."a.example"]\nproxy = "127.0.0.1:8080"\nhost_header = "b.example"\n[sites."b.example"]\nrespond = "b"\n'
    assert len(load(configure(f"[edge]\nhttp = 8080\n{sites}"))["sites"]) == 2
