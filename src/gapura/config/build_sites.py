"""The sites of a plan and their routes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypedDict

from .addresses import AddressError, parse_server, site_host, split_port
from .build_access import access
from .build_compress import compress
from .build_edit import edit, replacement
from .build_error_pages import ErrorPages
from .build_files import files
from .build_limit import limit
from .build_log import LogPlans
from .build_maintenance import maintenance
from .build_match import decoded, match
from .build_tls import site_tls
from .build_traffic import traffic
from .build_upstreams import Upstreams, absolute
from .findings import Findings
from .options import Options
from .plan import RoutePlan, SitePlan, upstreams_of
from .plan_admin import LARGEST
from .plan_error_pages import ErrorPagesPlan
from .plan_match import MatchPlan
from .plan_traffic import TrafficPlan
from .positions import Path
from .regexes import translated
from .schema_edge import Edge
from .schema_site import Action, Route, Site
from .texts import NONE, Groups, check_text, groups_of
from .words import nearest, shown

ACTIONS: Final = ("proxy", "split", "files", "redirect", "respond", "dashboard")
_BELONGS: Final = {
    "proxy": ("strip_prefix", "host_header", "connect_timeout", "read_timeout", "send_timeout"),
    "files": ("index", "fallback"),
}
_ACTION: Final = {"split": "proxy", "dashboard": "proxy"}
_LIKE: Final = {"proxy": ("split",)}
_OWN: Final = tuple(Action.__annotations__)
"""Keys that a route does not inherit from its site."""
_BARE_HOST: Final = re.compile(r"[0-9.]+|localhost|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", re.ASCII)


class _Matched(TypedDict):
    """The part of a route's plan that says what it is for."""

    name: str
    kind: str
    path: str
    before_regex: bool | None
    match: MatchPlan | None


class Sites:
    """Collects the sites of a plan; `names` are the upstreams and apps that `proxy` may name."""

    def __init__(
        self, findings: Findings, upstreams: Upstreams, names: Mapping[str, str], folder: str, auto: bool, logs: LogPlans
    ) -> None:
        self.findings = findings
        self.upstreams = upstreams
        self.names = names
        self.folder = folder
        self.auto = auto
        self.logs = logs
        self.plans: list[SitePlan] = []
        self.host_of: dict[str, str] = {}
        self.edge = Edge()
        self._owners: dict[str, str] = {}

    def add(self, key: str, site: Site) -> None:
        """A site of the file. What [edge] says holds for all that say nothing."""
        if site.compress is None:
            site = site.model_copy(update={"compress": self.edge.compress})
        path: Path = ("sites", key)
        hosts = self._hosts(path, key, site)
        routes = [self._route((*path, "routes", index), route, path, site) for index, route in enumerate(site.routes)]
        if _actions(site) or not routes:
            routes.append(self._route(path, site, path, site))
        elif left := [name for name in _OWN if getattr(site, name) is not None]:
            hint = "write them into the routes, or give the site an action"
            self.findings.error((*path, left[0]), f'{", ".join(left)} without an action for "/"', hint, at_key=True)
        elif (site.redirects or site.response_headers) and not any(_takes_all(route) for route in routes):
            routes.append({**self._plan(path, site, path, site), "action": "nowhere"})
        self._check_paths(path, site, routes)
        tls = site_tls(self.findings, (*path, "tls"), site.tls, hosts, self.auto, self.folder)
        pages = self._error_pages(site, None)
        look = maintenance(site, self.folder)
        access_log = self.logs.of_site(site.access_log, (*path, "access_log"))
        self.plans.append(
            {
                "hosts": hosts,
                "access_log": access_log,
                "error_pages": pages,
                "maintenance": look,
                "closed": None,
                "tls": tls,
                "routes": routes,
            }
        )
        plain = next((host for host in hosts if "*" not in host), None)
        for name in [name for route in routes for name in upstreams_of(route)]:
            if plain is not None:
                self.host_of.setdefault(name, plain)

    def _hosts(self, path: Path, key: str, site: Site) -> list[str]:
        hosts: list[str] = []
        for place, text in [(path, key), *(((*path, "hosts", index), more) for index, more in enumerate(site.hosts))]:
            try:
                host = site_host(text)
            except AddressError as error:
                self.findings.error(place, str(error), error.hint, at_key=place == path)
                continue
            if host in hosts:
                self.findings.error(place, f"{host} is named twice", "keep one of them", at_key=place == path)
            elif host in self._owners:
                message = f'{host} already belongs to [sites."{shown(self._owners[host])}"]'
                self.findings.error(place, message, "a host has one site", at_key=place == path)
            else:
                self._owners[host] = key
                hosts.append(host)
        return hosts

    def _check_paths(self, path: Path, site: Site, routes: list[RoutePlan]) -> None:
        seen: list[tuple[str, str, MatchPlan | None]] = []
        for index, route in enumerate(routes):
            match = route["kind"], route["path"], route["match"]
            if match in seen:
                here = (*path, "routes", index, "path") if index < len(site.routes) else path
                short = index >= len(site.routes)
                hint = 'the action of the site is the route for "/": keep one of them' if short else "keep one of them"
                alike = " with the same conditions" if route["match"] else ""
                self.findings.error(here, f'"{route["path"]}" has two routes{alike}', hint, at_key=short)
            seen.append(match)

    def _route(self, path: Path, route: Action, site_path: Path, site: Site) -> RoutePlan:
        self._check_action(path, route)
        return self._plan(path, route, site_path, site)

    def _plan(self, path: Path, route: Action, site_path: Path, site: Site) -> RoutePlan:
        options = Options(route, path, site, site_path, self.findings, self.folder, self._upstream)
        matched = self._match(path, route)
        groups = self._groups(path, route, options)
        shares = traffic(options)
        action = next(iter(_actions(route)), "respond")
        return {
            **matched,  # type: ignore[typeddict-item]  # "row" is filled in by the master
            "action": _ACTION.get(action, action),
            "upstream": self._target(path, route, shares),
            "rewrite": replacement(route),
            "host_header": route.host_header or "",
            "connect_timeout": route.connect_timeout,
            "read_timeout": route.read_timeout,
            "send_timeout": route.send_timeout,
            "body_limit": LARGEST if route.dashboard else route.body_limit,
            "folder": "" if route.files is None else absolute(self.folder, route.files),
            "index": (["index.html"] if route.index is None else route.index) if route.files is not None else [],
            "fallback": (route.fallback or "").lstrip("/"),
            "status": route.redirect.status if route.redirect else route.respond.status if route.respond else 0,
            "location": route.redirect.to if route.redirect else "",
            "body": route.respond.body if route.respond else "",
            "content_type": route.respond.type if route.respond else "",
            "access_log": self.logs.of(options),
            "access": access(options),
            "limit": limit(options),
            "edit": edit(options, groups),
            "compress": compress(options),
            "error_pages": self._error_pages(route, site),
            "files": files(options),
            "dashboard": {"implicit": False} if route.dashboard else None,
            "traffic": shares,
        }

    def _target(self, path: Path, route: Action, shares: TrafficPlan | None) -> str:
        """The upstream; of a split the first one."""
        if shares is not None and shares["split"] is not None:
            return shares["split"]["choices"][0]["upstream"]
        if route.dashboard:
            return self.upstreams.add_dashboard(path)
        return "" if route.proxy is None else self._upstream((*path, "proxy"), route.proxy)

    def _match(self, path: Path, route: Action) -> _Matched:
        """What the route is for."""
        if not isinstance(route, Route):
            return {"name": "/", "kind": "prefix", "path": "/", "before_regex": None, "match": None}
        conditions = match(route, path, self.findings)
        text = translated(route.path) if route.kind == "regex" else decoded(route.path)
        name = f"{','.join(route.methods)} {route.path}" if route.methods else route.path
        return {"name": name, "kind": route.kind, "path": text, "before_regex": route.before_regex or None, "match": conditions}

    def _groups(self, path: Path, route: Action, options: Options) -> Groups:
        """The groups of the route's regex, and a look at the texts that may name them."""
        regex = isinstance(route, Route) and route.kind == "regex"
        groups = groups_of(self.findings, (*path, "path"), route.path) if isinstance(route, Route) and regex else NONE
        if route.redirect is not None:
            check_text(self.findings, (*path, "redirect", "to"), route.redirect.to, groups)
        if route.respond is not None:
            check_text(self.findings, (*path, "respond", "body"), route.respond.body, groups)
        return groups

    def _error_pages(self, options: Action, site: Site | None) -> ErrorPagesPlan | None:
        """Of a route in its site; of a site with None."""
        said = ErrorPages(self.folder).with_those(self.edge)
        if site is not None:
            said = said.with_those(site, site.files)
        if site is options:
            return said.plan()
        return said.with_those(options, options.files if site is None or options.files is not None else site.files).plan()

    def _check_action(self, path: Path, route: Action) -> None:
        actions = _actions(route)
        label = "the route" if isinstance(route, Route) else "the site"
        if not actions:
            hint = 'say what to do: proxy = "app", files = "folder", redirect = "https://…" or respond = "text"'
            self.findings.error(path, f"{label} does nothing", hint, at_key=True)
        elif len(actions) > 1:
            message = f"{label} has two actions: {' and '.join(actions)}"
            self.findings.error((*path, actions[1]), message, "keep one; another path is another route", at_key=True)
        for action, keys in _BELONGS.items():
            for key in keys:
                if getattr(route, key) is not None and actions and not {action, *_LIKE.get(action, ())} & set(actions):
                    message = f"{key} belongs to {action}, this is {actions[0]}"
                    self.findings.error((*path, key), message, "leave it out", at_key=True)

    def _upstream(self, path: Path, text: str) -> str:
        """The upstream that `proxy` names, or one made of an address."""
        try:
            return self._lookup(path, text)
        except AddressError as error:
            self.findings.error(path, str(error), error.hint)
            return text

    def _lookup(self, path: Path, text: str) -> str:
        name, secure = _without_scheme(text)
        if name in self.names:
            if secure and self.names[name] == "app":
                raise AddressError(f"{name} is an app, spoken to in plain HTTP on this machine", f'write proxy = "{name}"')
            if secure:
                raise AddressError(f'"{shown(text)}": TLS belongs to the upstream', f"write tls = true in [upstreams.{name}]")
            return name
        head, colon, port = name.rpartition(":")
        if colon and head in self.names:
            raise AddressError(f'"{head}" is an {self.names[head]}: no port behind its name', f'write proxy = "{head}"')
        if name != text or name.startswith(("unix:", "[")) or (colon and (port.isdigit() or not port)):
            if secure and not name.startswith("unix:") and not split_port(name)[1]:
                name += ":443"
            return self.upstreams.add_address(parse_server(name), path, secure)
        raise self._unknown(name)

    def _unknown(self, name: str) -> AddressError:
        if near := nearest(name, self.names):
            hint = f'did you mean "{near}"?'
        elif _BARE_HOST.fullmatch(name):
            return AddressError(f'"{name}" has no port', f'write proxy = "{name}:3000", with the port it listens on')
        elif self.names:
            hint = f"there are: {', '.join(map(shown, sorted(self.names)))}"
        else:
            hint = f'write [apps.{shown(name)}], or an address: "localhost:3000"'
        return AddressError(f'there is no upstream or app "{shown(name)}"', hint)


def _without_scheme(text: str) -> tuple[str, bool]:
    """`localhost:3000` of `http://localhost:3000/`, as people write it after proxy_pass, and whether it is https. Raises
    AddressError.
    """
    match = re.fullmatch(r"(?i)(https?)://([^/]*)(/.*)?", text)
    if match is None:
        return text, False
    name, rest = match[2], match[3] or "/"
    secure = match[1].lower() == "https"
    if rest != "/":
        bare = f"https://{name}" if secure else name
        raise AddressError(f'"{shown(text)}" has a path', f'write proxy = "{shown(bare)}" and rewrite = "{shown(rest)}"')
    return name, secure


def _takes_all(route: RoutePlan) -> bool:
    """No path of the site is left without a route."""
    return route["kind"] == "prefix" and route["path"] == "/" and route["match"] is None


def _actions(route: Action) -> list[str]:
    return [name for name in ACTIONS if getattr(route, name) is not None]
