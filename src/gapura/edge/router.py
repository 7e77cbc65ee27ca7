"""From a host and a path to a route.

Sites by exact name, then by the longest `*.` suffix, then "*"; paths exact, then the longest prefix.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gapura.config.plan import RoutePlan, SitePlan
from gapura.wire.target import host_name

if TYPE_CHECKING:
    from gapura.edge.access_log import AccessLog
    from gapura.edge.exchange import Exchange

NEXT, ANSWERED, PAUSED, REROUTE = range(4)
"""What a step returns: go on with the next one; the answer is under way; a callback will go on; match again (the exchange's
path has changed)."""

Step = Callable[["Exchange"], int]

MAX_REROUTES: Final = 10
_REMEMBERED: Final = 1024


class Route:
    """A compiled route: what it matches and the steps that answer."""

    __slots__ = ("name", "exact", "prefix", "steps", "body_limit", "plan", "log")

    name: bytes
    prefix: bytes
    plan: RoutePlan
    log: AccessLog | None  # given by `Logs.take_up` when the generation is committed

    def __init__(self, plan: RoutePlan, steps: tuple[Step, ...], body_limit: int) -> None:
        self.plan = plan
        self.name = plan["name"].encode()
        self.exact = plan["kind"] == "exact"
        self.prefix = plan["path"].encode()
        self.steps = steps
        self.body_limit = body_limit
        self.log = None


class Site:
    """A compiled site. `only` is its route when it has just one, for every path."""

    __slots__ = ("name", "hosts", "plan", "routes", "log", "only", "_exact", "_prefixes")

    name: bytes
    log: AccessLog | None  # of what it answers without a route

    def __init__(self, plan: SitePlan, routes: list[Route]) -> None:
        self.plan = plan
        self.routes = routes
        self.log = None
        self.hosts = plan["hosts"]
        self.name = plan["hosts"][0].encode()
        self._exact = {route.prefix: route for route in routes if route.exact}
        prefixes = [route for route in routes if not route.exact]
        self._prefixes = sorted(prefixes, key=lambda route: len(route.prefix), reverse=True)
        self.only = routes[0] if len(routes) == 1 and not routes[0].exact and routes[0].prefix == b"/" else None

    def route(self, path: bytes) -> Route | None:
        """The route of a decoded path, None when none matches."""
        if self.only:
            return self.only
        found = self._exact.get(path)
        if found:
            return found
        for route in self._prefixes:
            if path.startswith(route.prefix):
                return route
        return None


class Router:
    """All sites of a snapshot. `known` remembers what `site` found."""

    __slots__ = ("known", "sites", "_exact", "_suffixes", "_default")

    def __init__(self, sites: list[Site]) -> None:
        self.sites = sites
        self._exact: dict[bytes, Site] = {}
        self._suffixes: dict[bytes, Site] = {}
        self._default: Site | None = None
        self.known: dict[bytes, tuple[bytes, Site | None]] = {}
        for site in sites:
            for host in site.hosts:
                if host == "*":
                    self._default = site
                elif host.startswith("*."):
                    self._suffixes[host[2:].encode()] = site
                else:
                    self._exact[host.encode()] = site

    def site(self, host: bytes | None) -> tuple[bytes, Site | None]:
        """(name of the host, its site or None) for a Host header as sent. Raises ClientError 400 when it is no host name."""
        if host is None:  # HTTP/1.0 may leave it out
            return b"", self._default
        found = self.known.get(host)
        if found is None:
            name = host_name(host)
            found = (name, self._find(name))
            if len(self.known) >= _REMEMBERED:
                self.known.clear()
            self.known[host] = found
        return found

    def _find(self, name: bytes) -> Site | None:
        site = self._exact.get(name)
        suffix = name
        while site is None and suffix:
            suffix = suffix.partition(b".")[2]
            site = self._suffixes.get(suffix)
        return site or self._default
