"""Carries out what a page of the documents shows: files are written, commands typed, and what they say is compared.

Marks stand on the line before a block and are not seen by readers:

    <!-- file: NAME -->               this block is the content of a file
    <!-- not run: REASON -->          this block cannot be carried out by a test
    <!-- output differs: REASON -->   it is carried out, but what it says is different each time
    <!-- setup: COMMAND -->           what a reader has already and a test has not
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "README.id.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "id").glob("*.md")),
]
_BLOCK = re.compile(r"(?:^<!-- ([^\n]*?) -->\n)?^```(\w*)\n(.*?)^```$|^<!-- setup: ([^\n]*?) -->$", re.DOTALL | re.MULTILINE)
SHELLS = ("sh", "bash", "console")

NPM = """\
#!/bin/sh
# What npm does for an app, as far as a page needs it.
case "$*" in
  start) exec python3 -m http.server "${PORT:-3000}" --bind 127.0.0.1 ;;
  "run build") mkdir -p build/static && echo '<h1>Built</h1>' >build/index.html && echo 'app' >build/static/main.3f1c.js ;;
esac
"""


class Block(NamedTuple):
    """A fenced block; `mark` is the kind of the mark before it ("" without), `about` what follows."""

    page: Path
    line: int
    language: str
    text: str
    mark: str
    about: str

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def shell(self) -> bool:
        return self.language in SHELLS


def blocks(page: Path) -> list[Block]:
    """All blocks of a page; a `setup` mark is a block of its own, without a language."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        if match[4]:
            found.append(Block(page, line, "", match[4], "setup", match[4]))
            continue
        mark, _, about = (match[1] or "").partition(": ")
        if mark == "setup":  # it belongs to no block, but stands right before this one
            found.append(Block(page, line, "", about, mark, about))
            mark = about = ""
        found.append(Block(page, line, match[2], match[3], mark, about))
    return found


def commands(block: Block) -> list[str]:
    """The command lines of a block, without what they say."""
    if block.language != "console":
        return block.text.splitlines()
    return [line[2:] for line in block.text.splitlines() if line.startswith("$ ")]


def answers(block: Block) -> list[str]:
    """What a block says that its commands say."""
    if block.language != "console":
        return []
    return [line for line in block.text.splitlines() if not line.startswith("$ ")]


def placed(text: str) -> str:
    """A configuration with the ports of pages, and few workers, where it does not say itself."""
    keys = {"http": "8080", "https": "8443", "workers": "2"} | ({} if os.geteuid() else {"user": '"root"'})
    before, _, edge = f"\n{text}".partition("\n[edge]\n")
    own = edge.partition("\n[")[0]
    lines = "".join(f"{key} = {value}\n" for key, value in keys.items() if not re.search(rf"(?m)^{key} *=", own))
    return f"{before}\n[edge]\n{lines}{edge}"[1:]


def alike(line: str) -> str:
    """A line without what differs from run to run: long numbers, times, sizes, the width of columns."""
    line = re.sub(r"\b\d+(\.\d+)? (ms|s|min|kB|MB)\b", r"# \2", line.partition("  #")[0])
    return " ".join(re.sub(r"\d{4,}", "#", line.replace("# kB", "# MB").replace("# ms", "# s")).split())


def missing(expected: list[str], said: str) -> list[str]:
    """The lines that should have been said, in this order, and were not."""
    lines = iter([alike(line) for line in said.splitlines()])
    return [line for line in expected if line.strip() != "…" and alike(line) not in lines]


class Desk:
    """A folder in which a page is carried out, with ports of its own in place of 8080, 8443 and 3000."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.state = folder / "state"
        self.programs = folder / "programs"
        for path in (self.home / "gapura", self.state, self.programs, self.home / "dumbflix-frontend"):
            path.mkdir(parents=True)
        self.ports = dict(zip(("8080", "8443", "3000", "4000"), _free_ports(4), strict=True))
        self.groups: list[int] = []
        self._program("gapura", f'#!/bin/sh\nexec "{sys.executable}" -P -m gapura.cli "$@"\n')
        self._program("python3", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        self._program("npm", NPM)
        (self.home / "gapura" / "bin").symlink_to(self.programs)
        (self.state / "cwd").write_text(str(self.home))
        (self.state / "environment").touch()

    def _program(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(text)
        path.chmod(0o755)

    def own(self, text: str) -> str:
        """A text with this desk's ports."""
        return re.sub(r"\b(8080|8443|3000|4000)\b", lambda match: str(self.ports[match[1]]), text)

    def write(self, block: Block) -> None:
        """Save a configuration where the page says; it gets this desk's ports."""
        path = self.home / block.about
        path.parent.mkdir(parents=True, exist_ok=True)
        text = block.text
        if path.suffix == ".toml":
            text = placed(text)
        path.write_text(self.own(text), encoding="utf-8")

    def type(self, lines: list[str]) -> tuple[int, str]:
        """Carry out command lines in one shell, where the one before left off; the exit status and all that was said."""
        script = [
            f'. "{self.state}/environment"; cd "$(cat "{self.state}/cwd")"; set -e',
            *(self.own(line) for line in lines),
            f'export -p >"{self.state}/environment"; pwd >"{self.state}/cwd"',
        ]
        environment = {"PATH": f"{self.programs}:/usr/local/bin:/usr/bin:/bin", "HOME": str(self.home), "LANG": "C.UTF-8"}
        with subprocess.Popen(
            ["bash", "-c", "\n".join(script)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as shell:
            self.groups.append(shell.pid)
            said = shell.communicate(timeout=120)[0]
        for shown, port in self.ports.items():
            said = said.replace(str(port), shown)
        return shell.returncode, said.replace(str(self.home), "/home/you")

    def clear(self) -> None:
        """End all that the page left running: every Gapura, and what was put into the background."""
        (self.state / "cwd").write_text(str(self.home))
        # Folders come and go meanwhile: os.walk passes over what has gone.
        running = [folder for folder, _, files in os.walk(self.home) if "control.sock" in files]
        for folder in running:
            self.type([f"gapura down -c '{Path(folder).parent}/gapura.toml' || true"])
        for group in self.groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)


def _free_ports(count: int) -> Iterator[int]:
    """Ports that are free on every address of the loopback network that pages use."""
    with contextlib.ExitStack() as held:
        for _ in range(count):
            probe = held.enter_context(socket.socket())
            probe.bind(("0.0.0.0", 0))
            yield probe.getsockname()[1]
