from __future__ import annotations

from gapura.edge.lasting import Lasting


def test_it_is_bytes_with_forms() -> None:
    body = Lasting(b"hello")
    assert body == b"hello"
    assert b"".join([body, b"!"]) == b"hello!"
    body.forms["gzip", 2] = b"abc"
    assert body.forms == {("gzip", 2): b"abc"}
    assert Lasting(b"hello").forms == {}
