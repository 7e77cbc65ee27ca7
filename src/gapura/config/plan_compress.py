"""The part of a route's plan that says: whether answers are compressed."""

from __future__ import annotations

from typing import TypedDict


class CompressPlan(TypedDict):
    """Whether answers are compressed."""

    algorithms: list[str]  # zstd br gzip, the one liked best first
    types: list[str]  # media types in lower case; "*" stands for any part of one
    minimum: int  # shorter answers stay as they are
    level: int  # 1 (fast) to 9 (small)
