"""`gapura status` and `gapura ps`: what runs, for people and for scripts."""

from __future__ import annotations

import json
from typing import Any

import click

from gapura.cli import render, talk
from gapura.cli.place import Place, json_option, short, takes_place
from gapura.config.plan_admin import UPSTREAM

Document = dict[str, Any]
PATIENCE = 5.0
"""Seconds in which an instance may start without anybody wondering why it does not answer."""


@click.command()
@json_option
@takes_place
def status(place: Place, as_json: bool) -> None:
    """Show sites, upstreams, servers and workers.

    A server is up, down, benched (it reached max_fails), unhealthy (it fails its checks), draining or disabled (by `gapura drain`).
    What commands have changed (`gapura server`) is told below its upstream.
    """
    document = talk.ask(place, "status", timeout=talk.PATIENCE)
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    _processes(document)
    if document.get("dashboards"):
        click.echo(f"Dashboard: {', '.join(document['dashboards'])}")
    _sites(document)
    for upstream in document["upstreams"]:
        _servers(upstream)


@click.command()
@json_option
@takes_place
def ps(place: Place, as_json: bool) -> None:
    """Show every process of the apps: state, memory of its whole tree, restarts and why it ended last.

    An instance is starting, ready (it answers), stopping, stopped, in backoff (it ended and is started again in a moment) or
    crashed (it ended too often and is left alone; `gapura start` tries again).
    """
    apps = talk.ask(place, "status", timeout=talk.PATIENCE)["apps"]
    if as_json:
        click.echo(json.dumps(apps, indent=2))
        return
    if not apps:
        click.echo("The configuration has no apps.")
        return
    render.table(
        ("app", "state", "pid", "address", "restarts", "memory", "uptime"),
        [_instance(app, instance) for app in apps for instance in app["instances"]],
    )
    for app in apps:
        for instance in app["instances"]:
            if worth_telling(instance):
                _cause(app, instance)


def _processes(document: Document) -> None:
    workers = document["workers"]
    pids = ", ".join(str(worker["pid"]) for worker in workers)
    click.echo(
        f"Gapura {document['version']}, generation {document['generation']}: master {document['master']['pid']}, "
        f"control {document['control']['pid'] or 'starting'}, {len(workers)} worker{'s' if len(workers) != 1 else ''} ({pids})"
    )
    late = [worker["pid"] for worker in workers if worker.get("generation") != document["generation"]]
    if late:
        click.echo(f"Not yet on this generation: {', '.join(map(str, late))}")
    click.echo(f"Listening on {', '.join(listener['address'] for listener in document['listeners']) or 'nothing'}")
    for log in document.get("logs", ()):
        lost = f"{log['lost']} lines of {short(log['path'])} are lost" if log["lost"] else ""
        now = f"{short(log['path'])} cannot be written: {log['reason']}" if log["reason"] else ""
        click.echo(click.style("; ".join(part for part in (now, lost) if part), fg="red"))


def _sites(document: Document) -> None:
    port, secure = _port(document, False, "80"), _port(document, True, "443")
    for site in document["sites"]:
        click.echo()
        for host in site["hosts"]:
            click.echo(click.style(url(host, secure, "https") if site.get("tls") else url(host, port), bold=True))
        if site.get("closed"):
            click.echo(click.style(f"  {render.maintenance(site['closed'])}", fg="yellow"))
        for route in site["routes"]:
            if isinstance(route, dict):
                click.echo(f"  {route.get('path') or route.get('name', ''):<12} {goes_to(route)}")


def _port(document: Document, tls: bool, usual: str) -> str:
    """The port of the listeners for HTTP or HTTPS that people are told."""
    ports = {item["address"].rpartition(":")[2] for item in document["listeners"] if bool(item.get("tls")) == tls}
    return min(ports, key=lambda text: (text != usual, len(text), text), default=usual)


def url(host: str, port: str, scheme: str = "http") -> str:
    """What a person types to see a site."""
    usual = port == ("443" if scheme == "https" else "80")
    if host == "*":
        return "any other host" if usual else f"any other host, port {port}"
    return f"{scheme}://{host}" if usual else f"{scheme}://{host}:{port}"


def goes_to(route: Document) -> str:
    """What a route does, in a few words."""
    match route.get("action"):
        case "proxy":
            return "dashboard" if route.get("upstream") == UPSTREAM else f"→ {route.get('upstream', '')}"
        case "files":
            return f"files in {route['folder']}" if route.get("folder") else "files"
        case "redirect":
            return f"redirect to {route['location']}" if route.get("location") else "redirect"
        case action:
            return f"{action or ''} {route.get('status') or ''}".strip()


def _servers(upstream: Document) -> None:
    click.echo()
    click.echo(f"{click.style(upstream['name'], bold=True)} ({upstream['policy']})")
    if not upstream["servers"]:
        click.echo("  no server: its name does not resolve, the app has no instances, or all were removed")
        _overrides(upstream)
        return
    by_address = [server["id"] == server["address"] for server in upstream["servers"]]
    render.table(
        ("server", "state", "weight", "active", "requests", "fails"),
        [
            (
                server["id"] if same or not server["address"] else f"{server['id']}  {server['address']}",
                server.get("condition") or server["state"],
                f"{server['weight']} backup" if server["backup"] else server["weight"],
                server["active"],
                server["requests"],
                server["fails"],
            )
            for server, same in zip(upstream["servers"], by_address, strict=True)
        ],
    )
    _overrides(upstream)


def _overrides(upstream: Document) -> None:
    """What is not as the file says."""
    lines = [f"{server['id']}: added" for server in upstream["servers"] if server.get("added")]
    lines += [
        f"{server['id']}: weight {server['weight']}, the file says {server['file_weight']}"
        for server in upstream["servers"]
        if server.get("file_weight") is not None
    ]
    lines += [f"{label}: removed" for label in upstream.get("removed", ())]
    for line in lines:
        click.echo(click.style(f"  {line}", fg="yellow"))
    if lines:
        click.echo(f"  (said by commands; `gapura server reset {upstream['name']}` makes it as the file says)")


def _instance(app: Document, instance: Document) -> tuple[object, ...]:
    return (
        f"{app['name']}:{instance['index']}",
        instance["state"],
        instance["pid"] or "",
        instance["address"] or "",
        instance["restarts"],
        render.size(instance["memory_bytes"]) if instance["pid"] else "",
        render.duration(instance["uptime_seconds"]) if instance["pid"] else "",
    )


def worth_telling(instance: Document) -> bool:
    """Is there a cause to show? One that has only just begun to start has none yet."""
    beginning = instance["state"] == "starting" and instance["uptime_seconds"] < PATIENCE
    return bool(instance.get("cause")) and instance["state"] != "ready" and not beginning


def _cause(app: Document, instance: Document) -> None:
    """Why an instance does not run, what to do, and the last it said."""
    click.echo()
    again = instance.get("returns_seconds")
    then = f"; started again in {render.duration(again)}" if again is not None and again >= 1 else ""
    click.echo(f"{app['name']}:{instance['index']} {instance['state']}: {instance['cause']}{then}")
    if instance.get("hint"):
        click.echo(f"  {instance['hint']}")
    for line in (instance.get("tail") or [])[-5:]:
        click.echo(f"  | {line}")
