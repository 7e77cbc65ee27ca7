from __future__ import annotations

import pytest

from gapura.edge.answer_head import AnswerHead, weak


def head(*lines: str, status: str = "200 OK") -> AnswerHead:
    return AnswerHead("\r\n".join([f"HTTP/1.1 {status}", *lines]).encode())


def test_what_is_read() -> None:
    found = head("content-TYPE:  text/html; charset=x ", status="404 Nothing")
    assert (found.status, found.content_type) == (404, b"text/html; charset=x")
    assert head().content_type == b""


@pytest.mark.parametrize(
    ("line", "fixed"),
    [
        ("Content-Encoding: gzip", True),
        ("Content-Encoding: ", False),
        ("content-encoding: Identity", False),
        ("Content-Range: bytes 0-1/2", True),
        ("Cache-Control: no-cache", False),
        ("Cache-Control: private, NO-TRANSFORM", True),
        ("X-Content-Encoding: gzip", False),
    ],
)
def test_what_stays_as_it_is(line: str, fixed: bool) -> None:
    assert head("A: b", line).fixed() is fixed


def test_the_head_of_a_compressed_answer() -> None:
    found = head("Digest: x", 'ETag: "a"', "A: b", "Accept-Ranges: bytes", "Content-MD5: y", "Vary: A")
    assert found.compressed("br").split(b"\r\n") == [
        b"HTTP/1.1 200 OK", b"Content-Encoding: br", b'ETag: W/"a"', b"A: b", b"Vary: A, Accept-Encoding",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "result"),
    [
        ((), b"Vary: Accept-Encoding"),
        (("Vary:",), b"Vary:\r\nVary: Accept-Encoding"),
        (("Vary: *",), b"Vary: *"),
        (("vary: accept-encoding",), b"vary: accept-encoding"),
        (("Vary: A", "Vary: Accept-Encoding"), b"Vary: A\r\nVary: Accept-Encoding"),
        (("Vary: A", "Vary: B"), b"Vary: A\r\nVary: B, Accept-Encoding"),
    ],
)
def test_vary(lines: tuple[str, ...], result: bytes) -> None:
    assert head(*lines).varied() == b"HTTP/1.1 200 OK\r\n" + result


@pytest.mark.parametrize(("tag", "asked", "result"), [('"a"', 'W/"a"', 'W/"a"'), ('"a"', '"a"', '"a"'), ('"a"', 'W/"b"', '"a"')])
def test_revalidated(tag: str, asked: str, result: str) -> None:
    assert f"ETag: {result}".encode() in head(f"ETag: {tag}", status="304 No").revalidated(asked.encode()).split(b"\r\n")


def test_weak() -> None:
    assert weak(b'"a"') == weak(b'W/"a"') == b'W/"a"'
