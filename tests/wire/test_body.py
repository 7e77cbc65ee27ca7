"""The chunked coding: strict in what it takes, the same however the bytes arrive."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapura.wire.body import MAX_EXTENSIONS, MAX_LINE, MAX_TRAILERS, MOST_CHUNKS, ChunkedDecoder, FramingError, chunk, last_chunk

from .conversation import bytewise, cut


def decode(pieces: list[bytes]) -> tuple[bytes, list[bytes], bytes]:
    """(payload, trailers, what is behind) of a complete body."""
    decoder = ChunkedDecoder()
    payload = b""
    for at, piece in enumerate(pieces):
        payload += decoder.feed(piece)
        if decoder.done:
            return payload, decoder.trailers, decoder.rest + b"".join(pieces[at + 1 :])
    raise AssertionError("the body does not end")


GOOD = {
    b"0\r\n\r\n": (b"", []),
    b"5\r\nhello\r\n0\r\n\r\n": (b"hello", []),
    b"5\r\nhello\r\n00000\r\n\r\n": (b"hello", []),
    b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n": (b"01234567890123456789", []),
    b"1;x\r\na\r\n1;x=y;z\r\nb\r\n0;end\r\n\r\n": (b"ab", []),
    b'1 ; x="a b"\r\na\r\n0\r\n\r\n': (b"a", []),
    b"2\r\n\r\n\r\n0\r\n\r\n": (b"\r\n", []),
    b"5\r\n0\r\n\r\n\r\n0\r\n\r\n": (b"0\r\n\r\n", []),
    b"1\r\na\r\n0\r\nA: 1\r\nB:\r\n\r\n": (b"a", [b"A: 1", b"B:"]),
}


@pytest.mark.parametrize("body", GOOD, ids=repr)
def test_a_body(body: bytes) -> None:
    payload, trailers = GOOD[body]
    assert decode([body]) == (payload, trailers, b"")
    assert decode(list(bytewise(body))) == (payload, trailers, b"")
    for garbage in (b"\r\n", b"GET / HTTP/1.1\r\n", b"\0"):
        assert decode([body + garbage]) == (payload, trailers, garbage)
        assert decode(list(bytewise(body + garbage))) == (payload, trailers, garbage)


BAD = [
    b"\r\n", b"\n", b"x\r\n", b"-1\r\n", b"+1\r\n", b"0x1\r\n", b"1_0\r\n",
    b" 1\r\n", b"1 \r\n", b"1\t\r\n", b"1,1\r\n", b"1 1\r\n",
    b"1;\r\n", b"1;a\0\r\n", b"1;a\x7f\r\n", b"1\n", b"1\ra\r\n", b"1;a\rb\r\n", b"1;a\nb\r\n",
    b"11111111111111111\r\n", b"ffffffffffffffff\r\n",
    b"1\r\nab", b"1\r\na\n", b"1\r\na\rx", b"1\r\nax\r\n", b"5\r\nhelloX\r\n",
    b"0\r\nno colon\r\n", b"0\r\n: a\r\n", b"0\r\nA : a\r\n", b"0\r\n A: a\r\n", b"0\r\nA: a\0\r\n", b"0\r\nA: a\n", b"0\r\n\n",
    b"0\r\n\rx", b"0\n\n",
    b"1;" + b"x" * MAX_LINE + b"\r\n",
    b"0\r\n" + b"A: " + b"a" * MAX_LINE + b"\r\n",
    b"0\r\n" + (b"A: " + b"a" * 900 + b"\r\n") * (MAX_TRAILERS // 900 + 1),
    (b"1;" + b"x" * 1000 + b"\r\na\r\n") * (MAX_EXTENSIONS // 1000 + 1),
]  # fmt: skip


@pytest.mark.parametrize("body", BAD, ids=[repr(body[:30]) for body in BAD])
def test_a_broken_body(body: bytes) -> None:
    for pieces in ([body], list(bytewise(body))):
        with pytest.raises(FramingError):
            decode(pieces)


def test_a_line_may_be_as_long_as_the_limit() -> None:
    body = b"1;" + b"x" * (MAX_LINE - 2) + b"\r\na\r\n0\r\n\r\n"
    assert decode([body])[0] == decode(list(bytewise(body)))[0] == b"a"


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.lists(st.integers(0, 1000), max_size=8), st.binary(max_size=10))
def test_what_is_encoded_comes_back(parts: list[bytes], places: list[int], behind: bytes) -> None:
    body = b"".join(map(chunk, parts)) + last_chunk([b"A: b"]) + behind
    assert decode(list(cut(body, places))) == (b"".join(parts), [b"A: b"], behind)


def test_the_end_of_a_body() -> None:
    assert last_chunk() == last_chunk([]) == b"0\r\n\r\n"
    assert last_chunk([b"A: 1", b"B: 2"]) == b"0\r\nA: 1\r\nB: 2\r\n\r\n"


def test_chunks_of_one_byte_are_decoded_a_few_at_a_time() -> None:
    decoder = ChunkedDecoder()
    payload = decoder.feed(b"1\r\nz\r\n" * (3 * MOST_CHUNKS) + b"0\r\n\r\nbehind")
    assert len(payload) == MOST_CHUNKS
    assert decoder.rest
    turns = 1
    while not decoder.done:
        payload += decoder.feed(b"")
        turns += 1
    assert payload == b"z" * 3 * MOST_CHUNKS
    assert (decoder.rest, turns) == (b"behind", 4)


def test_what_comes_while_chunks_wait_comes_behind_them() -> None:
    decoder = ChunkedDecoder()
    first = decoder.feed(b"1\r\na\r\n" * (MOST_CHUNKS + 1) + b"2\r\n")
    assert (first, decoder.done) == (b"a" * MOST_CHUNKS, False)
    assert decoder.feed(b"bb\r\n0\r\n\r\n") == b"abb"
    assert decoder.done
