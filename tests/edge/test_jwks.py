"""Sets of keys: what is taken of them, how they are fetched, and what holds when they cannot be."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from gapura.edge import jwks
from gapura.edge.jwks import KeysError, download, keys_of_file, keys_of_set

from .backend import Backend, Request, Wire
from .client import get
from .edge import Edge
from .test_jwt import SECRET, pem, private, token


def jwk(kind: str, **more: Any) -> dict[str, Any]:
    """The public half of a key as a JWK."""
    algorithm = {"rsa": jwt.algorithms.RSAAlgorithm, "p256": jwt.algorithms.ECAlgorithm, "ed": jwt.algorithms.OKPAlgorithm}[kind]
    return {**algorithm.to_jwk(private(kind).public_key(), as_dict=True), "key_ops": ["verify"], **more}  # type: ignore[call-overload, attr-defined]


def key_set(*keys: object) -> bytes:
    return json.dumps({"keys": keys}).encode()


OCT = {"kty": "oct", "k": jwt.utils.base64url_encode(SECRET.encode()).decode(), "kid": "s"}


# -- what is taken ------------------------------------------------------------------------------------------------------------


def test_keys_of_a_set() -> None:
    raw = key_set(jwk("rsa", kid="a"), jwk("rsa", kid="b", alg="PS256"), jwk("p256", use="sig"), jwk("ed"), OCT)
    found = keys_of_set(raw, secrets=True)
    assert [(key.kid, sorted(key.algorithms)) for key in found] == [
        ("a", sorted(jwks.RSA)), ("b", ["PS256"]), (None, ["ES256"]), (None, ["EdDSA"]), ("s", ["HS256", "HS384", "HS512"]),
    ]  # fmt: skip
    assert len(keys_of_set(raw, secrets=False)) == 4


@pytest.mark.parametrize(
    "item",
    [
        {}, [], None, 7, "x", {"kty": []}, {"kty": "RSA"}, {"kty": "RSA", "n": "x", "e": 5},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"},
        {"kty": "oct", "k": "AA"}, {"kty": "oct", "k": ""}, {"kty": "oct", "k": 7}, {"kty": "none"}, {**OCT, "alg": "none"},
        {**OCT, "alg": "RS256"}, {**OCT, "alg": []}, {**OCT, "use": "enc"}, {**OCT, "key_ops": ["sign"]}, {**OCT, "d": "AA"},
        {"kty": "OKP", "crv": "X25519", "x": "AA"}, {"kty": "RSA", "n": "A" * 100_000, "e": "AQAB" * 1000},
    ],
)  # fmt: skip
def test_what_is_no_key_is_left_out(item: object) -> None:
    with pytest.raises(KeysError):
        keys_of_set(key_set(item), secrets=True)
    assert len(keys_of_set(key_set(item, OCT), secrets=True)) == 1


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b"null", b"\xff", b"[" * 100_000, b'{"keys": {}}', b'{"keys": []}', b"<html>"])
def test_what_is_no_set(raw: bytes) -> None:
    with pytest.raises(KeysError):
        keys_of_set(raw, secrets=True)


JSON = st.recursive(st.none() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=2))


NAMES = st.sampled_from(["kty", "n", "e", "k", "crv", "x", "y", "alg", "use", "kid", "d"])
WORDS = st.sampled_from(["RSA", "EC", "oct", "OKP", "P-256", "Ed25519", "sig", "HS256", "AQAB"])


@given(st.lists(st.dictionaries(NAMES, JSON | WORDS)))
def test_any_set_is_an_answer(items: list[dict[str, Any]]) -> None:
    try:
        found = keys_of_set(key_set(*items), secrets=True)
    except KeysError:
        return
    assert all(key.algorithms for key in found)


def test_keys_of_a_file() -> None:
    assert keys_of_file(b" " + SECRET.encode() + b"\n")[0].key == SECRET.encode()
    assert keys_of_file(SECRET[:40].encode())[0].algorithms == {"HS256"}
    assert keys_of_file(pem("rsa").encode())[0].algorithms == set(jwks.RSA)
    assert keys_of_file(pem("p384").encode())[0].algorithms == {"ES384"}
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a")])
    now = __import__("datetime").datetime.now(__import__("datetime").timezone.utc)
    builder = x509.CertificateBuilder(name, name, private("p256").public_key(), 1, now, now)
    certificate = builder.sign(private("p256"), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    assert keys_of_file(certificate)[0].algorithms == {"ES256"}
    short = rsa.generate_private_key(65537, 1024).public_key()
    small = short.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    for raw in (b"", b"short", small, b"-----BEGIN PUBLIC KEY-----\nxx\n-----END PUBLIC KEY-----", b"-----BEGIN CERTIFICATE-----"):
        with pytest.raises(KeysError):
            keys_of_file(raw)


# -- how they are fetched -----------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _fresh() -> None:
    jwks.keys_for.cache_clear()


class Issuer:
    """A server with a set of keys."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.broken = False
        self.let = asyncio.Event()
        self.let.set()
        self.backend: Backend

    async def answer(self, request: Request, wire: Wire) -> None:
        await self.let.wait()
        if self.broken:
            wire.close()
        else:
            wire.reply(key_set(*self.keys), "200 OK", "Content-Type: application/json")

    async def start(self, edge: Edge) -> Issuer:
        self.backend = await edge.backend(self.answer)
        url = f"http://{self.backend.address}/jwks.json"
        await edge.start(f'[sites."*"]\nrespond = "in"\njwt = {{ jwks = "{url}" }}\n')
        return self


async def status(edge: Edge, bearer: str) -> int:
    client = await edge.client()
    return (await client.ask("/", f"Authorization: Bearer {bearer}")).status


async def test_the_first_visitor_waits_for_the_keys_and_nobody_else(edge: Edge) -> None:
    issuer = await Issuer().start(edge)
    issuer.keys = [jwk("rsa", kid="a")]
    issuer.let.clear()
    good = token(private("rsa"), "RS256", {"kid": "a"})
    clients = [await edge.client() for _ in range(3)]
    for client in clients:
        client.send(get("/", f"Authorization: Bearer {good}"))
    await edge.until(lambda: issuer.backend.requests)
    other = await edge.client()
    assert (await other.ask()).status == 401  # without a token: answered meanwhile
    issuer.let.set()
    assert [(await client.answer()).status for client in clients] == [200] * 3
    assert await status(edge, good) == 200
    assert len(issuer.backend.requests) == 1


async def test_a_new_key_is_fetched_and_not_too_often(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = await Issuer().start(edge)
    issuer.keys = [jwk("rsa", kid="a")]
    assert await status(edge, token(private("rsa"), "RS256", {"kid": "a"})) == 200
    issuer.keys = [jwk("p256", kid="b")]
    new = token(private("p256"), "ES256", {"kid": "b"})
    assert await status(edge, new) == 401  # it was asked a moment ago
    for number in range(5):
        assert await status(edge, token(private("p256"), "ES256", {"kid": f"{number}"})) == 401
    assert len(issuer.backend.requests) == 1
    monkeypatch.setattr(jwks, "AGAIN", 0)
    assert await status(edge, new) == 200
    assert len(issuer.backend.requests) == 2


async def test_the_last_keys_hold_when_none_can_be_fetched(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "AGAIN", 0)
    issuer = await Issuer().start(edge)
    good = token(private("rsa"), "RS256", {"kid": "a"})
    issuer.broken = True
    assert await status(edge, good) == 503
    issuer.broken = False
    issuer.keys = [jwk("rsa", kid="a")]
    assert await status(edge, good) == 200
    issuer.broken = True
    monkeypatch.setattr(jwks, "FRESH", 0)
    for _ in range(3):
        assert await status(edge, good) == 200
    assert await status(edge, token(private("p256"), "ES256", {"kid": "x"})) == 401


async def test_a_set_from_another_machine_has_no_secrets(edge: Edge) -> None:
    issuer = await Issuer().start(edge)
    issuer.keys = [OCT]
    assert await status(edge, token(headers={"kid": "s"})) == 503


async def test_a_visitor_who_leaves_meanwhile(edge: Edge) -> None:
    issuer = await Issuer().start(edge)
    issuer.let.clear()
    client = await edge.client()
    client.send(get("/", f"Authorization: Bearer {token(private('rsa'), 'RS256')}"))
    await edge.until(lambda: issuer.backend.requests)
    client.reset()
    await edge.forgotten()
    issuer.let.set()
    keys = next(iter(edge.worker.snapshot.router.site(b"a")[1].only.steps)).keys  # type: ignore[union-attr]
    await edge.until(lambda: not keys._busy)


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense", b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 3_000_000,
    ],
)  # fmt: skip
async def test_downloads_that_fail(edge: Edge, answer: bytes) -> None:
    async def say(request: Request, wire: Wire) -> None:
        wire.say(answer)
        wire.close()

    backend = await edge.backend(say)
    with pytest.raises((OSError, ValueError)):
        await edge.loop.run_in_executor(None, download, f"http://{backend.address}/")


def test_a_download_that_drips_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(jwks, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while not over.wait(0.01):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        with pytest.raises(OSError, match=r"too long|timed out"):
            download(f"http://127.0.0.1:{server.getsockname()[1]}/")
        over.set()
        thread.join()
