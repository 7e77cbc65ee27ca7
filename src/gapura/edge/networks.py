"""A set of networks in which the narrowest that holds an address decides: let in, or not.

One look-up costs as many steps as there are lengths of prefixes, however many networks there are; and who comes again is known.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final

REMEMBERED: Final = 8192
"""Clients whose answer is kept, for each set; a flood of new ones empties the memory instead of filling it."""

_MAPPED: Final = 0xFFFF << 32
"""::ffff:0:0/96: an IPv4 address in the clothes of IPv6 (RFC 4291 §2.5.5.2)."""


class Networks:
    """Made of networks in their shortest form. With `allow` an address in no network may not come in, without it may."""

    __slots__ = ("_rules", "_otherwise", "_known")

    def __init__(self, allow: tuple[str, ...], deny: tuple[str, ...]) -> None:
        """Raises ValueError for what is no network. A network that is in both is denied."""
        rules: dict[int, dict[int, dict[int, bool]]] = {4: {}, 6: {}}
        for networks, answer in ((allow, True), (deny, False)):
            for text in networks:
                network = ipaddress.ip_network(text)
                shift = network.max_prefixlen - network.prefixlen
                rules[network.version].setdefault(shift, {})[int(network.network_address) >> shift] = answer
        self._rules = {version: sorted(by_shift.items()) for version, by_shift in rules.items()}
        self._otherwise = not allow
        self._known: dict[bytes, bool] = {}

    def holds(self, client: bytes) -> bool:
        """Whether the client may come in. What is no address may not."""
        known = self._known.get(client)
        if known is None:
            known = self._decide(client)
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[client] = known
        return known

    def _decide(self, client: bytes) -> bool:
        try:
            address = ipaddress.ip_address(client.decode("latin-1"))
        except ValueError:
            return False
        number, version = int(address), address.version
        if version == 6 and number >> 32 == 0xFFFF:
            number, version = number - _MAPPED, 4
        for shift, answers in self._rules[version]:
            answer = answers.get(number >> shift)
            if answer is not None:
                return answer
        return self._otherwise


@lru_cache(maxsize=32)
def networks(allow: tuple[str, ...], deny: tuple[str, ...]) -> Networks:
    """One object for all routes that say the same: a site's list is compiled once, not once for each route."""
    return Networks(allow, deny)
