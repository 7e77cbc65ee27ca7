"""Other origins: preflights, answers, errors, and what must never be said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapura.config.plan_access import CorsPlan
from gapura.edge.cors import Cors, vary

from .backend import Request, Wire
from .edge import Edge

APP = "Origin: https://app.example.com"
ASK = "Access-Control-Request-Method: PUT"
ORIGINS = '["https://app.example.com", "https://*.b.example:8443"]'
TABLE = f'{{ origins = {ORIGINS}, credentials = true, expose = ["X-Total"], max_age = "1h" }}'


def plan(*origins: str, credentials: bool = False) -> CorsPlan:
    return {"origins": list(origins), "methods": ["GET"], "headers": [], "expose": [], "credentials": credentials, "max_age": 60}


def told(answer: object) -> dict[str, str]:
    return {name: value for name, value in answer.lines if name.startswith("access-control-")}  # type: ignore[attr-defined]


async def test_every_origin(edge: Edge) -> None:
    await edge.start('[sites."*"]\nrespond = "x"\ncors = true\n')
    client = await edge.client()
    for lines in ((), (APP,), ("Origin: null",)):
        answer = await client.ask("/", *lines)
        assert told(answer) == {"access-control-allow-origin": "*"}
        assert answer.get("vary") is None
    answer = await client.ask("/", APP, ASK, "Access-Control-Request-Headers: X-A, authorization", method="OPTIONS")
    assert (answer.status, answer.body, answer.get("content-length")) == (204, b"", None)
    assert told(answer) == {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
        "access-control-allow-headers": "x-a, authorization",
        "access-control-max-age": "600",
    }


async def test_named_origins_with_cookies(edge: Edge) -> None:
    await edge.start(f'[sites."*"]\nrespond = "x"\ncors = {TABLE}\n')
    client = await edge.client()
    for origin in ("https://app.example.com", "https://x.b.example:8443", "https://y.x.b.example:8443"):
        answer = await client.ask("/", f"Origin: {origin}")
        assert told(answer) == {
            "access-control-allow-origin": origin,
            "access-control-allow-credentials": "true",
            "access-control-expose-headers": "X-Total",
        }
        assert answer.get("vary") == "Origin"
        answer = await client.ask("/", f"Origin: {origin}", ASK, method="OPTIONS")
        assert told(answer)["access-control-allow-origin"] == origin
        assert told(answer)["access-control-allow-credentials"] == "true"
        assert told(answer)["access-control-max-age"] == "3600"
        assert answer.get("vary") == "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com.evil.example", "http://app.example.com", "https://APP.example.com", "https://app.example.com:444",
        "https://b.example:8443", "https://evilb.example:8443", "https://x.b.example", "https://x.b.example:84430", "null", "",
        "https://x\n.b.example:8443".replace("\n", "%0a"), "https://evil/.b.example:8443", "https://evil.b.example:8443/", "\xff",
        "https://evil?.b.example:8443", "https://a@x.b.example:8443", "https://.b.example:8443", "*", "https://*.b.example:8443",
        "https://app.example.com https://evil.example", "https://app.example.com\r\nOrigin: https://app.example.com",
    ],
)  # fmt: skip
async def test_other_origins(edge: Edge, origin: str) -> None:
    await edge.start(f'[sites."*"]\nrespond = "x"\ncors = {TABLE}\n')
    client = await edge.client()
    for method in ("GET", "OPTIONS"):
        answer = await client.ask("/", f"Origin: {origin}", *([ASK] if method == "OPTIONS" else []), method=method)
        assert told(answer) == {}
        assert answer.status in (200, 204)
        assert "Origin" in (answer.get("vary") or "") or answer.status == 200


@given(st.text(max_size=40))
def test_no_origin_is_let_in_by_a_pattern_that_it_does_not_fit(text: str) -> None:
    cors = Cors(plan("https://*.b.example", credentials=True))
    for origin in (text, f"https://{text}", f"https://{text}.b.example", f"https://x.b.example{text}"):
        raw = origin.encode("utf-8", "replace")
        if cors.allows(raw):
            assert raw.startswith(b"https://")
            assert raw.endswith(b".b.example")
            assert not set(raw[8:]) & set(b" /\\?#@:\r\n\0")


async def test_the_application_does_not_say_it_twice(edge: Edge) -> None:
    async def app(request: Request, wire: Wire) -> None:
        lines = ["Access-Control-Allow-Origin: *", "access-control-allow-credentials: true", "Vary: Accept", "X-Own: 1"]
        wire.reply(b"x", "200 OK", *lines)

    await edge.proxy(app)
    await edge.serve(edge.folder.joinpath("gapura.toml").read_text() + f"cors = {TABLE}\n")
    client = await edge.client()
    answer = await client.ask("/", APP)
    assert answer.get("access-control-allow-origin") == "https://app.example.com"
    assert answer.get("access-control-allow-credentials") == "true"
    assert (answer.get("vary"), answer.get("x-own")) == ("Accept, Origin", "1")
    answer = await client.ask("/", "Origin: https://evil.example")
    assert told(answer) == {}


async def test_errors_can_be_read_too(edge: Edge) -> None:
    backend = await edge.backend()
    await edge.start(
        f"""
        [sites."*"]
        proxy = "{backend.address}"
        cors = {TABLE}
        body_limit = 10
        [[sites."*".routes]]
        path = "/closed"
        respond = "x"
        allow = "9.9.9.9"
        [[sites."*".routes]]
        path = "/login"
        respond = "x"
        basic_auth = {{ users = {{ a = "{{SHA}}5en6G6MezRroT3XKqkdPOmY/BfQ=" }} }}
        """
    )
    await backend.stop()
    client = await edge.client()
    for target, status in (("/closed", 403), ("/login", 401)):
        answer = await client.ask(target, APP)
        assert (answer.status, answer.get("access-control-allow-origin")) == (status, "https://app.example.com")
    answer = await client.ask("/login", APP, ASK, method="OPTIONS")
    assert (answer.status, told(answer)["access-control-allow-origin"]) == (204, "https://app.example.com")
    assert (await client.ask("/closed", APP, ASK, method="OPTIONS")).status == 403
    assert (await client.ask("/login", APP, method="OPTIONS")).status == 401  # no preflight
    answer = await client.ask("/", APP, method="POST", body=b"x" * 20)
    assert (answer.status, answer.get("access-control-allow-origin")) == (413, "https://app.example.com")


@pytest.mark.parametrize("asked", ["x y", "x:y", "a,\xff", "a" * 3000, "x\\", "()"])
async def test_what_is_no_list_of_headers_is_not_repeated(edge: Edge, asked: str) -> None:
    await edge.start('[sites."*"]\nrespond = "x"\ncors = true\n')
    client = await edge.client()
    answer = await client.ask("/", APP, ASK, f"Access-Control-Request-Headers: {asked}", method="OPTIONS")
    assert answer.status == 204
    assert answer.get("access-control-allow-headers") is None


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], [b"Vary: Origin"]),
        ([b"Vary: Accept"], [b"Vary: Accept, Origin"]),
        ([b"vary: accept, ORIGIN"], [b"vary: accept, ORIGIN"]),
        ([b"Vary: *"], [b"Vary: *"]),
        ([b"Vary:"], [b"Vary: Origin"]),
        ([b"Vary: A", b"Vary: B"], [b"Vary: A, Origin", b"Vary: B"]),
        ([b"X-Vary: Origin"], [b"X-Vary: Origin", b"Vary: Origin"]),
    ],
)
def test_vary_is_one_list(lines: list[bytes], expected: list[bytes]) -> None:
    assert vary(lines, b"Origin") == expected
