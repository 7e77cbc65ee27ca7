"""From the keys of a site and its route to their plan: who may ask: networks, passwords, tokens, other origins."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Final

from .. import small_file
from ..errors import Problem
from . import htpasswd
from .addresses import AddressError, is_numeric, split_port
from .build_upstreams import absolute
from .options import Options
from .plan_access import (
    AccessPlan,
    BasicAuthPlan,
    CorsPlan,
    ForwardAuthPlan,
    JwtPlan,
    NetworksPlan,
    SecurityHeadersPlan,
)
from .positions import Path
from .schema_access import WORDS, BasicAuth, Cors, ForwardAuth, Jwt, SecurityHeaders

SHORTEST_SECRET: Final = 32
"""Bytes: RFC 7518 §3.2 wants as many as the hash has, and shorter ones can be found by trying."""
_URL: Final = re.compile(r"https?://([^/?#@]+)(/[!-~]*)?", re.ASCII)


def access(options: Options) -> AccessPlan | None:
    """The plan; None when no key asks for anything, so that a plain route pays nothing."""
    plan: AccessPlan = {
        "networks": _networks(options),
        "satisfy": options.get("satisfy") or "all",
        "basic_auth": _basic_auth(options),
        "forward_auth": _forward_auth(options),
        "jwt": _jwt(options),
        "cors": _cors(options),
        "security_headers": _security_headers(options),
    }
    if plan["satisfy"] == "any" and not (plan["networks"] and (plan["basic_auth"] or plan["forward_auth"] or plan["jwt"])):
        hint = "leave it out, or write both allow and basic_auth, forward_auth or jwt"
        options.findings.error(options.where("satisfy"), 'satisfy = "any" has nothing to choose from', hint)
    return plan if any(value for key, value in plan.items() if key != "satisfy") else None


# -- networks ---------------------------------------------------------------------------------------------------------------


def _networks(options: Options) -> NetworksPlan | None:
    allow, deny = options.get("allow"), options.get("deny")
    if allow is None and deny is None:
        return None
    if allow == []:
        options.findings.warn(options.where("allow"), "allow is empty: nobody may ask", 'write "all" for everybody')
    plan: NetworksPlan = {"allow": _expanded(allow or []), "deny": _expanded(deny or [])}
    if both := set(allow or ()) & set(deny or ()):
        message = f"{sorted(both)[0]} is both allowed and denied"
        options.findings.error(options.where("deny"), message, "keep one of them; of two networks the narrower decides")
    if allow is not None and not plan["allow"]:
        plan["deny"] = list(WORDS["all"])
    if allow is None and not plan["deny"]:
        return None
    if allow == ["all"] and not plan["deny"]:
        return None
    return plan


def _expanded(written: list[str]) -> list[str]:
    found: dict[str, None] = {}
    for text in written:
        for network in WORDS.get(text, (text,)):
            found[_plain(network)] = None
    return list(found)


def _plain(network: str) -> str:
    """`10.0.0.0/8` also for `::ffff:10.0.0.0/104`: a client is one and the same, however its address is written."""
    parsed = ipaddress.ip_network(network)
    if parsed.version == 6 and parsed.prefixlen >= 96 and (mapped := parsed.network_address.ipv4_mapped):
        return f"{mapped}/{parsed.prefixlen - 96}"
    return str(parsed)


# -- passwords --------------------------------------------------------------------------------------------------------------


def _basic_auth(options: Options) -> BasicAuthPlan | None:
    written: BasicAuth | None = options.get("basic_auth")
    if written is None or not written.enabled:
        return None
    where = options.where("basic_auth")
    if written.file is None and not written.users:
        options.findings.error(where, "basic_auth has no passwords", 'write basic_auth = "htpasswd", the name of a file')
    for name, hashed in written.users.items():
        message, hint = htpasswd.fault(hashed)
        if message:
            options.findings.error((*where, "users", name), f"{name}: {message}", hint)
    file = "" if written.file is None else absolute(options.folder, written.file)
    if file:
        _check_htpasswd(options, where, file)
    return {"file": file, "users": dict(written.users), "realm": written.realm, "forward": written.forward}


def _check_htpasswd(options: Options, where: Path, file: str) -> None:
    raw = _content(options, (*where, "file"), file, "write its lines with `gapura password NAME --file FILE`")
    if raw is None:
        return
    users, mistakes = htpasswd.parse(raw)
    for mistake in mistakes[:20]:
        problem = Problem(mistake.message, file, mistake.line, 1, hint=mistake.hint)
        if problem not in options.findings.problems:
            options.findings.problems.append(problem)
    if not users and not mistakes:
        options.findings.warn((*where, "file"), f"{file} names no users: nobody comes in", "")


def _content(options: Options, where: Path, file: str, hint: str) -> bytes | None:
    try:
        return small_file.read(file)[0]
    except FileNotFoundError:
        options.findings.error(where, f"there is no file {file}", f"paths are seen from the folder of this file; {hint}")
    except (OSError, ValueError) as error:
        options.findings.error(where, f"{file} cannot be read: {getattr(error, 'strerror', None) or error}", "")
    return None


# -- another server decides -------------------------------------------------------------------------------------------------


def _forward_auth(options: Options) -> ForwardAuthPlan | None:
    written: ForwardAuth | None = options.get("forward_auth")
    if written is None or not written.enabled:
        return None
    where = options.where("forward_auth")
    if not written.to:
        hint = 'write forward_auth = { to = "auth", path = "/verify" }'
        options.findings.error(where, "forward_auth does not say who decides", hint)
        return None
    return {
        "upstream": options.upstream((*where, "to"), written.to),
        "path": written.path,
        "headers": list(written.headers),
        "answer_headers": list(written.answer_headers),
        "host": written.host if written.host is not None else _public_host(written.to),
        "timeout": written.timeout,
    }


def _public_host(to: str) -> str:
    """The Host header for a URL with a name in it; another site's server would not know ours."""
    match = _URL.fullmatch(to)
    if match is None:
        return ""
    try:
        host = split_port(match[1])[0]
    except AddressError:
        return ""
    return "" if is_numeric(host) or host == "localhost" else match[1]


# -- tokens -----------------------------------------------------------------------------------------------------------------


def _jwt(options: Options) -> JwtPlan | None:
    written: Jwt | None = options.get("jwt")
    if written is None or not written.enabled:
        return None
    where = options.where("jwt")
    if (written.keys is None) == (written.jwks is None):
        message = "jwt has no key" if written.keys is None else "jwt has both keys and jwks"
        options.findings.error(where, message, 'write jwt = { keys = "secret" } or jwt = { jwks = "https://…/jwks.json" }')
        return None
    keys = "" if written.keys is None else absolute(options.folder, written.keys)
    jwks = written.jwks or ""
    if keys:
        _check_keys(options, (*where, "keys"), keys, written.algorithms)
    elif "://" in jwks:
        _check_url(options, (*where, "jwks"), jwks)
    else:
        jwks = absolute(options.folder, jwks)
        _check_jwks(options, (*where, "jwks"), jwks)
    return {
        "keys": keys,
        "jwks": jwks,
        "algorithms": list(written.algorithms),
        "issuer": list(written.issuer),
        "audience": list(written.audience),
        "header": written.header or "",
        "cookie": written.cookie or "",
        "claims": {claim: list(values) for claim, values in written.claims.items()},
        "headers": dict(written.headers),
        "leeway": written.leeway,
        "eternal": written.eternal,
        "realm": written.realm,
        "forward": written.forward,
    }


def _check_url(options: Options, where: Path, url: str) -> None:
    match = _URL.fullmatch(url)
    if match is None:
        options.findings.error(where, "jwks is neither a file nor a URL", 'write "https://auth.example.com/jwks.json"')
    elif url.startswith("http://") and match[1].split(":")[0] not in ("localhost", "127.0.0.1"):
        options.findings.error(where, "keys that come over plain HTTP can be exchanged on their way", "write https://")


def _check_keys(options: Options, where: Path, file: str, algorithms: list[str]) -> None:
    raw = _content(options, where, file, "make a secret: openssl rand -hex 32")
    if raw is None:
        return
    text = raw.strip()
    pem = text.startswith(b"-----BEGIN ")
    secret = any(name.startswith("HS") for name in algorithms)
    if pem and b"PRIVATE KEY" in text:
        hint = "only who signs needs it; take its public half: openssl pkey -pubout"
        options.findings.error(where, f"{file} is a private key", hint)
    elif pem and secret:
        options.findings.error(where, "HS algorithms go with a secret, and this is a public key", "leave algorithms out")
    elif not pem and algorithms and not all(name.startswith("HS") for name in algorithms):
        options.findings.error(where, f"{algorithms[0]} goes with a public key (PEM), and this is none", "leave algorithms out")
    elif not pem and len(text) < SHORTEST_SECRET:
        message = f"the secret has {len(text)} bytes: it could be found by trying"
        options.findings.error(where, message, f"at least {SHORTEST_SECRET} bytes: openssl rand -hex 32")


def _check_jwks(options: Options, where: Path, file: str) -> None:
    raw = _content(options, where, file, "")
    if raw is None:
        return
    try:
        found = json.loads(raw)
        right = isinstance(found["keys"], list) and all(isinstance(key["kty"], str) for key in found["keys"])
    except (ValueError, LookupError, TypeError, RecursionError):
        right = False
    if not right:
        options.findings.error(where, f"{file} is not a set of keys (RFC 7517)", 'it looks like {"keys": [{"kty": "RSA", …}]}')


# -- other origins, careful browsers ----------------------------------------------------------------------------------------


def _cors(options: Options) -> CorsPlan | None:
    written: Cors | None = options.get("cors")
    if written is None or not written.enabled:
        return None
    if written.credentials and "*" in written.origins:
        hint = 'name them: origins = ["https://app.example.com"]'
        where = options.where("cors", "credentials")
        options.findings.error(where, "cookies for every origin: any page could act as the visitor", hint)
    return {
        "origins": ["*"] if "*" in written.origins else list(written.origins),
        "methods": list(written.methods),
        "headers": list(written.headers),
        "expose": list(written.expose),
        "credentials": written.credentials,
        "max_age": int(written.max_age),
    }


def _security_headers(options: Options) -> SecurityHeadersPlan | None:
    written: SecurityHeaders | None = options.get("security_headers")
    if written is None or not written.enabled:
        return None
    return {
        "frame": written.frame,
        "referrer": written.referrer,
        "csp": written.csp or "",
        "permissions": written.permissions or "",
        "opener": written.opener or "",
        "resource": written.resource or "",
        "hide": written.hide,
    }
