"""The addresses of `[edge]`: where browsers connect, over HTTP and over TLS."""

from __future__ import annotations

import os
from collections.abc import Iterable

from .findings import Findings
from .plan import ListenPlan, SitePlan
from .schema_edge import Edge

Written = list[list[tuple[str, int]]]


def http_listeners(findings: Findings, edge: Edge) -> list[ListenPlan]:
    """Left out: 80 where allowed, else 8080."""
    return _listeners(findings, "http", edge.http or _everywhere(80, 8080), [])


def https_listeners(findings: Findings, edge: Edge, http: list[ListenPlan], sites: Iterable[SitePlan]) -> list[ListenPlan]:
    """None while no site has TLS. Left out: 443 where allowed, else 8443."""
    made = _listeners(findings, "https", edge.https or _everywhere(443, 8443), http)
    return made if any(site["tls"] for site in sites) else []


def _everywhere(port: int, otherwise: int) -> Written:
    port = port if may_bind(port) else otherwise
    return [[("0.0.0.0", port), ("::", port)]]


def _listeners(findings: Findings, key: str, written: Written, others: list[ListenPlan]) -> list[ListenPlan]:
    result: list[ListenPlan] = []
    for index, addresses in enumerate(written):
        for host, port in addresses:
            if any(item["port"] == port and _overlap(item["host"], host) for item in result):
                message, hint = f"port {port} is in the list twice", "a bare port already means every address"
            elif any(item["port"] == port and _overlap(item["host"], host) for item in others):
                message, hint = f"port {port} is in http as well", "HTTP and HTTPS need a port each: https = 443, or 8443"
            else:
                result.append({"host": host, "port": port, "tls": key == "https"})
                continue
            findings.error(("edge", key, index), message, hint)
            break
    return result


def _overlap(one: str, other: str) -> bool:
    """Whether two addresses cannot both be bound on one port: equal, or one is all of the family."""
    if (":" in one) != (":" in other):
        return False
    return one == other or one in ("0.0.0.0", "::") or other in ("0.0.0.0", "::")


def may_bind(port: int) -> bool:
    """Whether this process may listen on `port` (ip(7): ip_unprivileged_port_start; capabilities(7): CAP_NET_BIND_SERVICE)."""
    try:
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as stream:
            if port >= int(stream.read()):
                return True
    except (OSError, ValueError):
        if port >= 1024:
            return True
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as stream:
            effective = next(line for line in stream if line.startswith("CapEff:"))
    except (OSError, StopIteration):
        return os.geteuid() == 0
    return bool(int(effective.split()[1], 16) >> 10 & 1)
