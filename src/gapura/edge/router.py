"""From a host and a path to a route.

Sites by exact name, then by the longest `*.` suffix, then "*"; paths exact, then regexes in the order of the file, then the
longest prefix. Routes of the same path are tried in the order of the file, those without conditions last.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from gapura.config.plan import RoutePlan, SitePlan
from gapura.config.regexes import compiled
from gapura.edge.match import FITS, OTHER_METHOD, Asking, Conditions
from gapura.errors import ClientError
from gapura.wire.target import host_name

if TYPE_CHECKING:
    from gapura.edge.access_log import AccessLog
    from gapura.edge.exchange import Exchange
    from gapura.edge.recording import Meter

NEXT, ANSWERED, PAUSED, REROUTE = range(4)
"""What a step returns: go on with the next one; the answer is under way; a callback will go on; match again (the exchange's
path has changed)."""

Step = Callable[["Exchange"], int]

MAX_REROUTES: Final = 10
_DOUBTFUL: Final = re.compile(rb"//|%(?:25)*2F|[;\\]")
_SLASH: Final = re.compile(rb"/|\\|%(?:25)*2F")
_REMEMBERED: Final = 1024


class Seeking(Asking, Protocol):
    """What routes are looked for by; `groups` takes those of the regex that was found."""

    groups: re.Match[bytes] | None


class NotAllowed(ClientError):
    """The path has routes, for other methods (RFC 9110 §15.5.6). `route` is one of them."""

    def __init__(self, methods: set[bytes], route: Route) -> None:
        super().__init__(405, "method")
        self.route = route
        self.allow = b"Allow: " + b", ".join(sorted(methods))


class Route:
    """A compiled route: what it matches and the steps that answer. `prefix` is empty when a regex matches."""

    __slots__ = (
        *("name", "exact", "prefix", "regex", "conditions", "steps", "body_limit", "dressing", "plan", "log", "meter", "rules"),
    )

    name: bytes
    prefix: bytes
    plan: RoutePlan
    log: AccessLog | None  # given by `Logs.take_up` when the generation is committed
    meter: Meter  # by `Recorder.take_up`

    def __init__(self, plan: RoutePlan, steps: tuple[Step, ...], body_limit: int) -> None:
        self.plan = plan
        self.name = plan["name"].encode()
        self.exact = plan["kind"] == "exact"
        self.regex = compiled(plan["path"]) if plan["kind"] == "regex" else None
        self.prefix = b"" if self.regex else plan["path"].encode()
        self.conditions = Conditions(plan["match"], _answers_preflights(plan)) if plan["match"] else None
        self.steps = steps
        self.body_limit = body_limit
        self.dressing: tuple[Step, ...] = ()  # steps that see to the headers of every answer, also when no other step has its turn
        self.log = None
        self.rules = _rules(plan)


def _rules(plan: RoutePlan) -> tuple[object, ...]:
    """What a route refuses by; empty when it lets everybody in."""
    access = plan["access"]
    judges = ("networks", "satisfy", "basic_auth", "jwt", "forward_auth")
    judged = {name: access[name] for name in judges} if access else {}  # type: ignore[literal-required]
    found = (
        judged if any(judged[name] for name in judged if name != "satisfy") else None,
        plan["limit"],
        plan["action"] == "nowhere" or (plan["action"] == "respond" and plan["status"] >= 400),
    )
    return found if any(found) else ()


def _answers_preflights(plan: RoutePlan) -> bool:
    access = plan["access"]
    return bool(access and access.get("cors"))


def site_of(plan: SitePlan, routes: list[Route]) -> Site:
    """A compiled site: the plain kind when only paths count."""
    ruled = any(route.regex or route.conditions for route in routes)
    return RuledSite(plan, routes) if ruled else Site(plan, routes)


class Site:
    """A compiled site. `only` is its route when it has just one, for every path."""

    __slots__ = ("name", "hosts", "plan", "routes", "log", "meter", "gate", "only", "guarded", "_exact", "_prefixes")

    name: bytes
    log: AccessLog | None  # of what it answers without a route
    meter: Meter  # the same

    def __init__(self, plan: SitePlan, routes: list[Route]) -> None:
        self.plan = plan
        self.routes = routes
        self.log = None
        self.gate: Step | None = None
        """What comes before the routes; see `edge/secure`."""
        self.hosts = plan["hosts"]
        self.name = plan["hosts"][0].encode()
        self.guarded = len({str(route.rules) for route in routes}) > 1
        """Whether some of its routes refuse what others let in."""
        self._exact = {route.prefix: route for route in routes if route.exact}
        prefixes = [route for route in routes if not route.exact]
        self._prefixes = sorted(prefixes, key=lambda route: len(route.prefix), reverse=True)
        self.only = routes[0] if len(routes) == 1 and routes[0].prefix == b"/" and _plain(routes[0]) else None

    def route(self, path: bytes, seeking: Seeking) -> Route | None:
        """The route of a decoded path, None when none matches. Raises ClientError 405 when all of them are for other methods."""
        if self.only:
            return self.only
        found = self._exact.get(path)
        if found:
            return found
        for route in self._prefixes:
            if path.startswith(route.prefix):
                return route
        return None


def read_otherwise(path: bytes) -> bytes | None:
    """The path as files and many servers read it, None when they read the same: slashes merged, encoded ones and \\ taken for
    slashes, what follows a ; in a segment left out, and dot segments resolved after that.
    """
    if _DOUBTFUL.search(path) is None:
        return None
    kept: list[bytes] = []
    segments = _SLASH.split(path)
    for segment in segments:
        name = segment.partition(b";")[0]
        if name == b"..":
            del kept[-1:]
        elif name not in (b"", b"."):
            kept.append(name)
    end = b"/" if kept and segments[-1].partition(b";")[0] in (b"", b".", b"..") else b""
    return b"/" + b"/".join(kept) + end


def check_reading(site: Site, route: Route, path: bytes, seeking: Seeking) -> None:
    """Raise ClientError 400 for a path that somebody behind may take for one of a route with stricter rules (CWE-180, CWE-551)."""
    other = read_otherwise(path)
    if other is None:
        return
    groups = seeking.groups
    meant = site.route(other, seeking)
    seeking.groups = groups
    if meant is not None and meant is not route and meant.rules and meant.rules != route.rules:
        raise ClientError(400, "The path can be read in two ways: it has //, %2F, ; or \\ in it.")


def _plain(route: Route) -> bool:
    return not (route.exact or route.regex or route.conditions)


class _Group:
    """Routes of the same path, in the order in which they are tried."""

    __slots__ = ("path", "regex", "before_regex", "routes")

    def __init__(self, first: Route) -> None:
        self.path = first.prefix
        self.regex = first.regex
        self.before_regex = False
        self.routes: list[Route] = []

    def add(self, route: Route) -> None:
        self.routes.append(route)
        self.routes.sort(key=lambda one: one.conditions is None)
        self.before_regex = self.before_regex or bool(route.plan["before_regex"])

    def pick(self, seeking: Seeking) -> Route | None:
        """The route whose conditions hold. Raises NotAllowed when only the method is at fault."""
        methods: set[bytes] = set()
        for route in self.routes:
            conditions = route.conditions
            if conditions is None:
                return route
            found = conditions.check(seeking)
            if found == FITS:
                return route
            if found == OTHER_METHOD:
                methods |= conditions.methods
        if methods:
            raise NotAllowed(methods, self.routes[0])
        return None


class RuledSite(Site):
    """A site with regexes or conditions."""

    __slots__ = ("_paths", "_regexes", "_longest")

    def __init__(self, plan: SitePlan, routes: list[Route]) -> None:
        super().__init__(plan, routes)
        self._paths: dict[bytes, _Group] = {}
        self._regexes: dict[str, _Group] = {}
        prefixes: dict[bytes, _Group] = {}
        for route in routes:
            if route.regex:
                group = self._regexes.setdefault(route.plan["path"], _Group(route))
            else:
                group = (self._paths if route.exact else prefixes).setdefault(route.prefix, _Group(route))
            group.add(route)
        self._longest = sorted(prefixes.values(), key=lambda group: len(group.path), reverse=True)

    def route(self, path: bytes, seeking: Seeking) -> Route | None:
        """As for a plain site; a path whose conditions do not hold is passed over."""
        exact = self._paths.get(path)
        if exact is not None and (found := exact.pick(seeking)):
            return found
        prefixes = [group for group in self._longest if path.startswith(group.path)]
        if prefixes and prefixes[0].before_regex and (found := prefixes[0].pick(seeking)):
            return found
        for group in self._regexes.values():
            match = group.regex.search(path) if group.regex else None
            if match is not None and (found := group.pick(seeking)):
                seeking.groups = match
                return found
        for group in prefixes:
            if found := group.pick(seeking):
                return found
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
