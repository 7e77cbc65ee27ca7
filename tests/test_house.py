"""The rules of the house: floors, sizes, names, the mirror of the tests, and documents that say what is so."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gapura.cli.main import VERBS

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "gapura"
LONGEST_FUNCTION = 60
LONGEST_FILE = 420
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "base", "manager"}
OUTSIDE = {"asyncio", "socket", "ssl", "subprocess", "threading"}
"""What code without a world of its own does not import."""
SUBJECTS = {
    "house": ".",
    "docs": "docs",
    "docs_commands": "docs",
    "docs_site": "docs",
    "package": "pyproject.toml",
    "examples": "examples",
    "bench": "bench",
    "compiled": "tools/compile",
    "dashboard": "dashboard",
}
"""What test files at the top are about when it is no module."""
PROSE = ("README.md", "README.id.md", "CONTRIBUTING.md", "docs/homework.md")


def tracked() -> list[Path]:
    """Files under version control, or all (of an unpacked sdist)."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True)
    if listing.returncode:
        return [path for path in ROOT.rglob("*") if path.is_file() and ".venv" not in path.parts]
    return [path for name in listing.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


FILES = tracked()
PYTHON = [path for path in FILES if path.suffix == ".py" or path.read_bytes()[:22] == b"#!/usr/bin/env python3"]
MODULES = [path for path in PYTHON if path.is_relative_to(SOURCE)]
PACKAGES = sorted(path.parent.name for path in SOURCE.glob("*/__init__.py"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def module(path: Path) -> str:
    """Dotted name of a source file."""
    return ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")


# -- sizes and names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PYTHON, ids=name)
def test_no_function_is_too_long(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= LONGEST_FUNCTION, f"{name(path)}:{node.lineno}: {node.name} has {lines} lines"


@pytest.mark.parametrize("path", PYTHON, ids=name)
def test_no_file_is_too_long(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(lines) <= LONGEST_FILE, f"{name(path)} has {len(lines)} lines of code"


def test_no_file_or_folder_has_a_name_that_says_nothing() -> None:
    for path in FILES:
        parts = {Path(part).stem.removeprefix("test_") for part in path.relative_to(ROOT).parts}
        assert not parts & FORBIDDEN_NAMES, name(path)


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_says_what_belongs_in_it(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), f"{name(path)} has no docstring"


# -- the mirror -----------------------------------------------------------------------------------------------------------


def mirrored(stem: str, folder: Path) -> bool:
    """Whether `folder` holds the module, or the package, that a test named after `stem` is about."""
    subjects = {path.stem.strip("_") for path in folder.iterdir()} | {folder.name}
    return any(stem == subject or stem.startswith(f"{subject}_") for subject in subjects if subject)


@pytest.mark.parametrize("path", [path for path in PYTHON if path.name.startswith("test_")], ids=name)
def test_a_test_file_mirrors_what_it_tests(path: Path) -> None:
    stem = path.stem.removeprefix("test_")
    folder = path.parent.relative_to(ROOT / "tests")
    if folder.parts[:1] == ("journeys",):
        return
    if folder == Path() and stem in SUBJECTS:
        assert (ROOT / SUBJECTS[stem]).exists()
    else:
        assert mirrored(stem, SOURCE / folder), f"{name(path)}: there is no {stem}.py in src/gapura/{folder}"


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_has_tests(package: str) -> None:
    assert list((ROOT / "tests" / package).glob("test_*.py"))


# -- floors ---------------------------------------------------------------------------------------------------------------


def test_imports_point_downward_only() -> None:
    # In a process of its own: it configures logging for the whole process and so silences the loggers of other tests.
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(cache_dir=None, no_cache=True))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def imports(path: Path) -> Iterator[str]:
    """First parts of the absolute names that a file imports, those within functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def without_world(path: Path) -> bool:
    """Whether a source file belongs to the code that knows no sockets, loops, processes and threads."""
    match path.relative_to(SOURCE).parts:
        case ("config", "certificates.py" | "check.py" | "reach.py" | "__main__.py"):
            return False
        case ("wire" | "balance" | "config", *_) | ("procs", "lifecycle.py"):
            return True
    return False


@pytest.mark.parametrize("path", [path for path in MODULES if without_world(path)], ids=name)
def test_pure_code_imports_nothing_of_the_outside(path: Path) -> None:
    assert not OUTSIDE & set(imports(path))


@pytest.mark.parametrize(
    ("package", "unwanted"),
    [
        ("master", {"pydantic", "click", "rich", "asyncio", "uvloop", "tree_sitter"}),
        ("edge", {"pydantic", "click", "rich", "tree_sitter"}),
        ("control", {"pydantic", "fastapi", "starlette", "uvicorn", "prometheus_client", "click", "rich", "uvloop", "tree_sitter"}),
        ("balance", {"pydantic", "asyncio", "ssl", "subprocess"}),
        ("wire", {"pydantic", "asyncio", "ssl", "subprocess"}),
        ("procs", {"pydantic", "asyncio", "ssl"}),
        ("cli.main", {"pydantic", "rich", "asyncio", "tree_sitter"}),
    ],
)
def test_a_process_stays_small(package: str, unwanted: set[str]) -> None:
    """Really import every module of a package in a fresh interpreter, and look at what came along."""
    parts = package.split(".")
    names = [module(path) for path in MODULES if module(path).split(".")[1 : 1 + len(parts)] == parts and path.stem != "__main__"]
    names = [name for name in names if not name.startswith("gapura.control.api.")]  # imported at the first visitor
    assert names
    program = f"import sys, importlib\nfor name in {names}: importlib.import_module(name)\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True).stdout
    assert not unwanted & set(loaded.split())


# -- documents ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tool", "page"), [("board_md", "BOARD.md"), ("records_md", "RECORDS.md")])
def test_shared_memory_is_drawn_as_it_is(tool: str, page: str) -> None:
    drawn = subprocess.run([sys.executable, ROOT / "tools" / tool, "-"], capture_output=True, text=True, check=True).stdout
    assert (ROOT / "docs" / page).read_text() == drawn, f"run tools/{tool}"


def code_of(text: str) -> str:
    """What stands in code blocks and code spans."""
    blocks = re.findall(r"```.*?\n(.*?)```", text, re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return "\n".join(blocks + spans)


@pytest.mark.parametrize("document", PROSE)
def test_commands_in_the_documents_exist(document: str) -> None:
    code = code_of((ROOT / document).read_text())
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    assert set(re.findall(r"(?m)(?:^|[$&;|] *|sudo |-x )gapura ([a-z]+)\b", code)) <= set(VERBS)
    assert set(re.findall(r"(?m)(?:^|[$&;|] *)make ([a-z-]+)\b", code)) <= targets


def test_the_documents_do_show_commands() -> None:
    """Guards the test above against finding nothing."""
    code = code_of((ROOT / "README.md").read_text())
    assert len(set(re.findall(r"gapura ([a-z]+)\b", code)) & set(VERBS)) >= 5


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix == ".md"], ids=name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{name(path)} links to {target}"


def test_the_six_lines_of_the_readme_are_the_example() -> None:
    lines = (ROOT / "examples" / "dumbflix" / "gapura.toml").read_text()
    for document in ("README.md", "README.id.md"):
        assert lines in (ROOT / document).read_text(), document


def test_decisions_are_numbered_and_titled() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").iterdir())
    assert decisions
    for number, path in enumerate(decisions, 1):
        assert re.fullmatch(rf"{number:03d}-[a-z0-9-]+\.md", path.name), path.name
        assert re.match(rf"# {number}\. \S.+\n", path.read_text()), f"{name(path)} has no title"


def test_the_changelog_has_a_place_for_what_comes() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"(?m)^## \[?Unreleased\]?$", text)


# -- what must not be there -----------------------------------------------------------------------------------------------


UNSPEAKABLE = re.compile(
    rb"/wor[k]/|/tmp/promp[t]s|py[p]i\.org|pythonhoste[d]|registry\.npmj[s]|deb\.debia[n]\.org|Anthropi[c]|OpenA[I]|ChatGP[T]",
    re.IGNORECASE,
)
"""Paths of one machine, hosts of registries. (Brackets keep this line from finding itself.)"""


def test_nothing_names_one_machine_or_a_registry_host() -> None:
    for path in FILES:
        found = UNSPEAKABLE.search(path.read_bytes())
        assert not found, f"{name(path)} says {found.group().decode()}"


def test_what_is_needed_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pinned: set[str] = set()  # dev.txt begins with all of run.txt
    for wanted, file in ((project["project"]["dependencies"], "run.txt"), (project["dependency-groups"]["dev"], "dev.txt")):
        lines = [line for line in (ROOT / "requirements" / file).read_text().splitlines() if line[:1] not in ("#", "-")]
        assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!-]+", line) for line in lines), file
        pinned |= {line.partition("==")[0].lower().replace("_", "-") for line in lines}
        needed = {re.split(r"[<>=~!\[ ]", requirement)[0].lower().replace("_", "-") for requirement in wanted}
        assert needed <= pinned, file


@pytest.mark.parametrize("path", [path for path in FILES if path.read_bytes()[:2] == b"#!"], ids=name)
def test_programs_can_be_executed_and_read(path: Path) -> None:
    assert os.access(path, os.X_OK), f"chmod +x {name(path)}"
    shell = path.read_bytes().splitlines()[0].rpartition(b"/")[2].split()[-1].decode()
    if shell in ("sh", "bash"):
        subprocess.run([shell, "-n", path], check=True)
