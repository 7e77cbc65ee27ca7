"""From the merged tables to a `Document`: every problem that the model finds, in words for people."""

from __future__ import annotations

import copy
import types
import typing
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from .findings import Findings
from .positions import Path
from .schema import Document
from .schema_site import Action
from .words import did_you_mean, nearest, shown

MOST: Final = 500
"""So many problems of one kind of check are reported: nobody reads more, and each takes time to explain."""
FOREIGN: Final = {
    "listen": "use http in [edge]",
    "https": 'it belongs to [edge]; a site has HTTPS with tls = "auto"',
    "tls": 'it belongs to a site: [sites."HOST"] tls = "auto"; or to [edge], or an upstream',
    "ssl": 'use tls = "auto", or tls = { certificate = "…", key = "…" }',
    "cert": "use certificate",
    "ssl_certificate": 'use tls = { certificate = "…", key = "…" }',
    "ssl_certificate_key": 'use tls = { certificate = "…", key = "…" }',
    "ssl_protocols": "use min_version in [edge.tls]",
    "ssl_ciphers": "not needed: the suites are those of Mozilla's intermediate profile",
    "ssl_client_certificate": "use client_ca in the tls of the site",
    "proxy_ssl_verify": "use verify in the tls of the upstream",
    "gzip": "use compress = true",
    "gzip_types": 'use compress = { types = ["text/*", "application/json"] }',
    "gzip_static": "use precompressed = true",
    "brotli": "use compress = true",
    "encode": "use compress = true",
    "expires": 'use cache = { "*.css" = "7d" }; names with a hash are kept for a year by themselves',
    "cache_control": 'use cache = { "*.css" = "7d" }, or response_headers',
    "autoindex": "use listing = true",
    "browse": "use listing = true",
    "error_page": 'use error_pages = { 404 = "/404.html" }',
    "log_format": 'use access_log = { format = "…" }',
    "sendfile": "not needed: large files go by sendfile in any case",
    "ssl_session_cache": "not needed: sessions are resumed by all workers",
    "proxy_hide_header": 'use response_headers = { remove = ["NAME"] }',
    "limit_req_zone": 'not needed: limit = "10/s" says it all',
    "limit_conn_zone": "not needed: limit_connections = 10 says it all",
    "map": "use match in a route, or split",
    "password": "use basic_auth; `gapura password NAME --file htpasswd` writes the file",
    "servers": 'they belong to an upstream: [upstreams.NAME] servers = […], and proxy = "NAME" in the site',
    "add_header": 'use response_headers = { set = { NAME = "…" } }',
    "limit_req": 'use limit, such as limit = "10/s"',
    "limit_conn": "use limit_connections",
    "rate_limit": 'use limit, such as limit = "10/s"',
    "split_clients": 'use split = [{ proxy = "a", share = 90 }, { proxy = "b", share = 10 }]',
    "sticky_cookie": "use sticky",
    "server_name": 'the host is the name of the site: [sites."example.com"]',
    "domain": 'the host is the name of the site: [sites."example.com"]',
    "location": "use path",
    "path": 'write a route: [[sites."HOST".routes]]',
    "kind": 'write a route: [[sites."HOST".routes]]',
    "proxy_pass": "use proxy",
    "upstream": "use proxy",
    "app": "use proxy",
    "root": "use files",
    "alias": "use files",
    "static": "use files",
    "try_files": "use fallback",
    "return": "use redirect or respond",
    "client_max_body_size": "use body_limit in a site or route, or body in [edge.limits]",
    "worker_processes": "use workers",
    "proxy_set_header": "Host and X-Forwarded-* are passed on by themselves; host_header and request_headers change them",
    "set_real_ip_from": "use trusted_proxies in [edge]",
    "proxy_next_upstream_tries": "use tries",
    "resolver": "not needed: names are resolved again and again",
    "client_header_timeout": "use head in [edge.timeouts]",
    "client_body_timeout": "use body in [edge.timeouts]",
    "worker_connections": "use connections in [edge.limits]",
    "proxy_connect_timeout": "use connect_timeout",
    "proxy_read_timeout": "use read_timeout",
    "proxy_send_timeout": "use send_timeout",
    "server": "use servers",
    "lb_policy": "use policy",
    "method": "use policy",
    "balance": "use policy",
    "script": "use command",
    "cmd": "use command",
    "exec": "use command",
    "args": "write them into command",
    "cwd": "use directory",
    "exec_mode": "not needed: instances are balanced in any case",
    "interpreter": "write it at the beginning of command",
    "name": "the name is that of the table: [apps.NAME]",
    "env_production": "use env, or env_file",
    "restart_delay": "not needed: the pause grows from 0.1 s to 15 s by itself",
    "exp_backoff_restart_delay": "not needed: the pause grows from 0.1 s to 15 s by itself",
    "wait_ready": "not needed: an instance is ready when it answers; see start_timeout and ready_path",
    "listen_timeout": "use start_timeout",
    "uid": "use user",
    "out_file": "not needed: the output is in .gapura/logs; see `gapura logs`",
    "error_file": "not needed: the output is in .gapura/logs; see `gapura logs`",
    "max_memory_restart": "use max_memory",
    "kill_timeout": "use stop_timeout",
    "watch": "not part of Gapura",
    "weight": 'it belongs to a server of an upstream: { address = "10.0.0.1:3000", weight = 2 }; instances share alike',
    "auth_basic": 'use basic_auth = "htpasswd"',
    "auth_basic_user_file": 'use basic_auth = "htpasswd"',
    "auth_request": 'use forward_auth = { to = "auth", path = "/verify" }',
    "auth_jwt": "use jwt = { … }",
    "exact": 'use path, and kind = "exact"',
    "from": "use path, or match for a regex",
    "to": 'use redirect = { to = "…", status = 301 }',
    "status": "use redirect = { … } or respond = { … }",
    "body": "use respond = { … }",
}
"""Words of nginx, pm2 and Caddy, and what they are here."""

_KINDS: Final = {
    "model_type": "must be a table",
    "string_type": "must be a text in quotes",
    "int_type": "must be a whole number, without quotes",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false, without quotes",
    "list_type": "must be a list",
    "dict_type": "must be a table",
    "too_short": "must not be empty",
}


_SHORT_FORMS: Final = {
    "servers": "must be a text or a table",
    "redirect": "must be a text or a table",
    "respond": "must be a text or a table",
    "health": "must be false or a table",
    "tls": 'must be "auto", false or a table',
    "hsts": "must be a duration, false or a table",
    "access_log": "must be a path, false or a table",
    "basic_auth": "must be a path, false or a table",
    "forward_auth": "must be false or a table",
    "jwt": "must be false or a table",
    "cors": "must be true, false or a table",
    "security_headers": "must be true, false or a table",
}
"""Tables for which something shorter may stand."""


def validate(findings: Findings) -> Document:
    """The document, without the parts that are wrong: those are reported and set aside, so that the rest can be checked."""
    data = copy.deepcopy(findings.sources.data)
    first = True
    while True:
        try:
            return Document.model_validate(data)
        except ValidationError as error:
            items = error.errors(include_url=False)
            told = items[:MOST]
            meant = {(*loc[:-1], nearest(str(loc[-1]), section_keys(loc[:-1]))) for loc in _unknown(told)}
            for item in told:
                if item["loc"] not in meant and (first or item["type"] != "missing"):
                    _report(findings, item)
            for item in items:
                _set_aside(data, item["loc"], item["type"] == "missing")
            if len(items) > MOST:
                findings.fault((), f"{len(items) - MOST} more problems are not shown")
            first = False  # what is missing from now on was set aside here


def _unknown(items: list[ErrorDetails]) -> list[Path]:
    return [item["loc"] for item in items if item["type"] == "extra_forbidden"]


def _report(findings: Findings, item: ErrorDetails) -> None:
    loc: Path = item["loc"]
    kind: str = item["type"]
    key = next((str(part) for part in reversed(loc) if isinstance(part, str)), "")
    context = item.get("ctx", {})
    if kind == "gapura":
        message = context["message"]
        subject = f"{shown(key)} " if message.startswith(("must ", "has ")) else ""
        findings.fault(loc, subject + message, context["hint"], at_key=loc[-1] == "[key]")
    elif kind == "extra_forbidden":
        findings.fault(
            loc, f'there is no key "{shown(key)}" in {_table_name(loc[:-1])}', _unknown_hint(loc, item["input"]), at_key=True
        )
    elif kind == "missing":
        findings.fault(loc, f"{_table_name(loc[:-1])} has no {key}", _missing_hint(key), at_key=True)
    elif kind in ("greater_than_equal", "less_than_equal"):
        bound = f"at least {context['ge']}" if kind == "greater_than_equal" else f"at most {context['le']}"
        findings.fault(loc, f"{key} must be {bound}")
    else:
        label = f"each element of {shown(key)}" if isinstance(loc[-1], int) else shown(key)
        words = _SHORT_FORMS.get(key, _KINDS[kind]) if kind == "model_type" else _KINDS.get(kind)
        findings.fault(loc, f"{label} {words}" if words else f"{label}: {item['msg']}")


def _table_name(loc: Path) -> str:
    """How a table is called in messages: `[apps.web]`, `[edge]`, `a route`, `a server`."""
    if not loc:
        return "the file"
    if isinstance(loc[-1], int):
        return {"routes": "a route", "servers": "a server"}.get(str(loc[-2]), "a table")
    if loc[0] == "sites" and len(loc) > 1:
        return f'[sites."{shown(loc[1])}"]' if len(loc) == 2 else shown(loc[-1])
    return f"[{'.'.join(shown(part) for part in loc if isinstance(part, str))}]"


def _missing_hint(key: str) -> str:
    examples = {
        "command": 'write command = "npm start"',
        "servers": 'write servers = ["10.0.0.1:3000"]',
        "to": 'write to = "https://…"',
    }
    return examples.get(key, f"write {key} = …")


def _unknown_hint(loc: Path, value: object) -> str:
    key, keys = str(loc[-1]), section_keys(loc[:-1])
    near = nearest(key, keys)
    if len(loc) == 1:
        return 'write it below [sites."HOST"]' if key in Action.model_fields else did_you_mean(key, keys, label="tables are")
    is_name = not (key in FOREIGN and "_" in key)  # no part of a host name has one
    if len(loc) == 3 and isinstance(value, dict) and not near and is_name:
        return f'a name with a dot stands in quotes: [{loc[0]}."{shown(loc[1])}.{shown(_dotted(key, value))}"]'
    return FOREIGN.get(key) or did_you_mean(key, keys, label="keys here")


def _dotted(key: str, value: dict[str, Any]) -> str:
    """`b.c` for what TOML made of `[sites.a.b.c]` below a."""
    while len(value) == 1:
        inner, below = next(iter(value.items()))
        if not isinstance(below, dict):
            break
        key, value = f"{key}.{inner}", below
    return key


def section_keys(loc: Path) -> list[str]:
    """The keys that the table at `loc` may have."""
    kind: Any = Document
    for part in loc:
        kind = _list(kind) if isinstance(part, int) else kind
        model = _model(kind)
        if model is not None:
            field = model.model_fields.get(str(part))
            kind = field.annotation if field else None
        elif typing.get_origin(kind) in (dict, list):
            kind = typing.get_args(kind)[-1]
    model = _model(kind)
    return list(model.model_fields) if model is not None else []


def _list(kind: Any) -> Any:
    """The list in an annotation such as `Annotated[list[Redirect] | None, …]`."""
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        return next((item for item in typing.get_args(kind) if typing.get_origin(item) is list), kind)
    return kind


def _model(kind: Any) -> type[BaseModel] | None:
    """The model in an annotation such as `Annotated[Health | None, …]`."""
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        kind = next((item for item in typing.get_args(kind) if item is not type(None)), None)
        return _model(kind)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _set_aside(data: Any, loc: Path, missing: bool) -> None:
    """Take what is wrong at `loc` out of `data`: the key, or the whole list or table that cannot do without it."""
    trail: list[tuple[Any, str | int]] = []
    here = data
    for part in loc[:-1] if missing else loc:
        if not isinstance(here, dict | list):
            break  # a short form: the model knows more levels than the file
        try:
            below = here[part]  # type: ignore[index]
        except (LookupError, TypeError):
            break
        trail.append((here, part))
        here = below
    while trail and isinstance(trail[-1][1], int):
        trail.pop()  # without one element the indices of the others would no longer be those of the file
    if trail:
        container, key = trail[-1]
        container.pop(key, None)
    else:
        data.clear()
