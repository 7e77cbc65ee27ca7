from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from gapura.config.quantities import LARGEST, LONGEST, positive_seconds, positive_size, seconds, size, size_or_none


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (10, 10.0),
        (0.5, 0.5),
        ("10s", 10.0),
        ("500ms", 0.5),
        ("1m", 60.0),
        ("1.5 h", 5400.0),
        ("2min", 120.0),
        ("1D", 86400.0),
        ("7", 7.0),
        (0, 0.0),
    ],
)
def test_durations(written: object, meant: float) -> None:
    assert seconds(written) == pytest.approx(meant)


@pytest.mark.parametrize(
    "written",
    [
        "",
        " 1s",
        "1s ",
        "1s\n",
        "s",
        "-1s",
        -1,
        "1w",
        "1 m s",
        "1e3",
        "٣s",
        "1.s",
        ".5s",
        True,
        None,
        [],
        float("nan"),
        float("inf"),
        "999999h",
        1e12,
        10**400,
    ],
)
def test_bad_durations(written: object) -> None:
    with pytest.raises(PydanticCustomError):
        seconds(written)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (1048576, 1 << 20),
        ("500k", 512000),
        ("10M", 10 << 20),
        ("1MiB", 1 << 20),
        ("1.5G", 3 << 29),
        ("7", 7),
        ("0", 0),
        ("64 kb", 65536),
        ("3b", 3),
    ],
)
def test_sizes(written: object, meant: int) -> None:
    assert size(written) == meant


@pytest.mark.parametrize(
    "written", ["", "k", "-1", -1, "1T", "1 0k", "1_000", "１k", 1.5, True, None, {}, "10M\n", 1 << 51, "9999999999G"]
)
def test_bad_sizes(written: object) -> None:
    with pytest.raises(PydanticCustomError):
        size(written)


def test_none_is_no_limit() -> None:
    assert size_or_none("none") == 0
    assert size_or_none("1k") == 1024


def test_zero_can_be_refused() -> None:
    for parse in (positive_seconds, positive_size):
        with pytest.raises(PydanticCustomError, match="must be"):
            parse(0)


@given(st.integers(0, int(LONGEST) * 1000))
def test_milliseconds_come_back(number: int) -> None:
    assert seconds(f"{number}ms") == pytest.approx(number / 1000)


@given(st.integers(0, LARGEST >> 10))
def test_kibibytes_come_back(number: int) -> None:
    assert size(f"{number}k") == size(number * 1024) == number * 1024


@given(st.text() | st.floats() | st.integers() | st.booleans() | st.none())
def test_anything_else_is_refused_politely(value: object) -> None:
    for parse in (seconds, size):
        result: float = 0
        said = ""
        try:
            result = parse(value)
        except PydanticCustomError as error:
            said = str(error)
        assert said.isprintable()
        assert 0 <= result <= max(LONGEST, LARGEST)
