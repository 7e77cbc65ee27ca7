"""What a client likes better, as its Accept fields say (RFC 9110 §12.4.2)."""

from __future__ import annotations

import re
from typing import Final

from gapura.wire.headers import OWS

MEMBERS: Final = 50
"""Members of the list that are looked at; nobody sends more and means it."""

_WEIGHT: Final = re.compile(rb"q[ \t]*=[ \t]*(?:(0(?:\.[0-9]{0,3})?)|(1(?:\.0{0,3})?))\Z", re.IGNORECASE)
_SAME: Final = {b"x-gzip": b"gzip"}  # RFC 9110 §8.4.1.3


def weights(value: bytes) -> dict[bytes, int]:
    """Each member of a list, in lower case, to its weight in thousandths, in the order of the list.

    A malformed weight counts as a refusal; of two members of one name the first counts.
    """
    said: dict[bytes, int] = {}
    for member in value.split(b",", MEMBERS)[:MEMBERS]:
        name, *parameters = member.split(b";")
        name = name.strip(OWS).lower()
        if name:
            said.setdefault(_SAME.get(name, name), _weight(parameters))
    return said


def _weight(parameters: list[bytes]) -> int:
    if not parameters:
        return 1000
    match = _WEIGHT.match(parameters[0].strip(OWS))
    if match is None or len(parameters) > 1:
        return 0
    return round(float(match[1] or match[2]) * 1000)
