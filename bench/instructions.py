"""Instructions that a worker executes for one proxied request, counted by callgrind: `python -m bench.instructions [OPTION …]`.

Times on a busy machine say little about one per cent; instructions are the same again and again. Two runs of different length are
subtracted, so that start and end do not count. `--without-recording` takes out what fills records and metrics: the difference is
what watching costs. `--tracing RATIO` has requests traced; `--source DIR` runs another tree's `src`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

import uvloop

from bench.micro import requests
from gapura import ipc
from gapura.board import H_USED, READY, READY_AT, STATE, Board
from gapura.config.load import load
from gapura.metrics import Metrics
from gapura.records import Records
from gapura.tally import Tally

CONNECTIONS: Final = 16
SHORT, LONG = 1000, 4000
"""Requests of the two runs."""
BEAT: Final = 4.0
"""Seconds between two beats of the worker, which is some fifty times slower here: so many requests fall between two as usual."""
ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nServer: app\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\nContent-Type: text/html; charset=utf-8\r\n"
    b"Content-Length: 1000\r\nCache-Control: no-cache\r\n\r\n" + b"x" * 1000
)
WORKER: Final = """
import sys
from gapura.edge import worker
worker.BEAT = {beat}
if {without}:
    from gapura.balance.upstream import Upstream
    from gapura.edge.exchange import Exchange
    from gapura.edge.recording import Recorder


    def finish(self, now):
        self.ended_at = now
        if self.counted is not None:
            self.counted.end()
        route = self.route
        log = route.log if route is not None else self.log
        if log is not None:
            log.add(self)

    Exchange.finish = finish
    Recorder.beat = lambda self: [answers.clear() for answers in self.answers.values()]
    Recorder.look = lambda self, connections: None
worker.run(int(sys.argv[1]))
"""


class Backend(asyncio.Protocol):
    """An application that answers everything at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(ANSWER * data.count(b"\r\n\r\n"))


@contextmanager
def backend() -> Iterator[int]:
    """The port of an application on a loop in a thread."""
    loop = uvloop.new_event_loop()
    server = cast(asyncio.Server, loop.run_until_complete(loop.create_server(Backend, "127.0.0.1", 0)))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def count(arguments: argparse.Namespace, number: int) -> int:
    """Instructions of a worker that serves `number` requests, all in."""
    with tempfile.TemporaryDirectory() as name, backend() as port:
        folder = Path(name)
        tracing = f'[tracing]\nendpoint = "http://127.0.0.1:1"\nratio = {arguments.tracing}\n' if arguments.tracing else ""
        (folder / "gapura.toml").write_text(
            f'[edge]\naccess_log = "access.log"\n[upstreams.u]\nservers = ["127.0.0.1:{port}"]\nhealth = false\n'
            f'[sites."bench.test"]\nproxy = "u"\n{tracing}'
        )
        plan = load(str(folder / "gapura.toml"))
        plan["upstreams"]["u"]["servers"][0]["slots"] = [0]
        plan["sites"][0]["routes"][0]["row"] = 1
        board, tally, records, metrics = Board.create(time.monotonic_ns()), Tally.create(), Records.create(), Metrics.create()
        board.cells[H_USED] = 1
        board.cells[board.slot(0) + STATE], board.cells[board.slot(0) + READY_AT] = READY, time.monotonic_ns()
        memories = {"board": board.fd, "tally": tally.fd, "records": records.fd, "metrics": metrics.fd}
        if arguments.source and not (Path(arguments.source) / "gapura" / "records.py").exists():
            memories = {"board": board.fd, "tally": tally.fd}
        ours, theirs = ipc.pair()
        found = folder / "callgrind"
        program = WORKER.format(beat=BEAT, without=arguments.without_recording)
        words = [
            "valgrind",
            "--tool=callgrind",
            f"--callgrind-out-file={found}",
            sys.executable,
            "-c",
            program,
            str(theirs.fileno()),
        ]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": arguments.source or "src", "PYTHONHASHSEED": "0"}
        with subprocess.Popen(words, env=environment, pass_fds=[theirs.fileno()], stderr=subprocess.DEVNULL) as worker:
            theirs.close()
            ours.send({"type": "welcome", "column": 0, "heartbeat": BEAT, "memories": list(memories)}, tuple(memories.values()))
            ours.send({"type": "prepare", "generation": 1, "plan": plan})
            ours.send({"type": "commit", "generation": 1})
            with socket.create_server(("127.0.0.1", 0)) as listening:
                address = listening.getsockname()
                ours.send({"type": "listen", "addresses": [list(address)]}, (listening.fileno(),))
                while ours.wait(600)["type"] != "committed":
                    pass
                ask(address, number)
            ours.send({"type": "stop"})
            worker.wait()
        totals = re.findall(r"^(?:summary|totals): (\d+)", found.read_text(), re.MULTILINE)
        for memory in (board, tally, records, metrics):
            os.close(memory.fd)
        return int(totals[0])


def ask(address: tuple[str, int], number: int) -> None:
    """Send so many requests, one after the other on each of the connections."""
    heads = requests()
    clients = [socket.create_connection(address) for _ in range(CONNECTIONS)]
    for _ in range(number // CONNECTIONS):
        for client in clients:
            client.sendall(next(heads) + b"\r\n\r\n")
        for client in clients:
            read_answer(client)
    for client in clients:
        client.close()


def read_answer(client: socket.socket) -> None:
    """Read one answer whole."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    while len(body) < 1000:
        body += client.recv(65536)


def main() -> None:
    """Print the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without-recording", action="store_true")
    parser.add_argument("--tracing", type=float, default=None)
    parser.add_argument("--source", default="")
    arguments = parser.parse_args()
    if shutil.which("valgrind") is None:
        raise SystemExit("this needs valgrind (Debian: apt install valgrind)")
    found = count(arguments, LONG) - count(arguments, SHORT)
    print(f"{found / (LONG - SHORT):,.0f} instructions for a request")


if __name__ == "__main__":
    main()
