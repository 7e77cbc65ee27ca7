"""What stands between a request and the action of its route, in sentences for `gapura explain`."""

from __future__ import annotations

from typing import Any

from gapura.cli.render import maintenance
from gapura.config.plan import EdgePlan, RoutePlan, SitePlan
from gapura.config.plan_access import AccessPlan
from gapura.config.regexes import compiled


def before_routes(site: SitePlan, edge: EdgePlan, host: str, secure: bool, client: str, closed: dict[str, Any] | None) -> list[str]:
    """What happens before a route is looked for. `closed`: how the running Gapura says that the site is in maintenance."""
    lines = []
    tls = site["tls"]
    if tls is not None and not secure and tls["redirect"] >= 0:
        port = tls["redirect"] or (edge["https"][0]["port"] if edge["https"] else 443)
        when = ", once its certificate is there" if tls["auto"] else ""
        lines.append(f"https     visitors over HTTP are sent to https://{host}{'' if port == 443 else f':{port}'} (301){when}")
    elif tls is None and secure:
        lines.append("https     this site has no `tls`: nobody gets to it over HTTPS")
    if closed:
        lines.append(f"site      {maintenance(closed)}: {_during(site, client)}")
    return lines


def _during(site: SitePlan, client: str) -> str:
    from gapura.edge.networks import networks

    look = site["maintenance"]
    if look and look["allow"] and networks(tuple(look["allow"]), ()).holds(client.encode()):
        return f"{client} sees it all the same (maintenance.allow)"
    return "503; `gapura maintenance off` opens it"


def changed(route: RoutePlan, path: bytes) -> list[str]:
    """What becomes of the path: a redirect takes the place of the action, a rewrite does not."""
    edit = route["edit"]
    lines = []
    if edit is not None:
        exact = [rule for rule in edit["redirects"] if rule["path"].encode() == path]
        fitting = [rule for rule in edit["redirects"] if not rule["path"] and compiled(rule["match"]).search(path)]
        if found := [*exact, *fitting]:
            rule = found[0]
            lines.append(f"redirects {rule['path'] or rule['match']}: {rule['status']} to {rule['to']}; the route does not answer")
        for rewrite in edit["rewrites"] if not lines else ():
            if not rewrite["match"] or compiled(rewrite["match"]).search(path):
                again = ", and another route is looked for" if rewrite["reroute"] else ""
                lines.append(f"rewrite   {rewrite['match'] or 'every path'}: to {rewrite['to']}{again}")
                break
        if edit["strip"]:
            lines.append(f"rewrite   without {edit['strip']} at the beginning")
    if route["rewrite"] is not None:
        lines.append(f"rewrite   {route['path']} becomes {route['rewrite']}")
    return lines


def limited(route: RoutePlan) -> list[str]:
    """How often and how many at a time somebody may ask."""
    limit = route["limit"]
    if limit is None:
        return []
    lines = [
        f"limit     {_rate(rate['interval'])} and a burst of {rate['burst']} for each {rate['key']}, else {rate['status']}"
        for rate in limit["rates"]
    ]
    lines += [
        f"limit     {most['most']} at the same time for each {most['key']}, else {most['status']}" for most in limit["connections"]
    ]
    return lines


def _rate(interval: int) -> str:
    """Requests per unit, in the smallest unit in which there is one at least. `interval`: ns from one to the next."""
    units = (("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000))
    letter, unit = next((pair for pair in units if interval <= pair[1]), units[-1])
    return f"{unit / interval:.4g}/{letter}"


def compressed(route: RoutePlan) -> list[str]:
    """Whether answers are compressed."""
    plan = route["compress"]
    return [f"compress  {', '.join(plan['algorithms'])}, from {plan['minimum']} bytes"] if plan else []


def judged(access: AccessPlan | None, client: str) -> list[str]:
    """What a client at this address would have to show, in sentences; nothing when everybody may ask."""
    from gapura.edge.networks import networks

    if access is None:
        return []
    found = []
    listed, either = access["networks"], access["satisfy"] == "any"
    if listed is not None:
        holds = networks(tuple(listed["allow"]), tuple(listed["deny"])).holds(client.encode())
        if either and holds:
            return [f'{client} may come in, and needs nothing else (satisfy = "any")']
        found.append(f"{client} {'may come in' if holds else 'needs what follows' if either else 'may not come in: 403'}")
    if access["basic_auth"]:
        found.append(f"a name and a password, {access['basic_auth']['file'] or 'of the configuration'} (basic_auth)")
    if access["jwt"]:
        found.append(f"a token signed for {access['jwt']['keys'] or access['jwt']['jwks']} (jwt)")
    if access["forward_auth"]:
        found.append(f"{access['forward_auth']['upstream']} decides, asked for {access['forward_auth']['path']} (forward_auth)")
    return found


def shares(route: RoutePlan) -> list[str]:
    """Where else requests of the route go."""
    traffic = route["traffic"]
    if traffic is None:
        return []
    lines = [f"mirror    {mirror['upstream']}, {mirror['share']:.4g} of the requests" for mirror in traffic["mirrors"]]
    if split := traffic["split"]:
        parts = ", ".join(f"{choice['upstream']} {choice['share'] / 1000:g}" for choice in split["choices"])
        lines.append(f"split     {parts}, by the cookie {split['cookie']['name']}; below, the first of them")
    return lines
