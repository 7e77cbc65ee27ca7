"""`gapura explain URL`: which site, route and upstream answer it, and which servers may be picked; an ID: see `explain_request`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import click

from gapura.cli import explain_request, obstacles, render, talk
from gapura.cli.place import Place, json_option, takes_place
from gapura.cli.status import goes_to
from gapura.config.plan import Plan, RoutePlan, SitePlan, UpstreamPlan, address, join_address, listens
from gapura.errors import EXIT_USAGE, ClientError, CommandError

if TYPE_CHECKING:
    from gapura.wire.request import RequestHead

WHY_NOT = {
    "full": "it has as many connections as max_conns allows",
    "starting": "its process is starting and does not answer yet",
    "stopping": "its process is about to end",
    "stopped": "it was stopped; `gapura start` brings it back",
    "backoff": "its process ended and is started again in a moment",
    "crashed": "its process ended too often; see `gapura ps`",
    "benched": "it reached max_fails and is left alone for fail_timeout",
    "unhealthy": "it fails its health checks",
    "draining": "it ends what it has and gets nothing new; `gapura enable` brings it back",
    "disabled": "it was drained; `gapura enable` brings it back",
    "down": "its process does not run",
    "unknown": "it is in the file, but not in what runs: `gapura reload` brings it in",
}
"""Why a server in this condition is not picked."""


@click.command()
@click.argument("what", metavar="URL|ID")
@click.option("-X", "--method", default="GET", metavar="METHOD", help="Method of the request.")
@click.option("-H", "--header", "headers", multiple=True, metavar="LINE", help='A header, such as "X-Beta: 1"; again for more.')
@click.option("--client", default="127.0.0.1", metavar="ADDRESS", help="Address that the request comes from.")
@click.option("--id", "as_id", is_flag=True, help="It is the id of a request, even if it looks like a URL.")
@json_option
@takes_place
def explain(place: Place, what: str, method: str, headers: tuple[str, ...], client: str, as_id: bool, as_json: bool) -> None:
    """Tell what answers a URL, and why: the site, the route, the upstream, and which servers may be picked.

    It goes by the file, which may be newer than what runs; when Gapura runs here, the servers' present state is added.

    With the id of a request (X-Request-Id of its answer, or from the access log): where its time went, which servers were tried,
    why it ended as it did, and what to do.
    """
    if as_id or explain_request.is_id(what):
        explain_request.tell(place, what, as_json)
    else:
        _explain_url(place, what, method, headers, client, as_json)


def _explain_url(place: Place, url: str, method: str, headers: tuple[str, ...], client: str, as_json: bool) -> None:
    plan = place.plan()
    live = talk.running_status(place)
    answer = trace(plan, url, method, headers, client, live)
    if answer.get("upstream"):
        answer["servers"] = servers(plan["upstreams"][answer["upstream"]["name"]], live)
    answer["running"] = live is not None
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        _tell(answer)


class _Asking:
    """A request that is not made."""

    def __init__(self, head: RequestHead, client: str) -> None:
        self.head = head
        self.client = client.encode()
        self.rewritten = b""
        self.groups: re.Match[bytes] | None = None


def trace(plan: Plan, url: str, method: str, headers: tuple[str, ...], client: str, live: dict[str, Any] | None) -> dict[str, Any]:
    """The way of a request for `url` through a plan, with what a running Gapura says. Raises `CommandError` for what is none."""
    from gapura.config.slash import slash_routes
    from gapura.edge.router import NotAllowed, Route, Router, site_of
    from gapura.wire.request import parse_request
    from gapura.wire.target import split_absolute

    try:
        authority, target = split_absolute((url if "://" in url else f"http://{url}").encode())
        sites = [site_of(site, [Route(route, (), 0) for route in slash_routes(site["routes"])]) for site in plan["sites"]]
        name, site = Router(sites).site(authority)
        lines = [f"{method} {target.partition(b'#')[0].decode()} HTTP/1.1", f"Host: {authority.decode()}", *headers]
        asking = _Asking(parse_request("\r\n".join(lines).encode()), client)
        path = asking.head.path
    except ClientError as error:
        raise CommandError(f"{url!r} is no URL that a browser could ask for: {error.reason}", "", EXIT_USAGE) from None
    answer: dict[str, Any] = {"url": url, "host": name.decode(), "path": path.decode("utf-8", "replace")}
    secure = url.lower().startswith("https:")
    answer["listener"] = _listener(plan, authority, secure)
    answer["site"] = answer["route"] = answer["upstream"] = None
    if site is None:
        answer["status"] = 421
        return answer
    answer["site"] = {"hosts": site.hosts, "matched": _matched(site.hosts, answer["host"])}
    answer["maintenance"] = _closed(site.hosts, live)
    planned = next(one for one in plan["sites"] if one["hosts"] == site.hosts)
    answer["before"] = obstacles.before_routes(planned, plan["edge"], answer["host"], secure, client, answer["maintenance"])
    try:
        route = site.route(path, asking)
    except NotAllowed as error:
        answer["status"], answer["allow"] = 405, error.allow.decode().removeprefix("Allow: ")
        return answer
    if route is None or route.plan["action"] == "nowhere":
        answer["status"] = 404
        return answer
    answer["route"] = route.plan
    answer["changed"] = obstacles.changed(route.plan, path)
    answer["access"] = obstacles.judged(route.plan["access"], client)
    if route.plan["action"] == "proxy":
        upstream = plan["upstreams"][route.plan["upstream"]]
        answer["upstream"] = {key: upstream[key] for key in ("name", "app", "policy", "hold")}
    return answer


def servers(upstream: UpstreamPlan, live: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Each server with whether it may be picked now; when nothing runs, whether the configuration would let it."""
    states = _live_servers(upstream["name"], live)
    found = []
    for server in upstream["servers"]:
        known = states.get(server["id"])
        state = str(known.get("condition") or known["state"]) if known else "unknown" if live else ""
        why_not = "the configuration says `down = true`" if server["down"] else WHY_NOT.get(state, "")
        shown = str(known["address"]) if known else "" if upstream["app"] else address(server)
        found.append(
            {
                "id": server["id"],
                "address": shown,
                "weight": server["weight"],
                "backup": server["backup"],
                "state": state,
                "eligible": not why_not,
                "why_not": why_not,
            }
        )
    if any(one["eligible"] and not one["backup"] for one in found):
        for one in found:
            if one["backup"] and one["eligible"]:
                one["eligible"], one["why_not"] = False, "it is a backup, used when no other server can answer"
    return found


def _closed(hosts: list[str], live: dict[str, Any] | None) -> dict[str, Any] | None:
    """How it stands with the maintenance of a site that runs; None when it is open."""
    running = live["sites"] if live else []
    return next((site.get("closed") for site in running if site["hosts"][0] == hosts[0]), None)


def _live_servers(upstream: str, live: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    groups = live["upstreams"] if live else []
    return {server["id"]: server for group in groups if group["name"] == upstream for server in group["servers"]}


def _listener(plan: Plan, authority: bytes, secure: bool) -> str:
    """The listener that the URL's port leads to, "" when there is none."""
    digits = authority.decode("latin-1").rpartition("]")[2].partition(":")[2]
    port = int(digits) if digits.isdigit() else 443 if secure else 80
    return next((join_address(listen["host"], port) for listen in listens(plan["edge"]) if listen["port"] == port), "")


def _matched(hosts: list[str], host: str) -> str:
    """Which of a site's host names was meant."""
    if host in hosts:
        return host
    fitting = [pattern for pattern in hosts if pattern.startswith("*.") and host.endswith(pattern[1:])]
    return max(fitting, key=len, default="*")


def _tell(answer: dict[str, Any]) -> None:
    site: SitePlan | None = answer["site"]
    if not answer["listener"]:
        click.echo("listener  none: nothing listens on this URL's port; the rest tells what would happen if it did")
    else:
        click.echo(f"listener  {answer['listener']}")
    if site is None:
        click.echo(f'site      none is called {answer["host"]!r} and there is no "*": 421, with a page that says so')
        return
    click.echo(f"site      {', '.join(site['hosts'])} (matched by {answer['site']['matched']!r})")
    for line in answer["before"]:
        click.echo(line)
    route: RoutePlan | None = answer["route"]
    if route is None and "allow" in answer:
        click.echo(f"route     {answer['path']} takes other methods: 405, with Allow: {answer['allow']}")
        return
    if route is None:
        click.echo(f"route     none fits {answer['path']}: 404")
        return
    kind = f"{route['kind']}, with conditions" if route["match"] else route["kind"]
    click.echo(f"route     {route['path']} ({kind})  {goes_to(dict(route))}")
    for line in (*answer["changed"], *obstacles.limited(route)):
        click.echo(line)
    for sentence in answer["access"]:
        click.echo(f"access    {sentence}")
    for line in (*obstacles.compressed(route), *obstacles.shares(route)):
        click.echo(line)
    if answer["upstream"] is None:
        return
    upstream = answer["upstream"]
    click.echo(f"upstream  {upstream['name']} ({'app, ' if upstream['app'] else ''}{upstream['policy']})")
    click.echo()
    render.table(
        ("server", "address", "weight", "picked?", "why not"),
        [
            (one["id"], one["address"] or "-", one["weight"], "yes" if one["eligible"] else "no", one["why_not"])
            for one in answer["servers"]
        ],
    )
    if not answer["running"]:
        click.echo("\nGapura does not run here: this is what the configuration says. `gapura up` starts it.")
    elif not any(server["eligible"] for server in answer["servers"]):
        click.echo(f"\nNo server may be picked: requests wait up to {upstream['hold']:g} s if one may return, then get 503.")
