"""What a Gapura that runs as root takes from its files only, and never from the admin API (docs/decisions/023). Pure.

Who has only the API, be it with a token that was stolen or through a fault in control, is a visitor or the user that workers run
as. The question asked of each key is what it would gain them: to execute something, to be somebody else, to have root read, make or
hand out a file, to show visitors files that nobody meant to show, to take a port that only root may take, or to stay.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from . import plan_admin, plan_events
from .plan import AppPlan, Plan, RoutePlan, listens
from .plan_events import WebhookPlan
from .positions import Path

LOW: Final = 1024
"""Ports below are root's to give."""
EXECUTED: Final = ("command", "directory", "env", "user")
"""Keys of an app that are as good as a shell."""
READ: Final = frozenset(
    ("env_file", "certificate", "client_ca", "ca", "key_file", "keys", "jwks", "file", "basic_auth", "url_file", "secret_file")
)
"""Keys of the file that name files, whose content the loader looks at; `key` is one where it stands in `tls`."""


class Refused(NamedTuple):
    """A change that is refused: where it is written, and what it is."""

    path: Path
    what: str


def fresh_files(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Refused]:
    """Files that tables of gapura.toml name for reading and that the file so far does not, and another `[edge] user`.

    To be asked before anything of `new` is read: what the loader says of a file's content would tell it.
    """
    known = {(name, value) for name, value, _ in _named((), old)}
    found = [Refused(path, f"another file: {value}") for name, value, path in _named((), new) if (name, value) not in known]
    if _user(old) != _user(new):
        found.append(Refused(("edge", "user"), "as whom workers run"))
    return found


def _named(trail: Path, value: object) -> Iterator[tuple[str, str, Path]]:
    """Each (key, text, place) of a key in READ; an inline `key` of a password table or a hash policy is none."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _named((*trail, str(key)), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _named((*trail, index), item)
    elif isinstance(value, str):
        words = [part for part in trail if isinstance(part, str)]
        last = words[-1] if words else ""
        if last in READ or (last == "key" and "tls" in words) or "error_pages" in words[:-1]:
            yield last if "error_pages" not in words else "error_pages", value, trail


def _user(data: Mapping[str, Any]) -> object:
    edge = data.get("edge")
    return edge.get("user", "") if isinstance(edge, Mapping) else ""


def refused(old: Plan, new: Plan) -> list[Refused]:
    """What of `new` differs from the running `old` in a way that only the files may."""
    found = [*_apps(old["apps"], new["apps"]), *_edge(old, new)]
    before = {"", *(server["path"] for item in old["upstreams"].values() for server in item["servers"])}
    for name, upstream in new["upstreams"].items():
        sockets = {server["path"] for server in upstream["servers"]} - before
        found += [Refused(("upstreams", name, "servers"), f"another UNIX socket: {path}") for path in sorted(sockets)]
    known = {(kind, file) for kind, _, file in _files(old)}
    known |= {("log", os.path.join(new["paths"]["logs"], name)) for name in ("access.log", "error.log")}
    for kind, place, file in _files(new):
        if file and (kind, file) not in known:
            found.append(Refused(place, f"another {kind}: {file}"))
    shown = {host for site in old["sites"] if _shows_gapura(site) for host in site["hosts"]}
    for site in new["sites"]:
        if _shows_gapura(site) and not shown.issuperset(site["hosts"]):
            found.append(Refused(("sites", site["hosts"][0]), "a dashboard on another site"))
    if (old.get("admin") or plan_admin.default()) != (new.get("admin") or plan_admin.default()):
        found.append(Refused(("admin",), "who may command"))
    found += _events(old, new)
    return list(dict.fromkeys(found))


def _apps(old: Mapping[str, AppPlan], new: Mapping[str, AppPlan]) -> Iterator[Refused]:
    for name, app in new.items():
        if name not in old:
            yield Refused(("apps", name), "another app")
            continue
        one: Mapping[str, Any] = old[name]
        other: Mapping[str, Any] = app
        for key in EXECUTED:
            if one[key] != other[key]:
                yield Refused(("apps", name, key), f"{key} of an app")


def _edge(old: Plan, new: Plan) -> Iterator[Refused]:
    before = {(listen["host"], listen["port"]) for listen in listens(old["edge"])}
    ports = {port for _, port in before}
    for listen in listens(new["edge"]):
        if (listen["host"], listen["port"]) not in before and listen["port"] < LOW and listen["port"] not in ports:
            yield Refused(("edge", "https" if listen["tls"] else "http"), f"port {listen['port']}, which only root may give")
    one, other = old["edge"]["acme"], new["edge"]["acme"]
    executed = other["exec"] if other else ""
    if executed and executed != (one["exec"] if one else ""):
        yield Refused(("edge", "acme", "dns", "exec"), "the command that sets DNS records")


def _files(plan: Plan) -> Iterator[tuple[str, Path, str]]:
    """Every path of a plan that root or workers open: what it is for, where it is written, and the path."""
    edge = plan["edge"]
    yield "log", ("edge", "error_log"), edge["error_log"]
    for item in edge["log_files"]:
        yield "log", ("edge", "access_log"), item["path"]
    acme = edge["acme"]
    if acme is not None:
        yield "CA", ("edge", "acme", "ca"), acme["ca"]
        update = [acme["update"]["key_file"]] if acme["update"] else []
        for file in [directory["key_file"] for directory in acme["directories"]] + update:
            yield "key", ("edge", "acme"), file
    for name, upstream in plan["upstreams"].items():
        if (servers := upstream["tls"]) is not None:
            place: Path = ("upstreams", name, "tls")
            yield "CA", (*place, "ca"), servers["ca"]
            yield "certificate", (*place, "certificate"), servers["certificate"]
            yield "key", (*place, "key"), servers["key"]
    yield from _pages(("edge", "error_pages"), edge["error_pages"])
    for site in plan["sites"]:
        place = ("sites", site["hosts"][0])
        if (tls := site["tls"]) is not None:
            yield "certificate", (*place, "tls", "certificate"), tls["certificate"]
            yield "key", (*place, "tls", "key"), tls["key"]
            yield "CA", (*place, "tls", "client_ca"), tls["client_ca"]
        yield from _pages((*place, "error_pages"), site["error_pages"])
        yield from _pages((*place, "maintenance"), site["maintenance"])
        for route in site["routes"]:
            yield from _route(place, route)


def _route(place: Path, route: RoutePlan) -> Iterator[tuple[str, Path, str]]:
    yield "folder of files", (*place, "files"), route["folder"]
    yield from _pages((*place, "error_pages"), route["error_pages"])
    access = route["access"]
    if access is None:
        return
    if access["basic_auth"] is not None:
        yield "file of passwords", (*place, "basic_auth"), access["basic_auth"]["file"]
    if access["jwt"] is not None:
        yield "file of keys", (*place, "jwt"), access["jwt"]["keys"]
        if not access["jwt"]["jwks"].startswith("https://"):
            yield "file of keys", (*place, "jwt"), access["jwt"]["jwks"]


def _pages(place: Path, holder: object) -> Iterator[tuple[str, Path, str]]:
    """The files of `error_pages`, and the page of a site in maintenance."""
    if isinstance(holder, Mapping):
        pages = holder.get("pages")
        paths: Iterable[object] = pages.values() if isinstance(pages, Mapping) else (holder.get("page"), holder.get("file"))
        for path in paths:
            if isinstance(path, str):
                yield "page", place, path


def _events(old: Plan, new: Plan) -> Iterator[Refused]:
    """What of the events is run, opened or sent somewhere; which of them are told, and how patiently, may change."""
    usual = plan_events.default(new["paths"]["logs"])
    one, other = old.get("events") or usual, new.get("events") or usual
    command = other["on_event"]["command"] if other["on_event"] else ""
    if command and command != (one["on_event"]["command"] if one["on_event"] else ""):
        yield Refused(("events", "on_event"), "the command that is run for events")
    if other["log"] not in ("", one["log"], usual["log"]):
        yield Refused(("events", "log"), f"another log: {other['log']}")
    known = [_hook(hook) for hook in one["webhooks"]]
    for index, hook in enumerate(other["webhooks"]):
        if _hook(hook) not in known:
            yield Refused(("events", "webhooks", index), "another address that events are sent to")


def _hook(hook: WebhookPlan) -> tuple[object, ...]:
    return hook["url"], hook["url_file"], hook["secret_file"], hook["ca"], hook["headers"]


def _shows_gapura(site: Mapping[str, Any]) -> bool:
    """Whether a site leads to control."""
    return any(route.get("dashboard") for route in site["routes"])
