"""The name in a ClientHello: real ones whole and in pieces, and whatever else may come."""

from __future__ import annotations

import contextlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapura.wire.client_hello import LONGEST, ClientHello, NotTls, server_name


def hello(name: str | None, **changes: object) -> bytes:
    """What OpenSSL sends."""
    outgoing = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    for key, value in changes.items():
        setattr(context, key, value)
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def records(data: bytes, size: int) -> bytes:
    """The message of one record in records of `size` bytes."""
    message = data[5:]
    parts = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(data[:3] + len(part).to_bytes(2, "big") + part for part in parts)


@pytest.mark.parametrize(
    ("name", "found"), [("a.example", b"a.example"), ("WWW.A.Example", b"www.a.example"), (None, b""), ("10.0.0.1", b"")]
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_real_ones(name: str | None, found: bytes, version: ssl.TLSVersion) -> None:
    data = hello(name, maximum_version=version)
    assert server_name(data) == found
    assert server_name(data + b"more") == found
    for size in (1, 3, 4, 50):
        assert server_name(records(data, size)) == found
    for end in range(len(data)):
        assert server_name(data[:end]) is None
        assert server_name(records(data, 7)[:end]) is None


@pytest.mark.parametrize("size", [1, 2, 7, 200, 20_000])
def test_in_pieces(size: int) -> None:
    data = records(hello("a.example"), 5)
    found = ClientHello()
    answers = [found.feed(data[at : at + size]) for at in range(0, len(data), size)]
    assert answers == [None] * (len(answers) - 1) + [b"a.example"]
    assert found.raw == data


def test_no_byte_is_looked_at_twice() -> None:
    """30,000 bytes in records of one, one by one: with a look at all of them each time this would take minutes."""
    message = b"\x01" + (30_000).to_bytes(3, "big") + bytes(20_000)
    found = ClientHello()
    for byte in message:
        for one in b"\x16\x03\x01\x00\x01" + bytes((byte,)):
            assert found.feed(bytes((one,))) is None
    assert len(found.raw) == 6 * len(message)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x80\x2e\x01",
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\x16\x04",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x03\x01\x00\x01\x02",
        b"\x16\x03\x01\x00\x04\x01" + (LONGEST + 1).to_bytes(3, "big"),
        b"\x16\x03\x01\x00\x06\x01\x00\x00\x02\x03\x03",
    ],
)
def test_what_is_none(data: bytes) -> None:
    with pytest.raises(NotTls):
        server_name(data)


@given(st.binary(max_size=300))
def test_anything(data: bytes) -> None:
    with contextlib.suppress(NotTls):
        server_name(b"\x16\x03\x01" + data)
    body = b"\x01" + len(data).to_bytes(3, "big") + data
    with contextlib.suppress(NotTls):
        assert server_name(b"\x16\x03\x01" + len(body).to_bytes(2, "big") + body) is not None


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_one_byte_changed(at: int, byte: int) -> None:
    data = bytearray(hello("a.example"))
    data[at % len(data)] = byte
    with contextlib.suppress(NotTls):
        server_name(bytes(data))
