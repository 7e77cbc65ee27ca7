"""Messages bent out of shape, the same ones in every run."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

_PIECES = (
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b";", b",", b"\r\n ", b"\r\n\r\n", b"\x0b", b"\x85", b"\xa0", b"\xff",
    b"%2e%2e", b"%", b"0", b"5", b"-1", b"+1", b"0x5", b"99999999999999999999", b"chunked", b"identity", b"close",
    b"keep-alive", b"HTTP/1.0", b"HTTP/1.1", b"\r\nContent-Length: 5", b"\r\nContent-Length: 0",
    b"\r\nTransfer-Encoding: chunked", b"\r\nHost: b", b"\r\nConnection: host, x", b"\r\nContent-Length : 5",
    b"\r\nTransfer-Encoding : chunked", b"\r\nTransfer-Encoding: xchunked", b"\r\nX: y", b"\r\nUpgrade: h2c", b"0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"http://b/", b"*", b"//",
)  # fmt: skip


def mutants(seeds: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """`count` messages made from `seeds` by one to four changes each."""
    chance = random.Random(seed)
    for number in range(count):
        data = seeds[number % len(seeds)]
        for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 4))):
            data = _change(data, chance)
        yield data


def _change(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    to = min(len(data), at + chance.choice((1, 1, 2, 5, 20)))
    match chance.randrange(7):
        case 0:
            return data[:at] + bytes((chance.randrange(256),)) + data[at + 1 :]
        case 1:
            return data[:at] + data[to:]
        case 2:
            return data[:to] + data[at:to] + data[to:]
        case 3:
            return data[:at] + data[at:to].swapcase() + data[to:]
        case 4:
            lines = data.split(b"\r\n")
            lines.insert(chance.randrange(len(lines) + 1), chance.choice(lines))
            return b"\r\n".join(lines)
        case _:
            return data[:at] + chance.choice(_PIECES) + data[at:]
