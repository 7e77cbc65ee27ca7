"""Hostile requests to the admin API: each row says who comes how, and the status that it must get."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import pytest

from gapura.control.api import gate, judge
from gapura.control.api.judge import COOKIE

from .world import World

TOML = """
[sites."gapura.localhost"]
dashboard = true

[sites."admin.test"]
dashboard = true

[sites."*.wild.test"]
dashboard = true

[sites."shop.test"]
respond = "hi"
"""
ME, ROOT, OTHER = 1000, 0, 2000
"""The user that runs Gapura, root, and somebody else on the machine."""
FULL, READ = "full-token", "read-token"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: Any


class Visit:
    """The API, and requests that come to its doors as the edge and the kernel tell of them."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.uid: int | None = ME
        monkeypatch.setattr(judge, "uid_of", lambda peer, local: self.uid)
        world.context.owner = ME
        sessions = world.context.sessions
        assert sessions is not None
        self.sessions = sessions
        self.allow(("ci", FULL, "full"), ("prom", READ, "read"))

    def allow(self, *tokens: tuple[str, str, str]) -> None:
        """The tokens that there are: name, text, role."""
        from gapura.control.sessions import _digest

        self.sessions.take_up([{"name": n, "hash": _digest(t), "role": r, "expires": 0.0} for n, t, r in tokens])

    def ask(
        self,
        method: str,
        path: str,
        fields: dict[str, str],
        body: bytes = b"",
        door: str = "dashboard",
        pieces: int = 1,
        **state: Any,
    ) -> Answer:
        return asyncio.run(self.request(method, path, list(fields.items()), body, door, pieces, **state))

    async def request(
        self, method: str, path: str, fields: list[tuple[str, str]], body: bytes, door: str, pieces: int = 1, **state: Any
    ) -> Answer:
        raw, _, query = path.partition("?")
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": unquote(raw), "raw_path": raw.encode(), "query_string": query.encode(), "root_path": "",
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in fields],
            "state": {"door": door, "uid": ME, "peer": ("127.0.0.1", 5), "local": ("127.0.0.1", 6), **state},
        }  # fmt: skip
        size = max(1, -(-len(body) // pieces))
        waiting = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            piece = waiting.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(waiting)}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.world.app(scope, receive, send)
        headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        text = b"".join(part.get("body", b"") for part in sent[1:])
        is_json = "json" in headers.get("content-type", "")
        return Answer(sent[0]["status"], headers, json.loads(text) if text and is_json else text)


@pytest.fixture
def visit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    world = World(tmp_path, TOML)
    yield Visit(world, monkeypatch)
    world.close()


def edge(
    way: str = "direct", scheme: str = "http", client: str = "127.0.0.1", peer: str = "127.0.0.1 5000", host: str = ""
) -> dict[str, str]:
    """What the edge says about a visitor, and the name that was asked for."""
    return {"host": host or "gapura.localhost:8080", "x-gapura-visitor": f"{way} {scheme} {client} {peer} 127.0.0.1 8080"}


HERE = edge()


def typed(media_type: str) -> dict[str, str]:
    """A body of this type, from this machine."""
    return {**HERE, "content-type": media_type}


FAR = edge(client="203.0.113.9", peer="203.0.113.9 5000", host="admin.test")
FAR_TLS = edge(scheme="https", client="203.0.113.9", peer="203.0.113.9 5000", host="admin.test")
PROXIED = edge("proxied", client="203.0.113.9")
JSON = {"content-type": "application/json"}
FOLLOWED = {**HERE, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
CHUNKED = {"transfer-encoding": "chunked"}
LONG = b'{"token": "%b"}' % (b"a" * 1_000_000)
BEARER = {"authorization": f"Bearer {FULL}"}
OWN = {"origin": "http://gapura.localhost:8080"}

# name, method, path, header fields, expected status; then what else is special about it
ROWS: list[tuple[str, str, str, dict[str, str], int, dict[str, Any]]] = [
    # who comes honestly
    ("loopback reads", "GET", "/v1/status", HERE, 200, {}),
    ("loopback changes", "POST", "/v1/reload", HERE, 200, {}),
    ("loopback changes from its own page", "POST", "/v1/reload", {**HERE, **OWN, "sec-fetch-site": "same-origin"}, 200, {}),
    ("a token over TLS", "POST", "/v1/reload", {**FAR_TLS, **BEARER}, 200, {}),
    ("a reading token over TLS", "GET", "/v1/status", {**FAR_TLS, "authorization": f"Bearer {READ}"}, 200, {}),
    ("bearer in small letters", "GET", "/v1/status", {**FAR_TLS, "authorization": f"bearer {FULL}"}, 200, {}),
    ("who am I, from far", "GET", "/v1/me", FAR_TLS, 200, {}),
    ("root on a user's Gapura", "POST", "/v1/reload", HERE, 200, {"uid": ROOT}),
    # no rights
    ("from far without a token", "GET", "/v1/status", FAR_TLS, 401, {}),
    ("from far without TLS", "GET", "/v1/status", FAR, 401, {}),
    ("a token over plain HTTP", "GET", "/v1/status", {**FAR, **BEARER}, 403, {}),
    ("a login over plain HTTP", "POST", "/v1/session", {**FAR, **JSON}, 403, {"body": b'{"token": "full-token"}'}),
    ("a wrong token", "GET", "/v1/status", {**FAR_TLS, "authorization": "Bearer no"}, 401, {}),
    ("an empty token", "GET", "/v1/status", {**FAR_TLS, "authorization": "Bearer "}, 401, {}),
    ("a token of 100 KB", "GET", "/v1/status", {**FAR_TLS, "authorization": "Bearer " + "a" * 100_000}, 401, {}),
    ("a token with odd bytes", "GET", "/v1/status", {**FAR_TLS, "authorization": "Bearer \xff\xfe"}, 401, {}),
    ("a name and a password", "GET", "/v1/status", {**FAR_TLS, "authorization": "Basic cm9vdDpyb290"}, 401, {}),
    ("a token in the query", "GET", f"/v1/status?token={FULL}", FAR_TLS, 401, {}),
    ("a wrong token from loopback", "GET", "/v1/status", {**HERE, "authorization": "Bearer no"}, 401, {}),
    ("a reading token changes", "POST", "/v1/reload", {**FAR_TLS, "authorization": f"Bearer {READ}"}, 403, {}),
    ("another user of the machine reads", "GET", "/v1/status", HERE, 401, {"uid": OTHER}),
    ("another user of the machine changes", "POST", "/v1/reload", HERE, 401, {"uid": OTHER}),
    ("nobody knows whose connection it is", "GET", "/v1/status", HERE, 401, {"uid": None}),
    ("openapi from far", "GET", "/openapi.json", FAR_TLS, 401, {}),
    ("a stolen cookie that is none", "GET", "/v1/status", {**FAR_TLS, "cookie": f"{COOKIE}=guess"}, 401, {}),
    ("a cookie of 100 KB", "GET", "/v1/status", {**FAR_TLS, "cookie": f"{COOKIE}={'a' * 100_000}"}, 401, {}),
    ("a cookie that is no cookie", "GET", "/v1/status", {**FAR_TLS, "cookie": f'{COOKIE}="\\x'}, 401, {}),
    # a proxy on this machine is not the visitor
    ("through another proxy", "GET", "/v1/status", PROXIED, 401, {}),
    ("through another proxy, as loopback", "POST", "/v1/reload", edge("proxied"), 401, {}),
    ("direct, but not from this machine", "GET", "/v1/status", edge(peer="192.0.2.1 5", client="127.0.0.1"), 401, {}),
    ("client is loopback, peer is not", "GET", "/v1/status", edge(client="127.0.0.1", peer="10.0.0.1 5"), 401, {}),
    # past the edge
    ("without a word of the edge", "GET", "/v1/me", {"host": "gapura.localhost"}, 403, {}),
    ("a word of the edge that is none", "GET", "/v1/me", {**HERE, "x-gapura-visitor": "direct"}, 403, {}),
    ("a word with a port that is none", "GET", "/v1/me", edge(peer="127.0.0.1 -5"), 403, {}),
    ("a word with more words", "GET", "/v1/me", {**HERE, "x-gapura-visitor": HERE["x-gapura-visitor"] + " x"}, 403, {}),
    ("an unknown way", "GET", "/v1/me", edge("trusted"), 403, {}),
    ("a proxy at the admin socket", "GET", "/v1/me", {"host": "x", "x-forwarded-for": "1.2.3.4"}, 403, {"door": "admin"}),
    # DNS rebinding
    ("rebinding: another name", "GET", "/v1/me", edge(host="evil.test:8080"), 421, {}),
    ("rebinding: a site of ours that is no dashboard", "GET", "/v1/me", edge(host="shop.test"), 421, {}),
    ("rebinding: the address itself", "GET", "/v1/me", edge(host="127.0.0.1:8080"), 421, {}),
    ("rebinding: a dot behind", "GET", "/v1/me", edge(host="gapura.localhost."), 421, {}),
    ("rebinding: our name in front", "GET", "/v1/me", edge(host="gapura.localhost.evil.test"), 421, {}),
    ("rebinding: our name behind", "GET", "/v1/me", edge(host="evilgapura.localhost"), 421, {}),
    ("rebinding: our name as user", "GET", "/v1/me", edge(host="gapura.localhost@evil.test"), 421, {}),
    ("rebinding: no name", "GET", "/v1/me", {**HERE, "host": ""}, 421, {}),
    ("rebinding: through a star", "GET", "/v1/status", edge(host="evil.wild.test"), 401, {}),
    ("rebinding: through a star, changing", "POST", "/v1/reload", edge(host="evil.wild.test"), 401, {}),
    ("rebinding at the port", "GET", "/v1/status", {"host": "evil.test:9180"}, 421, {"door": "port"}),
    ("the port by its address", "GET", "/v1/status", {"host": "127.0.0.1:9180"}, 200, {"door": "port"}),
    ("the port for another user", "GET", "/v1/status", {"host": "127.0.0.1:9180"}, 401, {"door": "port", "uid": OTHER}),
    # cross-site requests
    ("another origin reads", "GET", "/v1/status", {**HERE, "origin": "https://evil.test"}, 403, {}),
    ("another origin changes", "POST", "/v1/reload", {**HERE, "origin": "https://evil.test"}, 403, {}),
    ("another port of ours changes", "POST", "/v1/reload", {**HERE, "origin": "http://gapura.localhost:3000"}, 403, {}),
    ("another scheme of ours changes", "POST", "/v1/reload", {**HERE, "origin": "https://gapura.localhost:8080"}, 403, {}),
    ("an app of ours changes", "POST", "/v1/reload", {**HERE, "origin": "http://dumbflix.localhost:8080"}, 403, {}),
    ("origin null", "POST", "/v1/reload", {**HERE, "origin": "null"}, 403, {}),
    ("another origin with a token", "POST", "/v1/reload", {**FAR_TLS, **BEARER, "origin": "https://evil.test"}, 403, {}),
    ("another origin logs in", "POST", "/v1/session", {**FAR_TLS, **JSON, "origin": "https://evil.test"}, 403, {"body": b"{}"}),
    ("cross-site", "GET", "/v1/status", {**HERE, "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403, {}),
    ("same-site", "GET", "/v1/status", {**HERE, "sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, 403, {}),
    ("cross-site changes", "POST", "/v1/reload", {**HERE, "sec-fetch-site": "cross-site"}, 403, {}),
    ("typed, but it changes", "POST", "/v1/reload", {**HERE, "sec-fetch-site": "none"}, 403, {}),
    ("a link to the API", "GET", "/v1/status", FOLLOWED, 403, {}),
    ("a link to the metrics", "GET", "/metrics", FOLLOWED, 403, {}),
    ("a frame", "GET", "/", {**FOLLOWED, "sec-fetch-dest": "iframe"}, 403, {}),
    ("an unknown site", "POST", "/v1/reload", {**HERE, "sec-fetch-site": "weird"}, 403, {}),
    ("a form", "POST", "/v1/session", {**HERE, "content-type": "text/plain"}, 415, {"body": b'{"token": "full-token"}'}),
    ("a form with fields", "POST", "/v1/session", typed("application/x-www-form-urlencoded"), 415, {"body": b"token=a"}),
    ("a form with files", "PUT", "/v1/config", {**HERE, "content-type": "multipart/form-data; boundary=a"}, 415, {"body": b"--a"}),
    ("JSON that claims to be more", "PUT", "/v1/config", typed("application/json, text/plain"), 415, {"body": b"{}"}),
    ("no type", "POST", "/v1/session", HERE, 415, {"body": b"{}"}),
    ("JSON in UTF-7", "POST", "/v1/session", {**HERE, "content-type": "application/json; charset=utf-7"}, 415, {"body": b"{}"}),
    ("compressed", "POST", "/v1/session", {**HERE, **JSON, "content-encoding": "gzip"}, 415, {"body": b"{}"}),
    ("a preflight of another origin", "OPTIONS", "/v1/reload", {**HERE, "origin": "https://evil.test"}, 403, {}),
    # other protocols and methods
    ("a WebSocket", "GET", "/v1/live", {**HERE, "upgrade": "websocket", "connection": "upgrade"}, 400, {}),
    ("h2c", "GET", "/v1/status", {**HERE, "upgrade": "h2c", "connection": "upgrade"}, 400, {}),
    ("an unknown method", "BREW", "/v1/status", HERE, 405, {}),
    ("TRACE", "TRACE", "/v1/status", HERE, 405, {}),
    ("a change by GET", "GET", "/v1/reload", HERE, 405, {}),
    ("a change by GET that says it is POST", "GET", "/v1/reload", {**HERE, "x-http-method-override": "POST"}, 405, {}),
    # sizes
    ("a length that is too large", "POST", "/v1/session", {**HERE, **JSON, "content-length": "99999999"}, 413, {"body": b"{}"}),
    ("a length of 60 digits", "POST", "/v1/session", {**HERE, **JSON, "content-length": "9" * 60}, 413, {"body": b"{}"}),
    ("chunks without end", "POST", "/v1/session", {**HERE, **JSON, **CHUNKED}, 413, {"body": b"a" * (3 << 20), "pieces": 9}),
    ("a body that is no JSON", "POST", "/v1/session", {**HERE, **JSON}, 422, {"body": b"{"}),
    ("a body of another kind", "POST", "/v1/session", {**HERE, **JSON}, 422, {"body": b"[]"}),
    ("a token of another kind", "POST", "/v1/session", {**HERE, **JSON}, 422, {"body": b'{"token": {"a": 1}}'}),
    ("a login with a token of 1 MB", "POST", "/v1/session", {**HERE, **JSON}, 422, {"body": LONG}),
    ("JSON nested too deep", "POST", "/v1/session", {**HERE, **JSON}, 400, {"body": b"[" * 100_000}),
    # paths
    ("dots to the API", "GET", "/x/../v1/status", FAR_TLS, 404, {}),
    ("encoded dots", "GET", "/x/%2e%2e/v1/status", FAR_TLS, 404, {}),
    ("an encoded slash", "GET", "/v1%2fstatus", FAR_TLS, 401, {}),
    ("two slashes", "GET", "//v1/status", FAR_TLS, 404, {}),
    ("capitals", "GET", "/V1/status", FAR_TLS, 404, {}),
    ("a semicolon", "GET", "/v1/status;x", FAR_TLS, 404, {}),
]  # fmt: skip


def test_the_table_is_long() -> None:
    assert len(ROWS) >= 60
    assert len({row[0] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_hostile(visit: Visit, row: tuple[str, str, str, dict[str, str], int, dict[str, Any]]) -> None:
    _, method, path, fields, status, more = row
    visit.uid = more.get("uid", ME)
    body = more.get("body", b"")
    fields = {
        **fields,
        **({"content-length": str(len(body))} if body and not {"content-length", "transfer-encoding"} & fields.keys() else {}),
    }
    answer = visit.ask(method, path, fields, body, more.get("door", "dashboard"), more.get("pieces", 1))
    assert answer.status == status, answer
    if status >= 400:
        assert not any(message["name"] == "reload" for message in visit.world.asked)
        assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["x-frame-options"] == "DENY"
    if status >= 400 and status != 404:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.body["status"] == status
        assert answer.body["detail"]


@pytest.mark.parametrize(
    "name", ["host", "origin", "authorization", "cookie", "x-gapura-visitor", "content-type", "content-length", "sec-fetch-site"]
)
def test_a_field_that_is_there_twice(visit: Visit, name: str) -> None:
    fields = [*HERE.items(), *JSON.items(), ("content-length", "2"), ("origin", OWN["origin"]), ("cookie", "a=b")]
    fields += [("sec-fetch-site", "same-origin"), *(BEARER.items() if name != "cookie" else ())]
    value = dict(fields)[name]
    answer = asyncio.run(visit.request("POST", "/v1/session", [*fields, (name, value)], b"{}", "dashboard"))
    assert answer.status == 400
    assert name in answer.body["detail"]


def test_a_root_master_lets_loopback_read_only(visit: Visit) -> None:
    visit.world.context.owner = visit.uid = ROOT
    assert visit.ask("GET", "/v1/status", HERE).status == 200
    refused = visit.ask("POST", "/v1/reload", HERE)
    assert (refused.status, "root" in refused.body["detail"]) == (403, True)
    assert visit.ask("POST", "/v1/reload", {**HERE, **BEARER}).status == 200
    visit.uid = ME
    assert visit.ask("GET", "/v1/status", HERE).status == 401


@pytest.mark.parametrize(("rights", "read", "change"), [("full", 200, 200), ("read", 200, 403), ("none", 401, 401)])
@pytest.mark.parametrize("owner", [ROOT, ME])
def test_loopback_as_configured(visit: Visit, rights: str, read: int, change: int, owner: int) -> None:
    visit.world.context.owner = visit.uid = owner
    assert visit.world.context.plan is not None
    visit.world.context.plan["admin"] = {"dashboard": True, "listen": None, "loopback": rights, "metrics_from": []}
    assert visit.ask("GET", "/v1/status", HERE).status == read
    assert visit.ask("POST", "/v1/reload", HERE).status == change
    assert visit.ask("POST", "/v1/reload", {"host": "localhost"}, door="admin").status == 200


def test_a_session_counts_only_the_way_it_was_made(visit: Visit) -> None:
    """A cookie that was stolen cannot be used over plain HTTP, whoever sends it, and one of this machine nowhere else."""
    body = json.dumps({"token": FULL}).encode()
    length = {"content-length": str(len(body))}
    made = visit.ask("POST", "/v1/session", {**FAR_TLS, **JSON, **length}, body)
    assert made.status == 200
    text = made.headers["set-cookie"]
    assert text.startswith(f"{COOKIE}=")
    assert {part.strip().lower() for part in text.split(";")[1:]} == {
        "httponly",
        "max-age=43200",
        "path=/",
        "samesite=strict",
        "secure",
    }
    cookie = {"cookie": text.partition(";")[0]}
    assert visit.ask("POST", "/v1/reload", {**FAR_TLS, **cookie}).status == 200
    assert visit.ask("GET", "/v1/status", {**FAR, **cookie}).status == 401
    visit.uid = OTHER
    assert visit.ask("GET", "/v1/status", {**HERE, **cookie}).status == 401
    here = visit.ask("POST", "/v1/session", {**HERE, **JSON, **length}, body)
    local = {"cookie": here.headers["set-cookie"].partition(";")[0]}
    assert visit.ask("POST", "/v1/reload", {**HERE, **local}).status == 200
    for other in (FAR, FAR_TLS, edge("proxied")):
        assert visit.ask("GET", "/v1/status", {**other, **local}).status == 401


def test_a_session_ends_with_its_token(visit: Visit) -> None:
    body = json.dumps({"token": FULL}).encode()
    made = visit.ask("POST", "/v1/session", {**FAR_TLS, **JSON, "content-length": str(len(body))}, body)
    cookie = {"cookie": made.headers["set-cookie"].partition(";")[0]}
    assert visit.ask("GET", "/v1/me", {**FAR_TLS, **cookie}).body["user"] == "ci"
    visit.allow(("prom", READ, "read"))
    assert visit.ask("GET", "/v1/me", {**FAR_TLS, **cookie}).body["rights"] == "none"


def test_logging_out(visit: Visit) -> None:
    body = json.dumps({"token": READ}).encode()
    made = visit.ask("POST", "/v1/session", {**FAR_TLS, **JSON, "content-length": str(len(body))}, body)
    cookie = {"cookie": made.headers["set-cookie"].partition(";")[0]}
    assert visit.ask("DELETE", "/v1/session", {**FAR_TLS, **cookie}).status == 204
    assert visit.ask("GET", "/v1/status", {**FAR_TLS, **cookie}).status == 401


def test_wrong_tokens_are_slowed_down_for_their_sender_alone(visit: Visit) -> None:
    wrong = {**FAR_TLS, "authorization": "Bearer wrong"}
    assert {visit.ask("GET", "/v1/me", wrong).status for _ in range(10)} == {401}
    late = visit.ask("GET", "/v1/me", wrong)
    assert (late.status, 0 < int(late.headers["retry-after"]) <= 61) == (429, True)
    assert visit.ask("GET", "/v1/me", {**FAR_TLS, **BEARER}).status == 429
    other = edge(scheme="https", client="198.51.100.1", peer="198.51.100.1 1", host="admin.test")
    assert visit.ask("GET", "/v1/status", {**other, **BEARER}).status == 200
    assert visit.ask("GET", "/v1/me", FAR_TLS).status == 200


def test_one_user_of_the_machine_does_not_lock_out_another(visit: Visit) -> None:
    visit.uid = OTHER
    wrong = {**HERE, "authorization": "Bearer wrong"}
    assert [visit.ask("GET", "/v1/me", wrong).status for _ in range(11)] == [401] * 10 + [429]
    visit.uid = ME
    assert visit.ask("POST", "/v1/reload", {**HERE, **BEARER}).status == 200


def test_a_one_time_code_counts_once(visit: Visit) -> None:
    from gapura.control.sessions import _digest

    visit.sessions.expect(_digest("code"), "full")
    body = b'{"token": "code"}'
    fields = {**FAR_TLS, **JSON, "content-length": str(len(body))}
    assert visit.ask("POST", "/v1/session", fields, body).body["rights"] == "full"
    assert visit.ask("POST", "/v1/session", fields, body).status == 401
    assert visit.ask("GET", "/v1/status", {**FAR_TLS, "authorization": "Bearer code"}).status == 401


def test_a_slow_body_is_not_waited_for(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "SLOWEST", 0.0)

    async def ask() -> Any:
        incoming = gate._Incoming(asyncio.Event().wait)
        return await incoming.receive()

    with pytest.raises(gate.Refusal) as caught:
        asyncio.run(ask())
    assert caught.value.status == 408


def test_changes_are_written_down_and_secrets_are_not(visit: Visit) -> None:
    audit = visit.world.context.audit
    assert audit is not None
    visit.ask("POST", "/v1/reload", {**FAR_TLS, **BEARER})
    visit.ask("POST", "/v1/reload", {**FAR_TLS, "authorization": f"Bearer {READ}"})
    visit.ask("POST", "/v1/reload", {**HERE, "origin": "https://evil.test"})
    visit.ask("GET", "/v1/status", HERE)
    said = [(entry["by"], entry["action"], entry["outcome"]) for entry in audit.newest]
    assert said == [
        ("token ci", "reload", "done"),
        ("token prom", "POST /v1/reload", "refused"),
        (judge.account(ME), "POST /v1/reload", "refused"),
    ]
    written = Path(visit.world.folder, ".gapura", "logs", "audit.log").read_text()
    assert [json.loads(line)["outcome"] for line in written.splitlines()] == ["done", "refused", "refused"]
    assert FULL not in written
    assert READ not in written


def test_without_a_master_changes_are_503_with_a_hint(visit: Visit) -> None:
    visit.world.context._tell = lambda message: False
    answer = visit.ask("POST", "/v1/reload", HERE)
    assert (answer.status, answer.headers["retry-after"], "gapura up" in answer.body["hint"]) == (503, "2", True)
    assert visit.ask("GET", "/v1/me", HERE).status == 200


def test_the_login_page_holds_its_own_script_only(visit: Visit) -> None:
    answer = visit.ask("GET", "/v1/login", {**HERE, "sec-fetch-site": "none", "sec-fetch-mode": "navigate"})
    assert answer.status == 200
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "script-src 'sha256-" in answer.headers["content-security-policy"]


def test_an_answer_that_goes_on_ends_with_its_token(visit: Visit) -> None:
    sent: list[dict[str, Any]] = []

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(10):
            if number == 3:
                visit.allow()
            await send({"type": "http.response.body", "body": b"x", "more_body": True})

    async def send(message: Any) -> None:
        sent.append(message)

    async def run() -> None:
        fields = [(name.encode(), value.encode()) for name, value in {**FAR_TLS, **BEARER}.items()]
        scope = {"type": "http", "method": "GET", "path": "/v1/live", "headers": fields, "state": {"door": "dashboard"}}
        await gate.Gate(endless, visit.world.context)(scope, asyncio.Event().wait, send)  # type: ignore[arg-type]

    asyncio.run(run())
    assert [message.get("body", b"") for message in sent[1:]] == [b"x", b"x", b"x", b""]
    assert not sent[-1].get("more_body")
