"""Where a plan shows Gapura itself. Pure; master and commands use it."""

from __future__ import annotations

from collections.abc import Sequence

from .addresses import is_loopback
from .plan import Plan, RoutePlan, SitePlan


def is_implicit(site: SitePlan) -> bool:
    """Whether nobody has written this site: it is gapura.localhost."""
    return any((dashboard := route.get("dashboard", None)) is not None and dashboard["implicit"] for route in site["routes"])


def written(plan: Plan) -> list[SitePlan]:
    """The sites of the file."""
    return [site for site in plan["sites"] if not is_implicit(site)]


def urls(plan: Plan, listening: Sequence[tuple[str, int]]) -> list[str]:
    """Where the dashboard is found, on this machine first. `listening`: the addresses that are bound."""
    secure = {(item["host"], item["port"]) for item in plan["edge"]["https"]}
    here = [port for host, port in listening if (host, port) not in secure and is_loopback(host)]
    plain = [port for host, port in listening if (host, port) not in secure]
    tls = [port for host, port in listening if (host, port) in secure]
    found: list[str] = []
    for site in plan["sites"]:
        if not any(_is_whole(route) for route in site["routes"]):
            continue
        host = next((host for host in site["hosts"] if "*" not in host), "")
        scheme, ports = ("https", tls) if site["tls"] else ("http", here if is_implicit(site) else plain)
        if host and ports:
            found.append(f"{scheme}://{host}{_port(ports, 443 if site['tls'] else 80)}/")
    return sorted(found, key=lambda url: ".localhost" not in url)


def _is_whole(route: RoutePlan) -> bool:
    """A dashboard from "/" on; elsewhere it is only /metrics or the like."""
    return route.get("dashboard", None) is not None and route["kind"] == "prefix" and route["path"] == "/"


def _port(ports: Sequence[int], usual: int) -> str:
    port = min(ports, key=lambda port: (port != usual, port))
    return "" if port == usual else f":{port}"
