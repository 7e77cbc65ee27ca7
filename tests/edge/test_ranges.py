"""Range requests: which parts, and that no request costs more than the file itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapura.edge.ranges import MAX_RANGES, length_of, multipart, parse


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"bytes=0-0", [(0, 1)]),
        (b"bytes=0-", [(0, 100)]),
        (b"BYTES = 0-9", [(0, 10)]),
        (b"bytes=90-1000", [(90, 10)]),
        (b"bytes=-10", [(90, 10)]),
        (b"bytes=-1000", [(0, 100)]),
        (b"bytes= 0 - 9 ,\t-5", [(0, 10), (95, 5)]),
        (b"bytes=0-9,,20-29,", [(0, 10), (20, 10)]),
        (b"bytes=20-29,0-9", [(20, 10), (0, 10)]),
        (b"bytes=0-9,200-300", [(0, 10)]),
        (b"bytes=99-99", [(99, 1)]),
        (b"bytes=0-18446744073709551615", [(0, 100)]),
        (b"bytes=0-" + b"9" * 4000, [(0, 100)]),
        (b"bytes=-" + b"9" * 4000, [(0, 100)]),
        (b"bytes=" + b"0" * 4000 + b"7-8", [(7, 2)]),
        # 416
        (b"bytes=100-", []),
        (b"bytes=" + b"9" * 4000 + b"-", []),
        (b"bytes=-0", []),
        (b"bytes=100-200,300-", []),
        (b"bytes=,", []),
        (b"bytes=9-8", []),
        (b"bytes=0-9,9-8", []),
        (b"bytes=a-b", []),
        (b"bytes=-", []),
        (b"bytes=--1", []),
        (b"bytes=0x1-2", []),
        (b"bytes=1-2-3", []),
        ("bytes=٣-٤".encode(), []),
        # the whole file
        (b"", None),
        (b"bytes", None),
        (b"bytes=", None),
        (b"items=0-1", None),
        (b"bytes=0-99,0-99", None),
        (b"bytes=0-60,50-99", None),
        (b"bytes=" + b",".join([b"0-0"] * (MAX_RANGES + 1)), None),
        (b"bytes=" + b"0-," * 1000 + b"0-", None),
        (b"bytes=" + b"," * 5000, None),
    ],
)
def test_parse(value: bytes, found: list[tuple[int, int]] | None) -> None:
    assert parse(value, 100) == found


def test_an_empty_file_is_sent_whole() -> None:
    assert parse(b"bytes=0-", 0) is parse(b"bytes=-1", 0) is None


positions = st.integers(0, 50)
specs = st.one_of(
    st.tuples(positions, positions).map(lambda ends: f"{min(ends)}-{max(ends)}"),
    positions.map(lambda first: f"{first}-"),
    positions.map(lambda last: f"-{last}"),
)


@given(st.lists(specs, min_size=1, max_size=MAX_RANGES), st.integers(0, 40))
def test_as_python_slices(texts: list[str], size: int) -> None:
    """Every range is the slice that it reads as; together they are never longer than the file."""
    data = bytes(range(size))
    wanted = []
    for text in texts:
        first, _, last = text.partition("-")
        piece = data[int(first) : int(last) + 1 if last else None] if first else data[-int(last) :] if int(last) else b""
        if piece:
            wanted.append(piece)
    found = parse(b"bytes=" + ",".join(texts).encode(), size)
    if found is None:
        if not size:
            return
        assert len(wanted) > 1
        assert sum(map(len, wanted)) > size
    else:
        assert [data[first : first + length] for first, length in found] == wanted


@given(st.binary(max_size=60), st.integers(0, 1 << 40))
def test_whatever_is_sent(garbage: bytes, size: int) -> None:
    for value in (garbage, b"bytes=" + garbage):
        for first, length in parse(value, size) or []:
            assert 0 <= first < size
            assert 0 < length <= size - first


def test_multipart() -> None:
    pieces = multipart([(0, 2), (5, 3)], 10, b"text/plain", b"BOUNDARY")
    data = b"0123456789"
    body = b"".join(piece if isinstance(piece, bytes) else data[piece[0] : piece[0] + piece[1]] for piece in pieces)
    assert body == (
        b"\r\n--BOUNDARY\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01"
        b"\r\n--BOUNDARY\r\nContent-Type: text/plain\r\nContent-Range: bytes 5-7/10\r\n\r\n567"
        b"\r\n--BOUNDARY--\r\n"
    )
    assert length_of(pieces) == len(body)
