"""What the numbers of the shared memories mean: rows are routes of sites, slots are servers of upstreams."""

from __future__ import annotations

from gapura.board import id_hash
from gapura.config.plan import Plan, RoutePlan, ServerPlan, SitePlan, UpstreamPlan
from gapura.config.plan_admin import UPSTREAM as OURS

NOWHERE = 0
"""The row of requests that no route took."""


class Names:
    """The names of one plan. A site is called by its first host, a server `upstream/id`, as in the API and the dashboard."""

    __slots__ = ("plan", "routes", "site_of", "rows_of", "server_of", "slots_of", "sites", "servers", "hashes", "ours")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.routes: dict[int, RoutePlan] = {}
        self.site_of: dict[int, str] = {}
        self.rows_of: dict[str, list[int]] = {}
        self.server_of: dict[int, str] = {}
        self.slots_of: dict[str, list[int]] = {}
        self.sites: dict[str, SitePlan] = {}
        self.servers: dict[str, tuple[UpstreamPlan, ServerPlan]] = {}
        self.hashes: dict[int, str] = {}
        """Servers by the lower half of their id on the board, as the records name them."""
        self.ours: set[int] = set()
        """Rows of sites that lead here: who looks at the dashboard is no traffic."""
        for site in plan["sites"]:
            name = site["hosts"][0]
            self.sites[name] = site
            own = row_of(site)
            rows = self.rows_of[name] = [own] if own != NOWHERE else []
            if own != NOWHERE:
                self.site_of[own] = name
            for route in site["routes"]:
                row = row_of(route)
                if row != NOWHERE:
                    rows.append(row)
                    self.routes[row] = route
                    self.site_of[row] = name
            if internal(site):
                self.ours.update(rows)
        for upstream in plan["upstreams"].values():
            if upstream["name"] == OURS:
                continue
            for server in upstream["servers"]:
                key = f"{upstream['name']}/{server['id']}"
                self.servers[key] = (upstream, server)
                self.slots_of[key] = list(server["slots"])
                self.hashes[id_hash(upstream["name"], server["id"]) & 0xFFFFFFFF] = key
                self.server_of.update(dict.fromkeys(server["slots"], key))


def pair(key: str) -> tuple[str, str]:
    """Upstream and id of a server's key; two empty strings of none."""
    upstream, _, server = key.partition("/")
    return upstream, server


def internal(site: SitePlan) -> bool:
    """Whether a site is there for the dashboard alone."""
    return bool(site["routes"]) and all(route["upstream"] == OURS for route in site["routes"])


def row_of(plan: SitePlan | RoutePlan) -> int:
    """The row that the master gave a route, or a site for what it answers without one."""
    return plan.get("row") or NOWHERE
