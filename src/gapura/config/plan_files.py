"""The part of a route's plan that says how files are sent, beyond their folder."""

from __future__ import annotations

from typing import TypedDict


class CacheRulePlan(TypedDict):
    """What Cache-Control says about files of a certain name."""

    pattern: str  # of a file's name, or with a / in it of its path below the folder; * and ? as in a shell
    value: str  # the field's value


class FilesPlan(TypedDict):
    """How the files of a route are sent. A route that says nothing of it has None."""

    listing: bool  # folders without an index show what is in them
    tries: list[str]  # what is looked for, in order; "$uri" stands for what follows the matched path; [] = the path, its index
    missing: int  # status when nothing of `tries` is there
    precompressed: list[str]  # endings of neighbours, the most wanted first: br zst gz
    cache: list[CacheRulePlan]  # the first that fits counts
    immutable: bool  # names with a hash of their content are cached for a year
    types: dict[str, str]  # media type by ending, which has no dot and is in lower case
