"""The package as users get it: built, installed with pip in an empty virtual environment, and run from there."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Sequence
from email.parser import Parser
from pathlib import Path

import pytest

from gapura import __version__

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = "examples/dumbflix"


def run(*command: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a program as in a fresh shell: without the paths of the environment that the tests run in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "PYTEST", "COV"))}
    return subprocess.run([str(word) for word in command], cwd=cwd, env=kept | env, capture_output=True, text=True, timeout=280)


def build(kind: str, source: Path, target: Path) -> Path:
    result = run(sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", target, cwd=source)
    assert result.returncode == 0, result.stdout + result.stderr
    (built,) = target.iterdir()
    return built


def install(folder: Path, arguments: Sequence[object]) -> Path:
    """Make an empty virtual environment, install there with pip, and give the folder of its programs."""
    made = run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=ROOT)
    assert made.returncode == 0, made.stderr
    programs = folder / "bin"
    pip = (sys.executable, "-m", "pip", "--python", programs / "python", "--disable-pip-version-check", "install", "--no-compile")
    result = run(*pip, *arguments, cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return programs


def lend_dependencies(programs: Path) -> None:
    """Let an environment see the libraries that these tests run with, which saves fetching them."""
    asked = run(programs / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=ROOT)
    Path(asked.stdout.strip(), "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = install(tmp_path_factory.mktemp("installed"), ("--no-index", "--no-deps", wheel))
    lend_dependencies(folder)
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_the_wheel_holds_the_package_and_the_example_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    information = f"gapura-{__version__}.dist-info/"
    assert {name for name in names if not name.startswith(("gapura/", information))} == set()
    files = [path for path in (ROOT / "src" / "gapura").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert {f"gapura/{path.relative_to(ROOT / 'src' / 'gapura')}" for path in files} - names == set(), "data files too"
    assert {"gapura/py.typed", "gapura/config/top_level_domains.txt"} <= names
    assert not [name for name in names if "__pycache__" in name or "sqlite" in name or ".gapura" in name]
    tracked = run("git", "ls-files", EXAMPLE, cwd=ROOT).stdout.split()
    if tracked:
        assert {name for name in names if name.startswith(f"gapura/{EXAMPLE}/")} == {f"gapura/{name}" for name in tracked}


def test_the_explanations_are_installed(programs: Path, tmp_path: Path) -> None:
    told = run(programs / "gapura", "learn", "load-balancing", "--lang", "id", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("# Apa itu load balancing?")
    opened = run(
        programs / "gapura",
        "learn",
        "homework",
        "--browser",
        cwd=tmp_path,
        XDG_CACHE_HOME=str(tmp_path),
        BROWSER="true",
        LC_ALL="C",
        LANGUAGE="",
    )
    assert opened.returncode == 0, opened.stderr
    assert "data:image/svg+xml" in (tmp_path / "gapura" / "learn" / "en" / "homework.html").read_text()


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    read = {name.rpartition("/")[2]: name for name in archive.namelist() if ".dist-info/" in name}
    metadata = Parser().parsestr(archive.read(read["METADATA"]).decode())
    assert metadata["Name"] == "gapura"
    assert metadata["Version"] == __version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    wanted = metadata.get_all("Requires-Dist", [])
    needed = {re.split(r"[<>=]", requirement)[0] for requirement in wanted if "extra ==" not in requirement}
    everybody = {"click", "pydantic", "rich", "tree-sitter", "tree-sitter-toml", "uvloop"}
    certificates = {"acme", "cryptography", "dnspython", "josepy"}
    assert needed == everybody | certificates | {"bcrypt", "pyjwt"} | {"backports-zstd", "brotli", "isal"} | {"fastapi", "uvicorn"}
    assert metadata.get_all("Provides-Extra") == ["otel"]
    assert "gapura = gapura.cli.main:main" in archive.read(read["entry_points.txt"]).decode()
    assert "LICENSE" in read


def test_it_runs_from_where_it_was_installed(programs: Path, tmp_path: Path) -> None:
    where = run(programs / "python", "-c", "import gapura; print(gapura.__file__)", cwd=tmp_path).stdout
    assert Path(where.strip()).is_relative_to(programs.parent)
    assert run(programs / "gapura", "version", cwd=tmp_path).stdout == f"gapura {__version__}\n"


def test_check_in_an_installation(programs: Path, tmp_path: Path) -> None:
    file = tmp_path / "gapura.toml"
    good = f'[edge]\nhttp = {free_port()}\n\n[sites."a.localhost"]\nrespond = "hello"\n'
    file.write_text(good)
    result = run(programs / "gapura", "check", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    file.write_text(good.replace("respond", "respnd"))
    result = run(programs / "gapura", "check", cwd=tmp_path)
    assert result.returncode == 78
    assert "gapura.toml:5:1" in result.stdout + result.stderr
    assert "did you mean" in result.stdout + result.stderr


def visit(port: int, target: str) -> tuple[http.client.HTTPResponse, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", target, headers={"Host": "dumbflix.localhost"})
        response = connection.getresponse()
        return response, response.read().decode()
    finally:
        connection.close()


def demonstrate(programs: Path, folder: Path) -> None:
    """`gapura demo -d`, visits until both copies have answered, `gapura down`; nothing is left behind."""
    port = free_port()
    started = run(programs / "gapura", "demo", "-d", "--port", port, cwd=folder)
    assert started.returncode == 0, started.stdout + started.stderr
    file = folder / "gapura-demo" / "gapura.toml"
    try:
        response, page = visit(port, "/")
        assert response.status == 200
        assert "Films worth staying up for" in page
        answered: set[str] = set()
        while len(answered) < 2:
            response, text = visit(port, "/api/films")
            answered.add(json.loads(text)["answered_by"]["number"])
            assert response.headers["X-Served-By"].startswith("dumbflix:")
        assert answered == {"0", "1"}
        pids = [
            copy["pid"]
            for app in json.loads(run(programs / "gapura", "ps", "--json", "-c", file, cwd=folder).stdout)
            for copy in app["instances"]
        ]
        assert len(pids) == 2
    finally:
        ended = run(programs / "gapura", "down", "-c", file, cwd=folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_the_demo_of_an_installation(programs: Path, tmp_path: Path) -> None:
    demonstrate(programs, tmp_path)


@pytest.mark.full
@pytest.mark.timeout(300)
def test_an_installation_with_its_dependencies_from_the_sdist(tmp_path: Path) -> None:
    """The long road: sdist, wheel made from it, pip fetching every dependency, and the demo."""
    sdist = build("sdist", ROOT, tmp_path / "sdist")
    (tmp_path / "unpacked").mkdir()
    assert run("tar", "-xf", sdist, "-C", tmp_path / "unpacked", cwd=tmp_path).returncode == 0
    (source,) = (tmp_path / "unpacked").iterdir()
    assert {"LICENSE", "README.md", "CHANGELOG.md", "Makefile", "src", "tests", "examples", "tools", "requirements"} <= {
        path.name for path in source.iterdir()
    }
    programs = install(tmp_path / "installed", (build("wheel", source, tmp_path / "wheel"),))
    (tmp_path / "run").mkdir()
    demonstrate(programs, tmp_path / "run")
