"""Time of the hot functions without the network: `python -m bench.micro [NAME …]`.

Prints the best of several repetitions in µs of CPU per call: that is what the code costs, all above it is the machine.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterator

from gapura import board
from gapura.balance.upstream import Upstream
from gapura.config.plan import ServerPlan, UpstreamPlan
from gapura.wire.body import ChunkedDecoder, chunk, last_chunk
from gapura.wire.request import parse_request
from gapura.wire.response import parse_response

REPETITIONS = 7
SPAN = 0.1
"""Seconds that one repetition takes at least."""

Call = Callable[[], object]


def requests() -> Iterator[bytes]:
    """Browser-like request heads that differ in path, referer and cookie, again and again."""
    heads = [
        (
            f"GET /films/{number}?v={number:06x} HTTP/1.1\r\n"
            "Host: bench.test\r\n"
            f"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/{118 + number % 30}.0\r\n"
            "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
            "Accept-Language: id-ID,id;q=0.9,en-US;q=0.8,en;q=0.7\r\n"
            "Accept-Encoding: gzip, deflate, br, zstd\r\n"
            f"Referer: https://bench.test/films/{number * 7919}\r\n"
            f"Cookie: session={number * 0x9E3779B97F4A7C15:032x}; theme=dark\r\n"
            "Sec-Fetch-Dest: document\r\n"
            "Sec-Fetch-Mode: navigate\r\n"
            "Sec-Fetch-Site: same-origin"
        ).encode()
        for number in range(4999)
    ]
    return itertools.cycle(heads)


def responses() -> Iterator[bytes]:
    """Response heads as an application sends them."""
    heads = [
        (
            "HTTP/1.1 200 OK\r\nServer: app\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\nContent-Type: text/html; charset=utf-8\r\n"
            f'Content-Length: {1000 + number}\r\nETag: "{number:016x}"\r\nCache-Control: no-cache'
        ).encode()
        for number in range(997)
    ]
    return itertools.cycle(heads)


def upstream(policy: str, count: int) -> Upstream:
    """An upstream of `count` servers that are all up, on a board of its own."""
    now = time.monotonic_ns()
    shared = board.Board.create(now)
    shared.cells[board.H_USED] = 1
    servers: list[ServerPlan] = []
    for index in range(count):
        offset = shared.slot(index)
        shared.cells[offset + board.STATE] = board.READY
        shared.cells[offset + board.READY_AT] = now
        servers.append(
            {
                "id": f"127.0.0.1:{3000 + index}",
                "host": "127.0.0.1",
                "port": 3000 + index,
                "path": "",
                "name": "",
                "weight": 1,
                "max_fails": 1,
                "fail_timeout": 10.0,
                "max_conns": 0,
                "slow_start": 0.0,
                "backup": False,
                "down": False,
                "slots": [index],
            }
        )
    plan: UpstreamPlan = {
        "name": "servers",
        "app": False,
        "policy": policy,
        "key": "",
        "consistent": False,
        "servers": servers,
        "names": [],
        "health": None,
        "hold": 3.0,
        "connect_timeout": 2.0,
        "read_timeout": 60.0,
        "send_timeout": 60.0,
        "tries": 0,
        "keepalive": 64,
        "keepalive_timeout": 60.0,
        "sticky": None,
        "queue": 0,
        "queue_timeout": 0.0,
        "tls": None,
        "defaults": None,
    }
    return Upstream(plan, shared, 0)


def turn(policy: str, count: int) -> Call:
    """One exchange's calls of the balancer: claim, answered, release."""
    group = upstream(policy, count)

    def call() -> None:
        now = time.monotonic_ns()
        server = group.claim(now)
        assert server is not None
        slot = server.slot
        group.answered(server, slot, now, now, 500_000)
        group.release(server, slot)

    return call


def cases() -> dict[str, Call]:
    """What is timed, by name."""
    request, response = requests().__next__, responses().__next__
    body = b"".join(chunk(b"x" * 4096) for _ in range(16)) + last_chunk()
    return {
        "request head": lambda: parse_request(request(), 100, 8192),
        "response head": lambda: parse_response(response(), b"GET"),
        "64 KB chunked": lambda: ChunkedDecoder().feed(body),
        "round_robin of 2": turn("round_robin", 2),
        "round_robin of 16": turn("round_robin", 16),
        "least_conn of 2": turn("least_conn", 2),
        "random of 16": turn("random", 16),
    }


def microseconds(call: Call) -> float:
    """Best time of a call in µs."""
    count = 1
    while (span := _run(call, count)) < SPAN:
        count = max(count * 2, int(count * SPAN / max(span, 1e-6)))
    return min(_run(call, count) for _ in range(REPETITIONS)) / count * 1e6


def _run(call: Call, count: int) -> float:
    begun = time.process_time()
    for _ in itertools.repeat(None, count):
        call()
    return time.process_time() - begun


def main(wanted: list[str]) -> None:
    """Print the time of each case whose name holds one of the words `wanted`, or of all."""
    for name, call in cases().items():
        if not wanted or any(word in name for word in wanted):
            print(f"{name:20} {microseconds(call):8.2f} µs", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
