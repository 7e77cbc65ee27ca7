"""Tokens: which are right, which are not however they are made, and what the application learns."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from gapura.config.plan_access import JwtPlan
from gapura.edge import jwks
from gapura.edge.jwt import Tokens, claim

from .client import Answer, get
from .edge import Edge

SECRET = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"


@lru_cache
def private(kind: str) -> Any:
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    if kind == "ed":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key({"p256": ec.SECP256R1(), "p384": ec.SECP384R1()}[kind])


def pem(kind: str) -> str:
    public = private(kind).public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def claims(**more: Any) -> dict[str, Any]:
    return {"sub": "alice", "exp": int(time.time()) + 600, **more}


def token(key: Any = SECRET, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **more: Any) -> str:
    said = {name: value for name, value in claims(**more).items() if value is not None}
    return jwt.encode(said, key, algorithm, headers=headers)


def raw(header: object, payload: object, signature: bytes | None = None, secret: str = SECRET) -> str:
    """A token made by hand, signed with HS256 unless a signature is given."""

    def part(data: object) -> bytes:
        text = data if isinstance(data, bytes) else json.dumps(data).encode()
        return base64.urlsafe_b64encode(text).rstrip(b"=")

    signed = part(header) + b"." + part(payload)
    made = hmac.new(secret.encode(), signed, hashlib.sha256).digest() if signature is None else signature
    return (signed + b"." + base64.urlsafe_b64encode(made).rstrip(b"=")).decode()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    jwks.keys_for.cache_clear()


async def start(edge: Edge, more: str = "", key: str = SECRET, action: str = 'respond = "in"', **settings: Any) -> None:
    (edge.folder / "key").write_text(key + "\n")
    log = settings.pop("log", "")
    await edge.start(f'[sites."*"]\n{action}\njwt = {{ keys = "key"{more} }}\n', log, **settings)


async def ask(edge: Edge, bearer: str, *lines: str) -> Answer:
    client = await edge.client()
    return await client.ask("/", f"Authorization: Bearer {bearer}", *lines)


# -- which are right ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        ("", "HS256"), ("", "HS384"), ("", "HS512"), ("rsa", "RS256"), ("rsa", "RS512"), ("rsa", "PS256"), ("rsa", "PS384"),
        ("p256", "ES256"), ("p384", "ES384"), ("ed", "EdDSA"),
    ],
)  # fmt: skip
async def test_signatures(edge: Edge, kind: str, algorithm: str) -> None:
    await start(edge, key=pem(kind) if kind else SECRET)
    good = token(private(kind) if kind else SECRET, algorithm)
    assert (await ask(edge, good)).status == 200
    assert (await ask(edge, good)).status == 200  # from memory
    for wrong in (good[:-2], good + "A", good[:-8] + "AAAAAAAA", good.replace(".", "..", 1), good.rpartition(".")[0] + "."):
        answer = await ask(edge, wrong)
        assert (answer.status, answer.get("www-authenticate")) == (401, 'Bearer realm="Restricted", error="invalid_token"')


async def test_without_a_token(edge: Edge) -> None:
    await start(edge, ', realm = "R\\"x"')
    client = await edge.client()
    for lines in ((), ("Authorization: Basic YTpi",), ("Cookie: token=x",)):
        answer = await client.ask("/", *lines)
        assert (answer.status, answer.get("www-authenticate")) == (401, 'Bearer realm="R\\"x"')
    client.send(get("/", "Content-Length: 3", "Expect: 100-continue", method="POST"))
    assert (await client.head()).status == 401


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"exp": -10}, 200),  # within the leeway
        ({"exp": -100}, 401),
        ({"exp": None}, 401),
        ({"exp": "tomorrow"}, 401),
        ({"exp": 1e400}, 401),
        ({"exp": float("nan")}, 401),
        ({"exp": [1]}, 401),
        ({"exp": 10**400}, 200),
        ({"exp": 4e9}, 200),
        ({"nbf": 10}, 200),
        ({"nbf": 100}, 401),
        ({"nbf": "x"}, 401),
        ({"iat": 10_000}, 200),
        ({"iss": "https://b.example"}, 401),
        ({"iss": None}, 401),
        ({"iss": ["https://a.example"]}, 401),
        ({"aud": "other"}, 401),
        ({"aud": None}, 401),
        ({"aud": ["other", "web"]}, 200),
        ({"aud": [["web"]]}, 401),
        ({"role": "guest"}, 403),
        ({"role": None}, 403),
        ({"role": ["guest", "admin"]}, 200),
        ({"role": {"admin": 1}}, 403),
        ({"scope": "write"}, 403),
        ({"scope": "write read"}, 200),
        ({"scope": "reader"}, 403),
        ({"sub": 7}, 200),
    ],
)
async def test_what_a_token_must_say(edge: Edge, more: dict[str, Any], status: int) -> None:
    """Times are seconds from now."""
    table = ', issuer = "https://a.example", audience = ["web", "app"], claims = { role = ["admin", "root"], scope = "read" }'
    await start(edge, table)
    now = int(time.time())
    more = {
        name: value + now if name in ("exp", "nbf", "iat") and isinstance(value, int) else value for name, value in more.items()
    }
    said = {"iss": "https://a.example", "aud": "web", "role": "admin", "scope": "read", **claims(), **more}
    bearer = raw({"alg": "HS256"}, {name: value for name, value in said.items() if value is not None})
    answer = await ask(edge, bearer)
    assert answer.status == status
    error = {401: "invalid_token", 403: "insufficient_scope"}.get(status)
    assert answer.get("www-authenticate") == (f'Bearer realm="Restricted", error="{error}"' if error else None)


async def test_tokens_for_ever(edge: Edge) -> None:
    await start(edge, ", eternal = true")
    assert (await ask(edge, token(exp=None))).status == 200
    assert (await ask(edge, token(exp=1))).status == 401


async def test_a_remembered_token_ends(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    await start(edge, ", leeway = 0")
    bearer = token()
    assert (await ask(edge, bearer)).status == 200
    clock = time.time() + 601
    monkeypatch.setattr("gapura.edge.jwt.time.time", lambda: clock)
    monkeypatch.setattr(
        "jwt.api_jwt.datetime",
        type("Later", (), {"now": staticmethod(lambda tz: __import__("datetime").datetime.fromtimestamp(clock, tz))}),
    )
    assert (await ask(edge, bearer)).status == 401


# -- which are not, however they are made -------------------------------------------------------------------------------------

GOOD = {"sub": "alice", "exp": 4_000_000_000}


@pytest.mark.parametrize(
    "bearer",
    [
        "", ".", "..", "...", "a", "a.b.c", "\xff.\xff.\xff", "A" * 20_000, ".".join(["A" * 9000] * 3), "null.null.null",
        raw({"alg": "none"}, GOOD, b""),
        raw({"alg": "None"}, GOOD, b""),
        raw({"alg": "nOnE", "typ": "JWT"}, GOOD),
        raw({"alg": ""}, GOOD),
        raw({}, GOOD),
        raw({"alg": None}, GOOD),
        raw({"alg": ["HS256"]}, GOOD),
        raw({"alg": {"a": 1}}, GOOD),
        raw({"alg": "HS256", "kid": 7}, GOOD),
        raw({"alg": "HS256", "kid": {"a": []}}, GOOD),
        raw({"alg": "HS256", "crit": ["exp"]}, GOOD),
        raw({"alg": "HS256", "b64": False, "crit": ["b64"]}, GOOD),
        raw({"alg": "HS1"}, GOOD),
        raw({"alg": "ES256K"}, GOOD),
        raw({"alg": "RS256"}, GOOD),
        raw([], GOOD),
        raw(b"[" * 5000, GOOD),
        raw(b'{"a":' * 2000, GOOD),
        raw(b"\xff\xfe", GOOD),
        raw({"alg": "HS256"}, []),
        raw({"alg": "HS256"}, b"[" * 5000),
        raw({"alg": "HS256"}, b"\xff"),
        raw({"alg": "HS256"}, b""),
        raw({"alg": "HS256"}, b'{"exp":' + b"9" * 5000 + b"}"),
        raw({"alg": "HS256"}, GOOD, secret="another"),
        raw({"alg": "HS256"}, GOOD, secret=""),
        raw({"alg": "HS256", "jwk": {"kty": "oct", "k": "AA"}}, GOOD, secret="\0"),
        raw({"alg": "HS256", "jku": "https://evil.example/", "x5u": "https://evil.example/"}, GOOD, secret="evil"),
        raw({"alg": "HS256", "kid": "../../dev/null"}, GOOD, secret=""),
    ],
)  # fmt: skip
async def test_hostile_tokens(edge: Edge, bearer: str) -> None:
    await start(edge)
    answer = await ask(edge, bearer)
    assert answer.status == (431 if len(bearer) > 16_384 * 2 else 401)
    assert (await ask(edge, token())).status == 200


async def test_a_public_key_is_no_secret(edge: Edge) -> None:
    """Algorithm confusion (RFC 8725 §2.1): HS256 with the public key, which everybody has, as the secret."""
    await start(edge, key=pem("rsa"))
    for secret in (pem("rsa"), pem("rsa").strip(), pem("rsa") + "\n"):
        assert (await ask(edge, raw({"alg": "HS256"}, GOOD, secret=secret))).status == 401
    assert (await ask(edge, token(private("p256"), "ES256"))).status == 401
    assert (await ask(edge, token(private("rsa"), "RS256"))).status == 200


async def test_only_the_named_algorithms(edge: Edge) -> None:
    await start(edge, ', algorithms = ["HS512"]')
    assert (await ask(edge, token(algorithm="HS512"))).status == 200
    assert (await ask(edge, token(algorithm="HS256"))).status == 401


async def test_two_tokens_are_none(edge: Edge) -> None:
    await start(edge)
    client = await edge.client()
    line = f"Authorization: Bearer {token()}"
    assert (await client.ask("/", line, line)).status == 401
    assert (await client.ask("/", line, "Authorization: Basic YTpi")).status == 401


@given(st.binary(max_size=300))
def test_any_bytes_get_a_verdict(data: bytes) -> None:
    step = Tokens(plan())
    step.keys.current = jwks.keys_of_file(SECRET.encode())
    for candidate in (
        data,
        b"a.b." + data,
        base64.urlsafe_b64encode(data) + b".e30.AA",
        data.replace(b".", b"") + b"." + data + b".x",
    ):
        verdict = step._verdict(candidate)
        assert verdict is not None
        assert verdict.status == 401


def plan(**more: Any) -> JwtPlan:
    found: dict[str, Any] = {
        "keys": "/nowhere", "jwks": "", "algorithms": [], "issuer": [], "audience": [], "header": "", "cookie": "", "claims": {},
        "headers": {}, "leeway": 0, "eternal": True, "realm": "", "forward": True, **more,
    }  # fmt: skip
    return found  # type: ignore[return-value]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["sub", "a", "aud", "iss", "scope", "nbf", "iat", "jti"]), JSON))
def test_any_claims_get_a_verdict(said: dict[str, Any]) -> None:
    step = Tokens(plan(headers={"X-A": "a", "X-B": "sub.b"}, claims={"scope": ["x"]}))
    step.keys.current = jwks.keys_of_file(SECRET.encode())
    bearer = raw({"alg": "HS256"}, said).encode()
    if len(bearer) < 8000:
        verdict = step._verdict(bearer)
        assert verdict is not None
        assert all(0x20 <= byte != 0x7F or byte == 9 for line in (*verdict.lines, verdict.user) for byte in line)


# -- what the application learns ----------------------------------------------------------------------------------------------


async def test_claims_become_headers(edge: Edge) -> None:
    backend = await edge.backend()
    table = ', headers = { X-User = "sub", X-Roles = "realm_access.roles", X-Age = "age", X-None = "none", X-Yes = "yes" }'
    await start(edge, table, action=f'proxy = "{backend.address}"', log="$remote_user")
    bearer = token(realm_access={"roles": ["a", "b"]}, age=7, yes=True)
    lines = ("X-User: root", "x-roles: root", "X-NONE: root", "X-Other: stays")
    for _ in range(2):
        assert (await ask(edge, bearer, *lines)).status == 200
    for request in backend.requests:
        found = {name: request.all(name) for name in ("x-user", "x-roles", "x-age", "x-none", "x-yes", "x-other")}
        assert found == {
            "x-user": ["alice"],
            "x-roles": ["a,b"],
            "x-age": ["7"],
            "x-none": [],
            "x-yes": ["true"],
            "x-other": ["stays"],
        }
        assert request.get("authorization") == f"Bearer {bearer}"
    assert edge.lines() == ["alice", "alice"]


@pytest.mark.parametrize(
    "value", ["a\r\nX-Admin: 1", "a\nb", "a\0", "\x1b[31m", "\x7f", "x" * 5000, ["a", "b\r\n"], {"a": "x" * 5000}, "\ud800"]
)
async def test_a_claim_that_no_header_may_have(edge: Edge, value: object) -> None:
    backend = await edge.backend()
    await start(edge, ', headers = { X-Name = "name" }', action=f'proxy = "{backend.address}"')
    assert (await ask(edge, token(name=value))).status == 403
    assert backend.requests == []


async def test_a_name_that_no_log_may_have(edge: Edge) -> None:
    await start(edge, log="$remote_user $status")
    assert (await ask(edge, token(sub="a\nb"))).status == 200
    assert edge.lines() == ["- 200"]


async def test_the_token_may_stay_here(edge: Edge) -> None:
    backend = await edge.backend()
    await start(edge, ', forward = false, header = "X-Token"', action=f'proxy = "{backend.address}"')
    client = await edge.client()
    assert (await client.ask("/", f"X-Token: {token()}", "Authorization: Basic YTpi")).status == 200
    assert (await client.ask("/", f"X-Token: Bearer {token()}")).status == 200
    assert (await client.ask("/", f"Authorization: Bearer {token()}")).status == 401
    assert [request.get("x-token") for request in backend.requests] == [None, None]
    assert backend.requests[0].get("authorization") == "Basic YTpi"


async def test_a_cookie(edge: Edge) -> None:
    await start(edge, ', cookie = "session"')
    client = await edge.client()
    assert (await client.ask("/", f"Cookie: a=1; session={token()}; b=2")).status == 200
    assert (await client.ask("/", f"Cookie: xsession={token()}")).status == 401
    assert (await client.ask("/", f"Cookie: session={token()}", "Authorization: Bearer x")).status == 401  # the header counts


def test_a_claim_is_found_by_its_way() -> None:
    said = {"a": {"b": [1]}, "a.b": 2, "c": 3}
    assert [claim(said, name) for name in ("a.b", "c", "c.d", "a.x", "x", "", ".")] == [2, 3, None, None, None, None, None]
    assert claim({"a": {"b": [1]}}, "a.b") == [1]


# -- keys that change ---------------------------------------------------------------------------------------------------------


async def test_a_changed_key_counts_without_a_reload(edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gapura.edge.watched_file.LOOK", 0)
    await start(edge)
    old = token()
    assert (await ask(edge, old)).status == 200
    new = "f" * 64
    (tmp_path / "key").write_text("short")
    assert (await ask(edge, old)).status == 200
    (tmp_path / "key").write_text(new)
    assert (await ask(edge, old)).status == 401  # not from memory either
    assert (await ask(edge, token(new))).status == 200


async def test_without_any_key_nobody_comes_in(edge: Edge, tmp_path: Path) -> None:
    await start(edge)
    (tmp_path / "key").unlink()
    assert (await ask(edge, token())).status == 401
