"""Documents that cannot lie: pages equal what the tools print, examples load, command lines parse, tables name what is there."""

from __future__ import annotations

import ast
import contextlib
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click
import pytest

from gapura.cli.main import VERBS, Verbs, gapura
from gapura.config.load import examine
from gapura.config.schema import json_schema
from gapura.errors import CommandError

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "README.id.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "id").glob("*.md")),
]
GUIDES = [ROOT / "docs" / "from-nginx.md", ROOT / "docs" / "from-pm2.md"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def shown(path: Path, *languages: str) -> list[str]:
    """The blocks of a page in these languages."""
    return [text for language, text in FENCE.findall(path.read_text(encoding="utf-8")) if language in languages]


def named(examples: Iterator[tuple[Path, str]]) -> list[object]:
    return [pytest.param(text, id=f"{path.name}-{number}") for number, (path, text) in enumerate(examples)]


# -- written by tools -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["reference.md", "commands.md", "events.md"])
def test_a_page_is_what_the_tool_prints(page: str) -> None:
    printed = subprocess.run([sys.executable, ROOT / "tools" / "reference", "-", page], capture_output=True, text=True, check=True)
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == printed.stdout, "run tools/reference"


def test_drawings_are_what_the_tool_draws() -> None:
    program = runpy.run_path(str(ROOT / "tools" / "drawings"))
    drawn = program["drawn"]()
    assert {path.name for path in (ROOT / "docs" / "drawings").iterdir()} == set(drawn)
    for name, text in drawn.items():
        assert (ROOT / "docs" / "drawings" / name).read_text(encoding="utf-8") == text, f"{name}: run tools/drawings"


def test_the_api_s_page_is_what_its_routes_say() -> None:
    printed = subprocess.run([sys.executable, ROOT / "tools" / "api_md", "-"], capture_output=True, text=True, check=True)
    assert (ROOT / "docs" / "api.md").read_text(encoding="utf-8") == printed.stdout, "run tools/api_md"


def test_every_key_has_its_line() -> None:
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    for table in json_schema()["$defs"].values():
        for key in table["properties"]:
            assert f"| `{key}` |" in text, key


def test_every_command_was_recorded() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert [verb for verb in VERBS if f"$ gapura {verb}" not in text] == []


# -- examples of gapura.toml ----------------------------------------------------------------------------------------------------


def one_address(names: Sequence[str]) -> Mapping[str, list[str]]:
    """A resolver that knows every name: documentation is read without a network."""
    return {name: ["192.0.2.1"] for name in names}


EXAMPLES = named((path, text) for path in PAGES for text in shown(path, "toml"))


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_loads_without_a_problem(tmp_path: Path, text: str) -> None:
    file = tmp_path / "gapura.toml"
    file.write_text(text, encoding="utf-8")
    for name in re.findall(r'env_file = "([^"]+)"', text):
        (tmp_path / name).touch()
    for name in re.findall(r'basic_auth = "([^"]+)"', text):
        (tmp_path / name).write_text("alice:{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=\n")
    assert examine(str(file), one_address).warnings == []


def test_there_are_examples() -> None:
    """Guards the test above against finding nothing."""
    assert len(EXAMPLES) >= 20


# -- command lines --------------------------------------------------------------------------------------------------------------


MENTION = re.compile(r"gapura ([a-z]+)")
"""In a sentence: the name of a command, which need not be a whole command line."""


def command_lines(path: Path) -> Iterator[str]:
    """What a page shows as commands: lines of shell blocks, those behind a prompt in others, and code spans."""
    text = path.read_text(encoding="utf-8")
    for language, block in FENCE.findall(text):
        if language == "sh":
            yield from block.splitlines()
        elif language == "console":
            yield from (line[2:] for line in block.splitlines() if line.startswith(("$ ", "# ")))
    for span in re.findall(r"`([^`\n]+)`", FENCE.sub("", text)):
        if not MENTION.fullmatch(span):
            yield span


def calls(line: str) -> Iterator[list[str]]:
    """The arguments of each call of gapura in a command line; placeholders become values."""
    try:
        words = shlex.shlex(line, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        tokens = [token for token in words if token not in ("sudo", "exec")]
    except ValueError:
        return  # prose between backquotes, not a command
    begin = True
    call: list[str] | None = None
    for token in [*tokens, ";"]:
        if not token.strip(";&|()<>"):
            if call is not None:
                yield call
            begin, call = True, None
        elif call is not None:
            plain = token.replace("[:N]", ":0").strip("[]")
            call.append({"N": "2", "VERB": "ps", "…": "", "URL": "http://a"}.get(plain, plain))
        else:
            call = [] if begin and re.fullmatch(r"(.*/)?gapura", token) else None
            begin = False


def parse(arguments: list[str]) -> None:
    """Have click parse a command line without carrying it out. Raises ClickException or CommandError."""
    assert isinstance(gapura, Verbs)
    with contextlib.suppress(click.exceptions.Exit):  # --help and --version
        context = gapura.make_context("gapura", list(arguments))
        group: click.Group = gapura
        while isinstance(group, click.Group) and (rest := [*context._protected_args, *context.args]):
            _, command, after = group.resolve_command(context, rest)
            assert command is not None
            context = command.make_context(rest[0], after, parent=context)
            group = command  # type: ignore[assignment]


LINES = named(
    (path, " ".join(call))
    for path in PAGES
    for line in command_lines(path)
    for call in calls(line)
    if call and "OPTIONS" not in call
)


@pytest.mark.parametrize("line", LINES)
def test_a_command_line_parses(line: str) -> None:
    parse(line.split())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_command_that_is_mentioned_exists(path: Path) -> None:
    assert set(MENTION.findall("\n".join(re.findall(r"`([^`\n]+)`", path.read_text(encoding="utf-8"))))) <= set(VERBS)


def test_there_are_command_lines() -> None:
    assert len(LINES) >= 40


@pytest.mark.parametrize("line", ["fly", "up --downwards", "scale web", "scale web many", "logs -n", "restart web:x"])
def test_a_wrong_command_line_does_not(line: str) -> None:
    with pytest.raises((click.ClickException, CommandError)):
        parse(line.split())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sudo gapura hosts --write", [["hosts", "--write"]]),
        ("pip install . && ~/g/bin/gapura up -d   # go", [["up", "-d"]]),
        ("gapura ps; gapura logs [APP[:N]] | tail", [["ps"], ["logs", "APP:0"]]),
        ("cat gapura.toml gapura", []),
        ("it's prose", []),
    ],
)
def test_calls_are_found(line: str, expected: list[list[str]]) -> None:
    assert list(calls(line)) == expected


# -- architecture ---------------------------------------------------------------------------------------------------------------


def test_the_floors_inside_a_worker() -> None:
    """Every module of `edge` stands on a line, and imports only modules of lines below it."""
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    block = re.search(r"## Inside a worker\n\n[^\n]+\n\n((?:    [^\n]+\n)+)", text)
    assert block is not None
    lines = re.sub(r"\|\n\s+", "| ", block[1]).splitlines()
    floors = {name: number for number, line in enumerate(lines) for name in line.strip().split(" | ")}
    modules = {path.stem: path for path in (ROOT / "src" / "gapura" / "edge").glob("[!_]*.py")}
    assert set(floors) == set(modules)
    for name, path in modules.items():
        for imported in _edge_imports(ast.parse(path.read_text(encoding="utf-8")), set(modules)):
            assert floors[name] < floors[imported], f"edge/{name}.py imports {imported}: its line in ARCHITECTURE.md is wrong"


def _edge_imports(tree: ast.AST, modules: set[str]) -> Iterator[str]:
    """What a module imports of `edge`, also within functions, but not for types only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gapura.edge."):
            yield str(node.module).split(".")[2]
        elif isinstance(node, ast.ImportFrom) and node.module == "gapura.edge":
            yield from (alias.name for alias in node.names if alias.name in modules)
        yield from _edge_imports(node, modules)


# -- guides for those who come from elsewhere --------------------------------------------------------------------------------


KEYS = {key for table in [json_schema(), *json_schema()["$defs"].values()] for key in table["properties"]}


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_a_guide_names_keys_that_exist(path: Path) -> None:
    """In the second column of its tables stands what the thing is called here."""
    found = 0
    for line in path.read_text(encoding="utf-8").splitlines():
        cells = re.split(r"(?<!\\)\|", line)
        if len(cells) < 4 or set(cells[1]) <= set("-: "):
            continue
        for span in re.findall(r"`([^`]+)`", cells[2]):
            for key in re.findall(r"(?:^|[{,] )([a-z_]+) =", span) or re.findall(r"^[a-z_]+$", span):
                found += 1
                assert key in KEYS, f"{path.name} speaks of {key}: {line}"
    assert found >= 10
