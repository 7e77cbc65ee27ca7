"""The upstreams of a plan: written ones, those that apps are, and those that an address in `proxy` makes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from .addresses import Address, AddressError, is_made_up, is_private, parse_server
from .build_balancing import check_balancing, queue_timeout, sticky
from .build_tls import upstream_tls
from .findings import Findings
from .place import paths_of
from .plan import STANDARD, DefaultsPlan, HealthPlan, NamePlan, ServerPlan, UpstreamPlan, expand, without_twins
from .plan_admin import DASHBOARD, UPSTREAM
from .positions import Path
from .schema_app import App
from .schema_tls import UpstreamTls
from .schema_upstream import WITHOUT_BACKUP, Balancing, Health, Server, Upstream
from .words import nearest

Resolver: TypeAlias = Callable[[Sequence[str]], Mapping[str, list[str]]]
"""Numeric addresses of DNS names; a name that is not in the result, or has none, does not resolve."""

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)


def check_name(findings: Findings, path: Path, name: str) -> None:
    """Names of apps and upstreams become parts of file names, ids and commands."""
    if not NAME.fullmatch(name):
        kind = "an app" if path[0] == "apps" else "an upstream"
        hint = "1 to 64 letters, digits, - _ and ., beginning with a letter or digit"
        findings.error(path, f"this cannot be the name of {kind}", hint, at_key=True)


class Upstreams:
    """Collects the upstreams of a plan; DNS names are resolved all at once at the end."""

    def __init__(self, findings: Findings, folder: str) -> None:
        self.findings = findings
        self.folder = folder
        self.plans: dict[str, UpstreamPlan] = {}
        self.paths: dict[str, Path] = {}
        """Where each one is written."""
        self._health: dict[str, Health | None] = {}
        self._names: list[tuple[Path, UpstreamPlan, NamePlan]] = []

    def add(self, name: str, upstream: Upstream) -> None:
        """An upstream of the file."""
        path: Path = ("upstreams", name)
        check_name(self.findings, path, name)
        plan = self.start(name, path, upstream)
        check_balancing(self.findings, path, upstream, upstream.servers)
        seen: set[str] = set()
        for index, server in enumerate(upstream.servers):
            self.add_server(plan, (*path, "servers", index), upstream, server, seen)
        servers = upstream.servers
        if servers and all(server.backup for server in servers):
            hint = "leave backup out of at least one"
            self.findings.error((*path, "servers"), f"all servers of {name} are backups", hint, at_key=True)

    def add_app(self, name: str, app: App, instances: int) -> None:
        """The upstream that an app is: its instances are its servers, their ports are on the board."""
        plan = self.start(name, ("apps", name), app)
        plan["app"] = True
        check_balancing(self.findings, ("apps", name), app)
        for index in range(instances):
            server = self._server(Address(app.host, 0), Server(address=app.host), app)
            server["id"] = f"{name}:{index}"
            plan["servers"].append(server)

    def add_address(self, address: Address, path: Path, secure: bool) -> str:
        """The upstream that an address in `proxy` makes; it is named after the address. `secure`: spoken to over TLS."""
        name = f"https://{address}" if secure else str(address)
        if name not in self.plans:
            server = Server(address=str(address))
            words = Upstream(servers=[server], tls=UpstreamTls() if secure else None)
            plan = self.start(name, path, words)
            self.add_server(plan, path, words, server, set())
        return name

    def add_dashboard(self, path: Path) -> str:
        """Control itself, for `dashboard = true`. It is never given up: its socket outlives it, and events may be an hour apart."""
        if UPSTREAM not in self.plans:
            socket = os.path.join(paths_of(self.findings.sources.file)["run"], f"{DASHBOARD}.sock")
            server = Server(address=f"unix:{socket}")
            words = Upstream(servers=[server], read_timeout=3600.0, max_fails=0, health=Health(enabled=False))
            plan = self.start(UPSTREAM, path, words)
            plan["servers"].append(self._server(Address("", 0, socket), server, words))
        return UPSTREAM

    def resolve(self, resolver: Resolver) -> None:
        """Give the DNS names their addresses; one without any is only a warning: it degrades its own routes."""
        hosts = sorted({name["host"] for _, _, name in self._names})
        found = resolver(hosts) if hosts else {}
        for path, upstream, name in self._names:
            addresses = found.get(name["host"]) or (["127.0.0.1"] if name["host"] == "localhost" else [])
            if not addresses:
                near = nearest(name["host"], self.plans) if "." not in name["host"] else ""
                meant = f'did you mean "{near}", without a port? ' if near and near != upstream["name"] else ""
                hint = f"{meant}it is asked again and again, until then requests get 503"
                self.findings.warn(path, f"the name {name['host']} does not resolve", hint)
            upstream["servers"] = without_twins(expand(upstream, name["host"], name["port"], addresses))

    def settle_health(self, hosts: Mapping[str, str]) -> None:
        """Decide on active checks once the addresses are known. `hosts` has the site's host that leads to an upstream."""
        for name, upstream in self.plans.items():
            written = self._health[name]
            if written is None and not (upstream["app"] or _all_private(upstream)):
                continue
            health = written or Health()
            if health.enabled:
                upstream["health"] = _health(health, hosts.get(name, "localhost"))

    def start(self, name: str, path: Path, words: Balancing) -> UpstreamPlan:
        """An upstream without its servers."""
        if words.policy == "hash" and not words.key and not self.findings.is_faulty((*path, "key")):
            self.findings.error((*path, "policy"), 'the policy "hash" needs a key', 'write key = "$uri" or key = "$remote_addr"')
        if words.policy != "hash" and (words.key or words.consistent):
            key = "key" if words.key else "consistent"
            self.findings.error((*path, key), f'{key} belongs to the policy "hash"', 'write policy = "hash"', at_key=True)
        plan: UpstreamPlan = {
            "name": name,
            "app": False,
            "policy": words.policy,
            "key": words.key,
            "consistent": words.consistent,
            "servers": [],
            "names": [],
            "defaults": _defaults(words),
            "health": None,
            "hold": words.hold,
            "sticky": sticky(name, words),
            "queue": words.queue,
            "queue_timeout": queue_timeout(words),
            "connect_timeout": words.connect_timeout,
            "read_timeout": words.read_timeout,
            "send_timeout": words.send_timeout,
            "tries": words.tries,
            "keepalive": words.keepalive,
            "keepalive_timeout": words.keepalive_timeout,
            "tls": upstream_tls(self.findings, (*path, "tls"), words.tls, self.folder) if isinstance(words, Upstream) else None,
        }
        self.plans[name] = plan
        self.paths[name] = path
        self._health[name] = words.health
        return plan

    def add_server(self, plan: UpstreamPlan, path: Path, words: Balancing, server: Server, seen: set[str]) -> None:
        """One of its servers; `seen` are the labels before it."""
        try:
            address = parse_server(server.address)
        except AddressError as error:
            self.findings.error((*path, "address"), str(error), error.hint)
            return
        tls = plan["tls"]
        if address.path and tls is not None and tls["verify"] and not tls["server_name"]:
            hint = 'write tls = { server_name = "…" }: the name in its certificate'
            self.findings.error((*path, "address"), "a UNIX socket has no name that a certificate could be for", hint)
        label = str(address)
        if label in seen:
            self.findings.error((*path, "address"), f"{label} is listed twice", "keep one; for a larger share give it a weight")
            return
        seen.add(label)
        if server.backup and plan["policy"] in WITHOUT_BACKUP:
            hint = "use round_robin or least_conn, or leave backup out"
            self.findings.error((*path, "backup"), f'the policy "{plan["policy"]}" knows no backup', hint, at_key=True)
        made = self._server(address, server, words)
        if address.numeric:
            plan["servers"].append(made)
            return
        made["name"] = label
        name: NamePlan = {"host": address.host, "port": address.port, "server": made}
        plan["names"].append(name)
        # a stand-in keeps the place among the servers until the name is resolved
        plan["servers"].append({**made, "host": ""})
        self._names.append((path, plan, name))

    @staticmethod
    def _server(address: Address, server: Server, words: Balancing) -> ServerPlan:
        return {
            "id": str(address),
            "host": address.host,
            "port": address.port,
            "path": address.path,
            "name": "",
            "weight": server.weight,
            "max_fails": words.max_fails if server.max_fails is None else server.max_fails,
            "fail_timeout": words.fail_timeout if server.fail_timeout is None else server.fail_timeout,
            "max_conns": words.max_conns if server.max_conns is None else server.max_conns,
            "slow_start": (words.slow_start if server.slow_start is None else server.slow_start) or None,
            "backup": server.backup,
            "down": server.down,
            "slots": [],
        }


def _defaults(words: Balancing) -> DefaultsPlan | None:
    written: DefaultsPlan = {
        "max_fails": words.max_fails,
        "fail_timeout": words.fail_timeout,
        "max_conns": words.max_conns,
        "slow_start": words.slow_start or None,
    }
    return None if written == STANDARD else written


def _all_private(upstream: UpstreamPlan) -> bool:
    """Whether all servers are our own: on this machine, on private addresses, or behind names only known at home."""
    unresolved = {f"{name['host']}:{name['port']}" for name in upstream["names"]} - {s["name"] for s in upstream["servers"]}
    return all(server["path"] or is_private(server["host"]) for server in upstream["servers"]) and all(
        is_made_up(label.rpartition(":")[0]) for label in unresolved
    )


def _health(health: Health, host: str) -> HealthPlan:
    return {
        "path": health.path,
        "host": health.host or host,
        "interval": health.interval,
        "timeout": health.timeout,
        "misses": health.misses,
        "hits": health.hits,
        "fast_interval": health.fast_interval,
    }


def absolute(folder: str, path: str) -> str:
    """A path of the file, seen from the file's folder; `~` is the home of whoever runs Gapura."""
    return os.path.normpath(os.path.join(folder, os.path.expanduser(path)))
