"""A server that a command adds, checked by the rules of the file: the same models, the same words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..errors import Problem
from .addresses import parse_server
from .build import check_circles
from .build_upstreams import Resolver, Upstreams
from .findings import Findings
from .overrides import AddedServer, label_of
from .plan import Plan, UpstreamPlan, listens
from .positions import Path
from .schema_upstream import Server, Upstream
from .validate import validate
from .words import shown

KEYS: Final = ("address", "weight", "backup", "max_fails", "fail_timeout", "max_conns")
"""What a command may say of a server; the rest is the upstream's."""


class Said:
    """Stands where `Sources` stands for files: what was said, without a place."""

    file = ""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.problems: list[Problem] = []
        self.all: list[Any] = []

    def problem(self, path: Path, message: str, hint: str = "", *, at_key: bool = False, warning: bool = False) -> Problem:
        """A problem whose message says all."""
        return Problem(message, hint=hint, warning=warning)


def check_server(plan: Plan, name: str, words: Mapping[str, Any], resolver: Resolver) -> tuple[AddedServer, list[Problem]]:
    """The server that `words` describe, for an upstream of the plan, and warnings. Raises ConfigError.

    `plan` is that of the file: what fits one of its upstreams depends on the policy, on TLS and on who listens where.
    """
    upstream, given = plan["upstreams"][name], {key: value for key, value in words.items() if value is not None}
    findings = Findings(Said({"upstreams": {name: {**_words(upstream), "servers": [given]}}}))  # type: ignore[arg-type]
    for key in [key for key in given if key not in KEYS and key in Server.model_fields]:
        findings.fault(("upstreams", name, "servers", 0, key), f"{shown(key)} can only be said in the file", "leave it out")
    document = validate(findings)
    findings.close()
    written: Upstream = document.upstreams[name]
    upstreams = Upstreams(findings, plan["folder"])
    made = upstreams.start(name, ("upstreams", name), written)
    upstreams.add_server(made, ("upstreams", name, "servers", 0), written, written.servers[0], set())
    upstreams.resolve(resolver)
    check_circles(findings, {name: made}, upstreams.paths, plan["sites"], listens(plan["edge"]))
    findings.close()
    return _added(written.servers[0], made), findings.warnings


def _words(upstream: UpstreamPlan) -> dict[str, Any]:
    """What of an upstream decides which servers fit."""
    words: dict[str, Any] = {key: upstream[key] for key in ("policy", "key", "consistent")}
    if (tls := upstream["tls"]) is not None:
        words["tls"] = {"verify": tls["verify"], **({"server_name": tls["server_name"]} if tls["server_name"] else {})}
    return words


def _added(server: Server, made: UpstreamPlan) -> AddedServer:
    address = parse_server(server.address)
    return {
        "id": str(address),
        "host": address.host,
        "port": address.port,
        "path": address.path,
        "named": not address.numeric,
        "weight": server.weight,
        "backup": server.backup,
        "max_fails": server.max_fails,
        "fail_timeout": server.fail_timeout,
        "max_conns": server.max_conns,
        "addresses": [item["host"] for item in made["servers"] if item["name"] and item["id"] != label_of(item)],
    }
