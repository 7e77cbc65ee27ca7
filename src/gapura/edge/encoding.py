"""Which content coding an answer gets: Accept-Encoding with its weights (RFC 9110 §12.5.3)."""

from __future__ import annotations

from typing import Final, NamedTuple

from gapura.edge.weights import weights

REMEMBERED: Final = 256
"""Different values of the field that are remembered; browsers share a handful."""
LONGEST: Final = 256
"""Bytes of the longest that is: clients choose them."""


class Chosen(NamedTuple):
    """`coding` is the one to use, "" for none; `must`: the client has refused an answer without any."""

    coding: str
    must: bool


class Negotiation:
    """Chooses among `offered`, the codings that a server makes, the one it likes best first."""

    __slots__ = ("offered", "_known")

    def __init__(self, offered: tuple[str, ...]) -> None:
        self.offered = offered
        self._known: dict[bytes, Chosen] = {}

    def choose(self, lines: list[bytes]) -> Chosen:
        """The coding for a request with these header lines. A request that says nothing gets none: it may not understand any."""
        accepted = b""
        for line in lines:
            if line[6:7] == b"-" and line[:16].lower() == b"accept-encoding:":
                accepted = accepted + b"," + line[16:] if accepted else line[16:]
        if not accepted:
            return _NOTHING
        found = self._known.get(accepted)
        if found is None:
            found = self._choose(weights(accepted))
            if len(accepted) <= LONGEST:
                if len(self._known) >= REMEMBERED:
                    self._known.clear()
                self._known[accepted] = found
        return found

    def _choose(self, said: dict[bytes, int]) -> Chosen:
        others = said.get(b"*", 0)
        best, coding = 0, ""
        for name in self.offered:
            weight = said.get(name.encode(), others)
            if weight > best:
                best, coding = weight, name
        plain = said.get(b"identity")
        if plain is None:
            refused = b"*" in said and not others
        else:
            refused = not plain
            if plain > best:
                return _NOTHING  # it has said that it likes it better
        return Chosen(coding, refused and bool(coding))


_NOTHING: Final = Chosen("", False)
