"""What commands have said of single servers, and the plan that the file makes together with it. Pure; the master uses it.

Servers are named by their *label*: as people write them, `10.0.0.1:3000`, `unix:/run/app.sock`, or `name:80` for all addresses
of a DNS name. The file wins where it says something new: what was said then is dropped, and told once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypedDict

from ..errors import CommandError
from . import plan_admin
from .change import written_servers
from .plan import MAX_WEIGHT, STANDARD, NamePlan, Plan, ServerPlan, UpstreamPlan, expand, join_address, without_twins


class AddedServer(TypedDict):
    """A server that a command has added, checked as one of the file (`config/one_server.py`). None: as the upstream says."""

    id: str  # its label
    host: str
    port: int
    path: str
    named: bool  # `host` is a DNS name
    weight: int
    backup: bool
    max_fails: int | None
    fail_timeout: float | None
    max_conns: int | None
    addresses: list[str]  # what its name resolved to last


class UpstreamOverrides(TypedDict):
    """What was said of one upstream's servers."""

    added: list[AddedServer]
    removed: dict[str, bool]  # by label; True: although nobody was left to serve
    weights: dict[str, list[int]]  # by label: what was said, and what the file said then


Overrides = dict[str, UpstreamOverrides]
"""By the name of the upstream; one of which nothing holds any more is not in it."""


class Applied(NamedTuple):
    """The plan with everything said, what of it still holds, and sentences about what does not any more."""

    plan: Plan
    overrides: Overrides
    dropped: list[str]


def applied(plan: Plan, overrides: Overrides) -> Applied:
    """The file's plan with what was said since."""
    upstreams, kept, dropped = dict(plan["upstreams"]), Overrides(), []
    for name, said in overrides.items():
        if name not in upstreams or upstreams[name]["app"]:
            dropped.append(f"upstream {name} has left the file: what commands said of its servers is forgotten")
            continue
        upstreams[name], left, sentences = _applied(upstreams[name], said)
        dropped += sentences
        if any(left.values()):
            kept[name] = left
    return Applied({**plan, "upstreams": upstreams} if kept else plan, kept, dropped)


def _applied(upstream: UpstreamPlan, said: UpstreamOverrides) -> tuple[UpstreamPlan, UpstreamOverrides, list[str]]:
    name, written, dropped = upstream["name"], written_servers(upstream), []
    left: UpstreamOverrides = {"added": [], "removed": {}, "weights": {}}
    for server in said["added"]:
        if server["id"] in written:
            dropped.append(f"upstream {name}: the file has {server['id']} itself now: what was said when it was added is forgotten")
        else:
            left["added"].append(server)
    for label, forced in said["removed"].items():
        if label in written:
            left["removed"][label] = forced
        else:
            dropped.append(f"upstream {name}: {label}, which was removed, has left the file too")
    for label, (weight, then) in said["weights"].items():
        if label not in written:
            dropped.append(f"upstream {name}: {label} has left the file: its weight of {weight} is forgotten")
        elif written[label]["weight"] != then:
            now = written[label]["weight"]
            dropped.append(f"upstream {name}: the file says weight {now} for {label} now: the {weight} said before is forgotten")
        else:
            left["weights"][label] = [weight, then]
    changed = _changed(upstream, left)
    if not serves(changed) and serves(upstream) and not all(left["removed"].values()):
        back = [label for label, forced in left["removed"].items() if not forced]
        left["removed"] = {label: True for label, forced in left["removed"].items() if forced}
        dropped.append(f"upstream {name}: {', '.join(back)} is back: without it no server would be left")
        changed = _changed(upstream, left)
    return changed, left, dropped


def _changed(upstream: UpstreamPlan, said: UpstreamOverrides) -> UpstreamPlan:
    """An upstream with what was said, all of which fits."""
    weights = {label: weight for label, (weight, _) in said["weights"].items()}

    def weighed(server: ServerPlan) -> ServerPlan:
        label = server["name"] or server["id"]
        return {**server, "weight": weights[label]} if label in weights else server

    servers = [weighed(server) for server in upstream["servers"] if label_of(server) not in said["removed"]]
    names: list[NamePlan] = [
        {**name, "server": weighed(name["server"])}
        for name in upstream["names"]
        if join_address(name["host"], name["port"]) not in said["removed"]
    ]
    changed: UpstreamPlan = {**upstream, "servers": servers, "names": names}
    for added in said["added"]:
        made = _server(upstream, added)
        if not added["named"]:
            servers.append(made)
            continue
        made["name"] = added["id"]
        names.append({"host": added["host"], "port": added["port"], "server": made})
        changed["servers"] = servers = expand(changed, added["host"], added["port"], added["addresses"])
    changed["servers"] = without_twins(servers)
    return changed


def _server(upstream: UpstreamPlan, added: AddedServer) -> ServerPlan:
    default = upstream.get("defaults") or STANDARD
    return {
        "id": added["id"],
        "host": added["host"],
        "port": added["port"],
        "path": added["path"],
        "name": "",
        "weight": added["weight"],
        "max_fails": default["max_fails"] if added["max_fails"] is None else added["max_fails"],
        "fail_timeout": default["fail_timeout"] if added["fail_timeout"] is None else added["fail_timeout"],
        "max_conns": default["max_conns"] if added["max_conns"] is None else added["max_conns"],
        "slow_start": default["slow_start"],
        "backup": added["backup"],
        "down": False,
        "slots": [],
        "added": True,
    }


def label_of(server: ServerPlan) -> str:
    """How people write a server, or the name that its address came from."""
    return server["name"] or server["id"]


def serves(upstream: UpstreamPlan) -> bool:
    """Whether it has a server that gets requests in ordinary times."""
    return any(not server["backup"] and not server["down"] for server in written_servers(upstream).values())


# -- what is said; each returns the overrides that hold then, and raises `CommandError` ----------------------------------------


def add(plan: Plan, overrides: Overrides, name: str, server: AddedServer) -> Overrides:
    """One more server. One of the file that was removed comes back, in another weight if that is what was said."""
    upstream, said = _of(plan, overrides, name)
    label, written = server["id"], written_servers(upstream)
    if label in said["removed"]:
        if not _same(upstream, server, written[label]):
            hint = f"`gapura server reset {name} {label}` brings it back as it is written; change the file for more"
            raise CommandError(f"the file has {label} with other words", hint)
        del said["removed"][label]
        if server["weight"] != written[label]["weight"]:
            said["weights"][label] = [server["weight"], written[label]["weight"]]
    elif label in written or any(label == other["id"] for other in said["added"]):
        raise CommandError(f"{name} has {label} already", f"`gapura server weight {name} {label} N` changes its share")
    elif (twin := next((item for item in upstream["servers"] if item["id"] == label), None)) is not None:
        raise CommandError(f"{name} has {label} already", f"it is one of the addresses of {twin['name']}")
    else:
        said["added"].append(server)
    return _with(plan, overrides, name, said, force=True)


def remove(plan: Plan, overrides: Overrides, name: str, label: str, force: bool) -> Overrides:
    """One server less. `force`: although none is left that serves."""
    upstream, said = _of(plan, overrides, name)
    _find(upstream, said, label)
    if label in written_servers(upstream):
        said["removed"][label] = force
        said["weights"].pop(label, None)
    else:
        said["added"] = [server for server in said["added"] if server["id"] != label]
    if force:  # nobody is left, and that is meant: those that went before stay away, too
        said["removed"] = dict.fromkeys(said["removed"], True)
    return _with(plan, overrides, name, said, force)


def weigh(plan: Plan, overrides: Overrides, name: str, label: str, weight: int) -> Overrides:
    """Another share for a server; the file's own ends what was said."""
    upstream, said = _of(plan, overrides, name)
    _find(upstream, said, label)
    if weight == 0:
        raise CommandError("a weight of 0 is none", f"`gapura drain {name} {label}` sends a server no new requests")
    if not 1 <= weight <= MAX_WEIGHT:
        raise CommandError(f"weight must be from 1 to {MAX_WEIGHT}", "a share such as 1, 2 or 5")
    written = written_servers(upstream)
    if label not in written:
        said["added"] = [{**server, "weight": weight} if server["id"] == label else server for server in said["added"]]
    elif weight == written[label]["weight"]:
        said["weights"].pop(label, None)
    else:
        said["weights"][label] = [weight, written[label]["weight"]]
    return _with(plan, overrides, name, said, force=True)


def reset(plan: Plan, overrides: Overrides, name: str, label: str, force: bool) -> Overrides:
    """Forget what was said of a server, or of all of an upstream (`label` ""): it is as the file says again."""
    upstream, said = _of(plan, overrides, name)
    if not label:
        return {other: item for other, item in overrides.items() if other != name}
    if label not in said["removed"]:
        _find(upstream, said, label)
    said["added"] = [server for server in said["added"] if server["id"] != label]
    said["removed"].pop(label, None)
    said["weights"].pop(label, None)
    return _with(plan, overrides, name, said, force)


def resolved(overrides: Overrides, name: str, label: str, addresses: list[str]) -> Overrides:
    """The name of an added server has these addresses now."""
    said = overrides[name]
    added = [{**server, "addresses": addresses} if server["id"] == label else server for server in said["added"]]
    return {**overrides, name: {**said, "added": added}}  # type: ignore[typeddict-item]  # mypy knows no spread of a union


def upstream_of(plan: Plan, name: str) -> UpstreamPlan:
    """An upstream whose servers commands may change, as the file has it. Raises `CommandError`."""
    known = {other: item for other, item in plan["upstreams"].items() if other != plan_admin.UPSTREAM}
    if name not in known:
        shown = ", ".join(sorted(other for other, item in known.items() if not item["app"])) or "none"
        raise CommandError(f"there is no upstream {name}", f"Upstreams of this configuration: {shown}.", code="missing")
    if known[name]["app"]:
        hint = f"`gapura scale {name} N` changes how many there are; they share alike"
        raise CommandError(f"{name} is an app: its servers are its instances", hint)
    return known[name]


def _of(plan: Plan, overrides: Overrides, name: str) -> tuple[UpstreamPlan, UpstreamOverrides]:
    """An upstream as the file has it, and a copy of what was said of it."""
    upstream = upstream_of(plan, name)
    said = overrides.get(name) or {"added": [], "removed": {}, "weights": {}}
    return upstream, {"added": list(said["added"]), "removed": dict(said["removed"]), "weights": dict(said["weights"])}


def _find(upstream: UpstreamPlan, said: UpstreamOverrides, label: str) -> None:
    """Raise `CommandError` unless there is such a server now."""
    written = [item for item in written_servers(upstream) if item not in said["removed"]]
    known = [*written, *(server["id"] for server in said["added"])]
    if label in known:
        return
    name = upstream["name"]
    changed = _changed(upstream, said)
    twin = next((server["name"] for server in changed["servers"] if server["id"] == label and server["name"]), "")
    if twin:
        hint = f"say it of {twin}: all its addresses follow"
        raise CommandError(f"{label} is one of the addresses of {twin}", hint, code="missing")
    if label in said["removed"]:
        hint = f"`gapura server reset {name} {label}` brings it back"
        raise CommandError(f"{label} was removed from {name}", hint, code="missing")
    raise CommandError(f"{name} has no server {label}", f"Its servers: {', '.join(known) or 'none'}.", code="missing")


def _with(plan: Plan, overrides: Overrides, name: str, said: UpstreamOverrides, force: bool) -> Overrides:
    upstream = plan["upstreams"][name]
    if not force and not serves(_changed(upstream, said)):
        hint = "with --force it goes all the same, and requests get 503; `gapura drain` keeps its place"
        raise CommandError(f"no server of {name} would be left that serves", hint)
    changed = {other: item for other, item in overrides.items() if other != name}
    if any(said.values()):
        changed[name] = said
    return changed


def _same(upstream: UpstreamPlan, server: AddedServer, written: ServerPlan) -> bool:
    """Whether nothing is asked for that the file says differently, the weight aside."""
    asked: Mapping[str, Any] = server
    found: Mapping[str, Any] = written
    keys = ("max_fails", "fail_timeout", "max_conns")
    return server["backup"] in (False, written["backup"]) and all(asked[key] in (None, found[key]) for key in keys)


# -- what people are told -------------------------------------------------------------------------------------------------------


def sentences(overrides: Overrides) -> list[str]:
    """What holds and is not from the file, one sentence each."""
    out = []
    for name, said in overrides.items():
        out += [f"upstream {name}: server {server['id']} added by a command" for server in said["added"]]
        out += [f"upstream {name}: server {label} removed by a command" for label in said["removed"]]
        for label, (weight, then) in said["weights"].items():
            out.append(f"upstream {name}: server {label} has weight {weight} by a command, the file says {then}")
    return out


def origin(overrides: Overrides, name: str, server: ServerPlan) -> dict[str, Any]:
    """Of a server that runs: whether a command `added` it, and `file_weight`, the file's own weight (None: the one it has)."""
    said, label = overrides.get(name), label_of(server)
    if said is None:
        return {"added": False, "file_weight": None}
    weight = said["weights"].get(label)
    return {"added": any(label == item["id"] for item in said["added"]), "file_weight": weight[1] if weight else None}


# -- what was kept --------------------------------------------------------------------------------------------------------------


def understood(document: object) -> Overrides:
    """Overrides as they were written down. Raises ValueError, TypeError, KeyError for what is none."""
    if not isinstance(document, dict):
        raise TypeError("no table of upstreams")
    return {str(name): _said(entry) for name, entry in document.items()}


def _said(entry: Mapping[str, Any]) -> UpstreamOverrides:
    weights = {str(label): [_whole(weight), _whole(then)] for label, (weight, then) in entry["weights"].items()}
    return {
        "added": [_added(server) for server in entry["added"]],
        "removed": {str(label): bool(forced) for label, forced in entry["removed"].items()},
        "weights": weights,
    }


def _added(entry: Mapping[str, Any]) -> AddedServer:
    for key in ("id", "host", "path"):
        if not isinstance(entry[key], str):
            raise TypeError(f"{key} is no text")
    timeout = entry["fail_timeout"]
    return {
        "id": entry["id"],
        "host": entry["host"],
        "port": _whole(entry["port"]),
        "path": entry["path"],
        "named": bool(entry["named"]),
        "weight": _whole(entry["weight"]),
        "backup": bool(entry["backup"]),
        "max_fails": None if entry["max_fails"] is None else _whole(entry["max_fails"]),
        "fail_timeout": None if timeout is None else float(timeout),
        "max_conns": None if entry["max_conns"] is None else _whole(entry["max_conns"]),
        "addresses": [str(address) for address in entry["addresses"]],
    }


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is no whole number")
    return value
