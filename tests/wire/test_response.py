"""Response heads: framing, persistence, what is passed on, what is 502."""

from __future__ import annotations

from typing import Any

import pytest

from gapura.errors import ServerError
from gapura.wire.response import CHUNKED, MAX_HEADERS, UNTIL_CLOSE, parse_response

OK = b"HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    ("text", "method", "expected"),
    [
        (OK, b"GET", {"status": 200, "status_line": b"200 OK", "length": UNTIL_CLOSE, "reusable": False}),
        (OK + b"\r\nContent-Length: 5", b"GET", {"length": 5, "declared": 5, "reusable": True}),
        (OK + b"\r\nContent-Length: 0", b"GET", {"length": 0, "declared": 0, "reusable": True}),
        (OK + b"\r\nTransfer-Encoding: Chunked", b"GET", {"length": CHUNKED, "declared": -1, "reusable": True}),
        (
            OK + b"\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
            b"GET",
            {"length": CHUNKED, "declared": -1, "reusable": False},
        ),
        (OK + b"\r\nContent-Length: 5", b"HEAD", {"length": 0, "declared": 5, "reusable": True}),
        (OK, b"HEAD", {"length": 0, "declared": -1, "reusable": True}),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5", b"GET", {"length": 0, "declared": 5, "reusable": True}),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5", b"GET", {"length": 0, "declared": -1, "reusable": True}),
        (b"HTTP/1.1 103 Early Hints\r\nLink: a", b"GET", {"length": 0, "declared": -1, "lines": [b"Link: a"]}),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5", b"GET", {"minor": 0, "length": 5, "reusable": False}),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive", b"GET", {"length": 5, "reusable": True}),
        (OK + b"\r\nContent-Length: 5\r\nConnection: close", b"GET", {"reusable": False}),
        (OK + b"\r\nContent-Length: 5\r\nConnection: keep-alive, Close", b"GET", {"reusable": False}),
        (b"HTTP/1.1 200", b"GET", {"status": 200, "status_line": b"200 "}),
        (b"HTTP/1.1 299 ", b"GET", {"status": 299, "status_line": b"299 "}),
        (b"HTTP/1.1 404 Tidak \xe4 ditemukan", b"GET", {"status": 404, "status_line": b"404 Tidak \xe4 ditemukan"}),
        (b"HTTP/1.1 599 x", b"GET", {"status": 599}),
        (OK + b"\r\nTrailer: A", b"GET", {"trailer": b"Trailer: A", "lines": []}),
        (OK + b"\r\nUpgrade: websocket\r\nConnection: upgrade", b"GET", {"upgrade": b"websocket", "lines": []}),
    ],
)
def test_what_a_head_says(text: bytes, method: bytes, expected: dict[str, Any]) -> None:
    for _ in range(2):  # the second time from memory
        head = parse_response(text, method)
        assert {name: getattr(head, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("fields", "passed"),
    [
        (b"Server: a\r\nX: b", [b"Server: a", b"X: b"]),
        (b"Keep-Alive: 5\r\nProxy-Connection: a\r\nTE: b\r\nConnection: x-y\r\nX-Y: z\r\nX-Z: z", [b"X-Z: z"]),
        (b"X-Served-By: them\r\nX-Request-Id: theirs", []),
        (b"Set-Cookie: a\r\nSet-Cookie: b", [b"Set-Cookie: a", b"Set-Cookie: b"]),
        (b"A \t: b", [b"A: b"]),
        (b"A: b \r\n  c\r\n\td", [b"A: b c d"]),
        (b"X_Y: z", [b"X_Y: z"]),
        (b"X: \xe4", [b"X: \xe4"]),
    ],
)
def test_what_is_passed_on(fields: bytes, passed: list[bytes]) -> None:
    assert parse_response(OK + b"\r\n" + fields, b"GET").lines == passed


BAD = [
    b"",
    b"hello",
    b"HTTP/2 200 OK",
    b"HTTP/1.2 200 OK",
    b"http/1.1 200 OK",
    b"HTTP/1.1",
    b"HTTP/1.1 20",
    b"HTTP/1.1 2000 OK",
    b"HTTP/1.1 2x0 OK",
    b"HTTP/1.1 099 OK",
    b"HTTP/1.1 600 OK",
    b"HTTP/1.1  200 OK",
    b"HTTP/1.1 200OK",
    b"HTTP/1.1 200\tOK",
    b"HTTP/1.1 200 a\0b",
    b"HTTP/1.1 200 a\rb",
    b"HTTP/1.1 200 OK\nA: b",
    OK + b"\r\n folded",
    OK + b"\r\nno colon",
    OK + b"\r\n: a",
    OK + b"\r\nA b: c",
    OK + b"\r\nA: b\0",
    OK + b"\r\nA: b\nC: d",
    OK + b"\r\nA: b\r C: d\x07",
    OK + b"\r\nContent-Length: x",
    OK + b"\r\nContent-Length: -1",
    OK + b"\r\nContent-Length: +1",
    OK + b"\r\nContent-Length:",
    OK + b"\r\nContent-Length: 5, 5",
    OK + b"\r\nContent-Length: 5\r\nContent-Length: 5",
    OK + b"\r\nContent-Length: 5\r\nContent-Length: 6",
    OK + b"\r\nContent-Length: " + b"1" * 19,
    OK + b"\r\nTransfer-Encoding: gzip",
    OK + b"\r\nTransfer-Encoding: gzip, chunked",
    OK + b"\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked",
    OK + b"\r\nA: b" * MAX_HEADERS,
]


@pytest.mark.parametrize("text", BAD, ids=[repr(text[:60]) for text in BAD])
def test_nonsense_is_502(text: bytes) -> None:
    with pytest.raises(ServerError) as caught:
        parse_response(text, b"GET")
    assert caught.value.status == 502


def test_a_field_is_found() -> None:
    head = parse_response(OK + b"\r\nA: b\r\nLocation: /c", b"GET")
    assert head.get(b"location") == b"/c"
    assert head.get(b"server") is None
