"""Request heads: what is understood, what is passed on, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from gapura.errors import ClientError
from gapura.wire.request import CHUNKED, RequestHead, parse_request

H = b"\r\nHost: a"


def parse(text: bytes, **limits: int) -> RequestHead:
    return parse_request(text, **limits)


def test_a_plain_head() -> None:
    head = parse(b"GET /a/b?c=d HTTP/1.1\r\nHost: Example.com:81\r\nAccept: */*\r\nUser-Agent: me\r\nReferer: http://b/\r\nX-A:1")
    assert (head.method, head.target, head.path, head.minor) == (b"GET", b"/a/b?c=d", b"/a/b", 1)
    assert head.host == b"Example.com:81"
    assert head.lines == [b"Accept: */*", b"User-Agent: me", b"Referer: http://b/", b"X-A:1"]
    assert (head.length, head.length_seen, head.keep_alive) == (0, False, True)
    assert (head.user_agent, head.referer) == (b"me", b"http://b/")
    assert head.get(b"x-a") == b"1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"GET / HTTP/1.0", {"minor": 0, "host": None, "keep_alive": False}),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive", {"keep_alive": True}),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive, close", {"keep_alive": False}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive", {"keep_alive": True}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: CLOSE", {"keep_alive": False}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close", {"keep_alive": False}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, keep-alive", {"keep_alive": False}),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0", {"length": 0, "length_seen": True}),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\t007 ", {"length": 7, "length_seen": True}),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999999999", {"length": 999999999999999999}),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked", {"length": CHUNKED, "length_seen": True}),
        (b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue", {"expect_continue": True}),
        (b"POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue", {"expect_continue": False}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, Trailers", {"wants_trailers": True}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTE: gzip", {"wants_trailers": False}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: abc", {"request_id": b"abc", "lines": []}),
        (b"OPTIONS * HTTP/1.1\r\nHost: a", {"target": b"*", "path": b"*"}),
        (b"GET http://b/c?d HTTP/1.1\r\nHost: a", {"host": b"b", "target": b"/c?d", "path": b"/c"}),
        (b"GET HTTP://b:8 HTTP/1.1\r\nHost: a", {"host": b"b:8", "target": b"/", "path": b"/"}),
        (b"GET http://b/x/%2e%2e/y HTTP/1.1\r\nHost: a", {"host": b"b", "target": b"/y", "path": b"/y"}),
        (b"PROPFIND / HTTP/1.1\r\nHost: a", {"method": b"PROPFIND"}),
        (b"M-SEARCH / HTTP/1.1\r\nHost: a", {"method": b"M-SEARCH"}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket", {"upgrade": b"websocket"}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: close, upgrade", {"upgrade": b"websocket"}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket", {"upgrade": b"h2c,websocket"}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket", {"upgrade": b""}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive", {"upgrade": b""}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: close", {"upgrade": b""}),
    ],
)
def test_what_a_head_says(text: bytes, expected: dict[str, Any]) -> None:
    head = parse(text)
    assert {name: getattr(head, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("fields", "passed"),
    [
        (b"Connection: x-a, X-B\r\nX-A: 1\r\nx-b: 2\r\nX-C: 3", [b"X-C: 3"]),
        (b"X-A: 1\r\nConnection: x-a\r\nX-A: 2", []),
        (b"Connection: host, content-length, transfer-encoding, x-request-id", []),
        (b"Keep-Alive: 5\r\nProxy-Connection: close\r\nTrailer: A\r\nTE: trailers\r\nHTTP2-Settings: A", []),
        (b"Proxy: http://evil/", []),
        (b"X_Forwarded_For: 1.2.3.4\r\nContent_Length: 7\r\nX_Y: z", []),
        (b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings", []),
        (b"X-Forwarded-For: 1\r\nForwarded: for=1\r\nX-Real-IP: 1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 1", []),
        (b"Cookie: a\r\nCookie: b", [b"Cookie: a", b"Cookie: b"]),
        (b"X: \xe4\xff", [b"X: \xe4\xff"]),
    ],
)
def test_what_ends_here_is_not_passed_on(fields: bytes, passed: list[bytes]) -> None:
    head = parse(b"GET / HTTP/1.1\r\nHost: a\r\n" + fields)
    assert head.lines == passed
    assert head.host == b"a"


def test_forwarded_fields_are_kept_apart() -> None:
    head = parse(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1\r\nX-Forwarded-For: 2")
    assert head.forwarded == (b"X-Forwarded-For: 1", b"X-Forwarded-For: 2")


REFUSED = [
    # the request line
    (400, b""),
    (400, b"GET"),
    (400, b"GET /" + H),
    (400, b"GET  / HTTP/1.1" + H),
    (400, b"GET / HTTP/1.1 " + H),
    (400, b" GET / HTTP/1.1" + H),
    (400, b"GET\t/ HTTP/1.1" + H),
    (400, b"GET / / HTTP/1.1" + H),
    (400, b"G@T / HTTP/1.1" + H),
    (400, b"G\0T / HTTP/1.1" + H),
    (400, b"X" * 33 + b" / HTTP/1.1" + H),
    (400, b"GET / HTTP/1.10" + H),
    (400, b"GET / HTTP/1" + H),
    (400, b"GET / http/1.1" + H),
    (400, b"GET / HTTP/1.2" + H),
    (400, b"GET / HTTP/1.1\r" + H),
    (400, b"GET / ICAP/1.0" + H),
    (505, b"GET / HTTP/2.0" + H),
    (505, b"PRI * HTTP/2.0"),
    (505, b"GET / HTTP/0.9" + H),
    (505, b"GET / HTTP/9.9" + H),
    (405, b"TRACE / HTTP/1.1" + H),
    (405, b"CONNECT a:443 HTTP/1.1" + H),
    # the target
    (400, b"GET a HTTP/1.1" + H),
    (400, b"GET * HTTP/1.1" + H),
    (400, b"GET /a#b HTTP/1.1" + H),
    (400, b"GET /\xe4 HTTP/1.1" + H),
    (400, b"GET /\0 HTTP/1.1" + H),
    (400, b"GET /a\nb HTTP/1.1" + H),
    (400, b"GET /%zz HTTP/1.1" + H),
    (400, b"GET /%00 HTTP/1.1" + H),
    (400, b"GET /../a HTTP/1.1" + H),
    (400, b"GET ftp://a/ HTTP/1.1" + H),
    (400, b"GET http:///a HTTP/1.1" + H),
    (400, b"GET http://u@b/ HTTP/1.1" + H),
    (414, b"GET /" + b"a" * 8192 + b" HTTP/1.1" + H),
    # the host
    (400, b"GET / HTTP/1.1"),
    (400, b"GET http://a/ HTTP/1.1"),
    (400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: a"),
    (400, b"GET / HTTP/1.0\r\nHost: a\r\nhost: b"),
    (400, b"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a"),
    # header lines
    (400, b"GET / HTTP/1.1" + H + b"\r\nno colon"),
    (400, b"GET / HTTP/1.1" + H + b"\r\n: a"),
    (400, b"GET / HTTP/1.1" + H + b"\r\nA : a"),
    (400, b"GET / HTTP/1.1" + H + b"\r\nContent-Length : 5"),
    (400, b"GET / HTTP/1.1" + H + b"\r\n folded"),
    (400, b"GET / HTTP/1.1\r\n Host: a"),
    (400, b"GET / HTTP/1.1" + H + b"\r\nA: b\r\n\tfolded"),
    (400, b"GET / HTTP/1.1" + H + b"\r\nA: b\nC: d"),
    (400, b"GET / HTTP/1.1" + H + b"\r\nA: b\rC: d"),
    (400, b"GET / HTTP/1.1" + H + b"\r\nA: \0"),
    (400, b"GET / HTTP/1.1" + H + b"\r\nA\xe4: b"),
    (400, b"GET / HTTP/1.1" + H + b"\r\nKeep-Alive: \x01"),
    (400, b"GET / HTTP/1.1" + H + b"\r\nProxy : a"),
    (431, b"GET / HTTP/1.1" + H + b"\r\nA: b" * 100),
    # framing
    (400, b"POST / HTTP/1.1" + H + b"\r\nContent-Length:"),
    (400, b"POST / HTTP/1.1" + H + b"\r\nContent-Length: +5"),
    (400, b"POST / HTTP/1.1" + H + b"\r\nContent-Length: -5"),
    (400, b"POST / HTTP/1.1" + H + b"\r\nContent-Length: 5 5"),
    (400, b"POST / HTTP/1.1" + H + b"\r\nContent-Length: 5, 5"),
    (400, b"POST / HTTP/1.1" + H + b"\r\nContent-Length: 0x5"),
    (400, b"POST / HTTP/1.1" + H + b"\r\nContent-Length: 1_0"),
    (400, b"POST / HTTP/1.1" + H + b"\r\nContent-Length: \xb2"),
    (400, b"POST / HTTP/1.1" + H + b"\r\nContent-Length: \x855"),
    (400, b"POST / HTTP/1.1" + H + b"\r\nContent-Length: 5\r\nContent-Length: 5"),
    (400, b"POST / HTTP/1.1" + H + b"\r\nContent-Length: 5\r\ncontent-length: 6"),
    (400, b"POST / HTTP/1.1" + H + b"\r\nContent-Length: 0\r\nContent-Length: 0"),
    (413, b"POST / HTTP/1.1" + H + b"\r\nContent-Length: " + b"9" * 19),
    (400, b"POST / HTTP/1.1" + H + b"\r\nContent-Length: 5\r\nTransfer-Encoding: chunked"),
    (400, b"POST / HTTP/1.1" + H + b"\r\nTransfer-Encoding: chunked\r\nContent-Length: 5"),
    (400, b"POST / HTTP/1.1" + H + b"\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    (400, b"POST / HTTP/1.0" + H + b"\r\nTransfer-Encoding: chunked"),
    (501, b"POST / HTTP/1.1" + H + b"\r\nTransfer-Encoding: gzip"),
    (501, b"POST / HTTP/1.1" + H + b"\r\nTransfer-Encoding: gzip, chunked"),
    (501, b"POST / HTTP/1.1" + H + b"\r\nTransfer-Encoding: chunked, chunked"),
    (501, b"POST / HTTP/1.1" + H + b"\r\nTransfer-Encoding: chunked, identity"),
    (501, b"POST / HTTP/1.1" + H + b"\r\nTransfer-Encoding: \x0bchunked"),
    (501, b"POST / HTTP/1.1" + H + b"\r\nTransfer-Encoding: chunked;a=b"),
    (501, b"POST / HTTP/1.1" + H + b'\r\nTransfer-Encoding: "chunked"'),
    (501, b"POST / HTTP/1.1" + H + b"\r\nTransfer-Encoding:"),
    (417, b"POST / HTTP/1.1" + H + b"\r\nExpect: 200-ok"),
    (417, b"POST / HTTP/1.1" + H + b"\r\nExpect: 100-continue, b"),
]


@pytest.mark.parametrize(("status", "text"), REFUSED, ids=[f"{status}-{text[:60]!r}" for status, text in REFUSED])
def test_what_is_refused(status: int, text: bytes) -> None:
    with pytest.raises(ClientError) as caught:
        parse(text)
    if b"\x0b" in text and caught.value.status == 400:
        return  # a control character, whatever it stands in
    assert caught.value.status == status
    assert caught.value.reason.endswith(".")


@pytest.mark.parametrize("name", [b"X-A", b"Keep-Alive", b"Cookie", b"Content-Length"])
def test_a_bad_line_is_refused_the_second_time_too(name: bytes) -> None:
    """Lines that were seen before are not looked at again, so nothing bad may have been remembered."""
    text = b"GET / HTTP/1.1" + H + b"\r\n" + name + b": 1\0"
    for _ in range(2):
        with pytest.raises(ClientError):
            parse(text)


def test_limits_are_the_callers() -> None:
    text = b"GET /" + b"a" * 9 + b" HTTP/1.1" + H + b"\r\nA: b"
    assert parse(text, max_headers=2, max_target=10).path == b"/" + b"a" * 9
    for limits, status in (({"max_headers": 1}, 431), ({"max_target": 9}, 414)):
        with pytest.raises(ClientError) as caught:
            parse(text, **limits)
        assert caught.value.status == status
