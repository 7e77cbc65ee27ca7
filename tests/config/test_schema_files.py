"""Cache rules, types and lists of neighbours, as people write them."""

from __future__ import annotations

import pytest
from pydantic_core import PydanticCustomError

from gapura.config.schema_files import cache_control


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no-cache", "no-cache"),
        ("1y immutable", "max-age=31536000, immutable"),
        ("1y, Immutable", "max-age=31536000, immutable"),
        ("60", "max-age=60"),
        ("10m", "max-age=600"),
        ("2min", "max-age=120"),
        ("1h public", "max-age=3600, public"),
        ("7d stale-while-revalidate=1d", "max-age=604800, stale-while-revalidate=86400"),
        ("2w", "max-age=1209600"),
        ("private max-age=5", "private, max-age=5"),
        ("no-store no-store", "no-store"),
        ("0", "max-age=0"),
    ],
)
def test_cache_control(text: str, value: str) -> None:
    assert cache_control(text) == value


@pytest.mark.parametrize(
    "text", ["", " , ", "no-cash", "1x", "1.5h", "-1", "max-age", "max-age=", "max-age=x", "immutable=1", "11y", 5, None]
)
def test_what_is_no_rule(text: object) -> None:
    with pytest.raises(PydanticCustomError):
        cache_control(text)
