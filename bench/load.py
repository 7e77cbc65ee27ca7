"""The load: wrk with browser-like requests."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .process import pinned
from .programs import find

HOST = "bench.test"
"""The site that is asked for."""
KEEP, CLOSE, SAME = "keep", "close", "same"
"""Browser-like requests over kept connections, each over a new one, or always the same short request, as plain wrk sends it."""
_SCRIPT = Path(__file__).with_name("browser.lua")
_MARK = "@result "


@dataclass(frozen=True)
class Load:
    """What wrk counted. `seconds` is the length of the window, latencies are microseconds."""

    requests: int
    bytes: int
    seconds: float
    p50_us: int
    p99_us: int
    errors: dict[str, int]

    @property
    def failed(self) -> int:
        return sum(self.errors.values())


def parse(output: str) -> Load:
    """Read the line that `browser.lua` prints at the end. Raises ValueError when there is none."""
    for line in output.splitlines():
        if line.startswith(_MARK):
            try:
                return Load(**json.loads(line.removeprefix(_MARK)))
            except TypeError as error:
                raise ValueError(f"wrk printed an unknown result: {line}") from error
    raise ValueError(f"wrk printed no result:\n{output[-2000:]}")


def fire(port: int, path: str, connections: int, seconds: int, core: int, mode: str = KEEP, tls: bool = False) -> Load:
    """Ask for `path` over `connections` connections, as fast as the answers come; see KEEP, CLOSE and SAME.

    `seconds` is a whole number, as wrk wants it. Raises ValueError when wrk gives no result.
    """
    command = [find("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    where = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
    command += ["-s", str(_SCRIPT), where, "--", HOST, path, mode]
    process = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, preexec_fn=pinned(core))
    return parse(process.stdout + process.stderr)
