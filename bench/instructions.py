"""Instructions that a worker executes for one proxied request, counted by callgrind: `python -m bench.instructions [OPTION …]`.

Times on a busy machine say little about one per cent; instructions are the same again and again. The worker is a real one but for
its transports, which lead nowhere, so that nothing depends on when bytes arrive. Two runs of different length are subtracted: start
and end do not count, nor does the kernel. `--without-recording` takes out what fills records and metrics: the difference is what
watching costs. `--tracing RATIO` has requests traced.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from bench.micro import requests
from gapura import ipc
from gapura.board import H_USED, READY, READY_AT, STATE, Board
from gapura.config.load import load
from gapura.edge.downstream import Downstream
from gapura.edge.exchange import Exchange
from gapura.edge.pool import Pool, ServerConnection
from gapura.edge.worker import Worker
from gapura.metrics import Metrics
from gapura.records import Records
from gapura.tally import Tally

PER_BEAT: Final = 500
"""Requests between two beats of the worker: 5,000 a second."""
SHORT, LONG = PER_BEAT, 3 * PER_BEAT
"""Requests of the two runs."""
ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nServer: app\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\nContent-Type: text/html; charset=utf-8\r\n"
    b"Content-Length: 1000\r\nCache-Control: no-cache\r\n\r\n" + b"x" * 1000
)


class Transport:
    """Takes everything, sends nothing."""

    written = b""

    def get_extra_info(self, name: str) -> object:
        return ("127.0.0.1", 5) if name == "peername" else None

    def write(self, data: bytes) -> None:
        self.written = data

    def is_closing(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def opened(pool: Pool, *arguments: Any) -> ServerConnection:
    """A connection to a server that is there at once (for `Pool.open`)."""
    connection = ServerConnection(pool, *arguments)
    connection.transport = Transport()  # type: ignore[assignment]
    return connection


def finish(exchange: Exchange, now: int) -> None:
    """`Exchange.finish` without records and metrics."""
    exchange.ended_at = now
    if exchange.counted is not None:
        exchange.counted.end()
    route = exchange.route
    log = route.log if route is not None else exchange.log
    if log is not None:
        log.add(exchange)


def worker_of(folder: Path, tracing: float | None) -> Worker:
    """A worker that serves one upstream of two servers."""
    told = f'[tracing]\nendpoint = "http://127.0.0.1:1"\nratio = {tracing}\n' if tracing is not None else ""
    (folder / "gapura.toml").write_text(
        '[edge]\naccess_log = "/dev/null"\n[upstreams.u]\nservers = ["127.0.0.1:1", "127.0.0.1:2"]\nhealth = false\n'
        f'[sites."bench.test"]\nproxy = "u"\n{told}'
    )
    plan = load(str(folder / "gapura.toml"))
    plan["sites"][0]["routes"][0]["row"] = 1
    now = time.monotonic_ns()
    board = Board.create(now)
    board.cells[H_USED] = 1
    for slot, server in enumerate(plan["upstreams"]["u"]["servers"]):
        server["slots"] = [slot]
        board.cells[board.slot(slot) + STATE], board.cells[board.slot(slot) + READY_AT] = READY, now
    memories = {"board": board.fd, "tally": Tally.create().fd, "records": Records.create().fd, "metrics": Metrics.create().fd}
    master, ours = ipc.pair()
    worker = Worker(asyncio.new_event_loop(), ipc.Channel(ours))
    worker.loop = SimpleNamespace(call_later=lambda *_: None, call_soon=lambda *_: None)  # type: ignore[assignment]
    for message in (
        {"type": "welcome", "column": 0, "heartbeat": 0.1, "memories": list(memories)},
        {"type": "prepare", "generation": 1, "plan": plan},
        {"type": "commit", "generation": 1},
    ):
        worker._obey(message, list(memories.values()) if message["type"] == "welcome" else [])
    master.close()
    return worker


def serve(number: int, without: bool, tracing: float | None) -> None:
    """Have a worker in this process proxy so many requests."""
    Pool.open = opened  # type: ignore[assignment,method-assign]
    if without:
        Exchange.finish = finish  # type: ignore[method-assign,assignment]
    with tempfile.TemporaryDirectory() as folder:
        worker = worker_of(Path(folder), tracing)
        client, transport = Downstream(worker), Transport()
        client.connection_made(transport)  # type: ignore[arg-type]
        heads = requests()
        for count in range(1, number + 1):
            client.data_received(next(heads) + b"\r\n\r\n")
            handler: Any = client.exchange.handler if client.exchange else None
            connection = handler.connection
            if handler.state == 2:  # it waits for its connection
                handler.on_connected(connection)
            connection.data_received(ANSWER)
            if count % PER_BEAT == 0:
                if without:
                    for answers in worker.recorder.answers.values():
                        answers.clear()
                else:
                    worker.recorder.beat()
                worker.logs.flush()
        assert transport.written.startswith(b"HTTP/1.1 200 ")


def instructions(words: list[str], number: int) -> int:
    """Of a process that serves so many requests, all in."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "callgrind"
        grind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={file}"]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        program = [sys.executable, "-m", "bench.instructions", *words, "--serve", str(number)]
        subprocess.run([*grind, *program], check=True, stderr=subprocess.DEVNULL, env=environment)
        found = re.search(r"^(?:summary|totals): (\d+)", file.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def main() -> None:
    """Print the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without-recording", action="store_true")
    parser.add_argument("--tracing", type=float, default=None)
    parser.add_argument("--serve", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.without_recording, arguments.tracing)
        return
    if shutil.which("valgrind") is None:
        raise SystemExit("this needs valgrind (Debian: apt install valgrind)")
    words = sys.argv[1:]
    found = instructions(words, LONG) - instructions(words, SHORT)
    print(f"{found / (LONG - SHORT):,.0f} instructions for a request")


if __name__ == "__main__":
    main()
