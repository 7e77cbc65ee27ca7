from __future__ import annotations

from gapura.edge.lasting import Lasting


def test_it_is_bytes_with_forms() -> None:
    body = Lasting(b"hello")
    assert body == b"hello"
    assert b"".join([body, b"!"]) == b"hello!"
    assert body.size() == 5
    body.forms["gzip", 2] = b"abc"
    assert body.size() == 8
    assert Lasting(b"hello").forms == {}
