"""Names and passwords: what lets in, what does not, what it costs, and what others notice of it."""

from __future__ import annotations

import base64
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapura.edge import basic_auth, password_checks, watched_file
from gapura.edge.basic_auth import credentials, quoted
from gapura.edge.passwords import verify

from .client import Client, get
from .edge import Edge

SHA = "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="  # secret
BCRYPT = "$2y$05$0qxdJ36Y.Vs7ZzbtDT.zcO3wBb6q9lrLXiDB3tZMZMsWEWOwf/R/u"  # secret


def login(name: str = "alice", password: str = "secret", scheme: str = "Basic") -> str:
    return f"Authorization: {scheme} {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


@pytest.fixture(autouse=True)
def _fresh() -> None:
    """Nobody is known from another test."""
    basic_auth.users_of.cache_clear()


def site(action: str, more: str = f'basic_auth = {{ realm = "My \\"Place\\"", users = {{ alice = "{SHA}" }} }}') -> str:
    return f'[sites."*"]\n{action}\n{more}\n'


# -- who comes in -------------------------------------------------------------------------------------------------------------


async def test_login_on_a_proxy(edge: Edge) -> None:
    backend = await edge.backend()
    await edge.start(site(f'proxy = "{backend.address}"'), log="$remote_user $status")
    client = await edge.client()
    answer = await client.ask()
    assert answer.status == 401
    assert answer.get("www-authenticate") == 'Basic realm="My \\"Place\\"", charset="UTF-8"'
    assert (await client.ask("/", login(password="wrong"))).status == 401
    assert (await client.ask("/", login("bob"))).status == 401
    assert (await client.ask("/", login(), method="HEAD")).status == 200
    assert (await client.ask("/", login(scheme="bAsIc"))).status == 200
    assert (await client.ask("/", login(), method="POST", body=b"x" * 50_000)).status == 200
    assert [request.get("authorization") for request in backend.requests] == [
        login().partition(": ")[2], login(scheme="bAsIc").partition(": ")[2], login().partition(": ")[2],
    ]  # fmt: skip
    assert backend.requests[-1].body == b"x" * 50_000
    assert edge.lines() == ["- 401", "- 401", "- 401", "alice 200", "alice 200", "alice 200"]


@pytest.mark.parametrize("action", ['respond = "in"', 'redirect = "https://b.example/"', 'files = "."'])
async def test_login_on_every_action(edge: Edge, tmp_path: Path, action: str) -> None:
    (tmp_path / "index.html").write_text("in")
    await edge.start(site(action))
    client = await edge.client()
    assert (await client.ask()).status == 401
    assert (await client.ask("/", login())).status in (200, 302)
    old = await edge.client()
    assert (await old.ask(version="1.0")).status == 401
    old = await edge.client()
    assert (await old.ask("/", login(), version="1.0")).status in (200, 302)


async def test_the_password_may_stay_here(edge: Edge) -> None:
    backend = await edge.backend()
    await edge.start(site(f'proxy = "{backend.address}"', f'basic_auth = {{ forward = false, users = {{ alice = "{SHA}" }} }}'))
    client = await edge.client()
    for _ in range(2):
        assert (await client.ask("/", login())).status == 200
    assert [request.get("authorization") for request in backend.requests] == [None, None]


async def test_a_route_without_the_passwords_of_its_site(edge: Edge) -> None:
    await edge.start(site('respond = "in"') + '[[sites."*".routes]]\npath = "/open"\nrespond = "open"\nbasic_auth = false\n')
    client = await edge.client()
    assert (await client.ask("/open")).body == b"open"
    assert (await client.ask("/closed")).status == 401
    assert (await client.ask("/open/../closed")).status == 401
    assert (await client.ask("/%6fpen/%2e%2e/closed")).status == 401


async def test_a_known_address_needs_no_password(edge: Edge) -> None:
    more = f'satisfy = "any"\nallow = "10.0.0.0/8"\nbasic_auth = {{ users = {{ alice = "{SHA}" }} }}'
    await edge.start(site('respond = "in"', more), trusted_proxies=["127.0.0.1"])
    client = await edge.client()
    assert (await client.ask("/", "X-Forwarded-For: 10.1.1.1")).status == 200
    assert (await client.ask("/", "X-Forwarded-For: 11.1.1.1")).status == 401
    assert (await client.ask("/", "X-Forwarded-For: 11.1.1.1", login())).status == 200


# -- what is no login ---------------------------------------------------------------------------------------------------------

HOSTILE = [
    "Authorization:",
    "Authorization: Basic",
    "Authorization: Basic ",
    "Authorization: Basic !!!!",
    "Authorization: Basic YWxpY2U",
    "Authorization: Basic YWxpY2U=",
    "Authorization: Basic OnNlY3JldA==",
    "Authorization: Basic " + "QTpB" * 2000,
    "Authorization: Basic\tYWxpY2U6c2VjcmV0",
    "Authorization: Bearer YWxpY2U6c2VjcmV0",
    "Authorization: BasicYWxpY2U6c2VjcmV0",
    "Authorization: Digest username=alice",
    "Authorization: Negotiate YII=",
    "Authorization: \xff\xfe",
    "Authorization: Basic \xff",
    "Authorization: Basic /////w==",
    "Authorization: Basic YWxpY2U6c2VjcmV0, Basic YWxpY2U6c2VjcmV0",
    "Authorization: Basic YWxpY2U6c2VjcmV0 x",
    "Authorization: Basic YWxpY2U6 c2VjcmV0",
    "Proxy-Authorization: Basic YWxpY2U6c2VjcmV0",
    "Authorization: Basic YWxpY2UAOnNlY3JldA==",
    "Authorization: Basic YWxpY2U6c2VjcmV0AA==",
    "Authorization: Basic YWxpY2UKOnNlY3JldA==",
    "X-Authorization: Basic YWxpY2U6c2VjcmV0",
    "Authorization: Basic YWxpY2U6c2VjcmV0=",
    "Authorization: Basic YWxpY2U6c2VjcmV0\r\nAuthorization: Basic YWxpY2U6c2VjcmV0",
    "Cookie: Authorization=Basic YWxpY2U6c2VjcmV0",
    "Authorization: Basic -_-_",
]


@pytest.mark.parametrize("line", HOSTILE)
async def test_no_login(edge: Edge, line: str) -> None:
    await edge.start(site('respond = "in"'))
    client = await edge.client()
    answer = await client.ask("/", line)
    assert answer.status == 401
    assert (await client.ask("/", login())).status == 200


@given(st.lists(st.binary(max_size=80), max_size=3))
def test_credentials_are_taken_apart_without_harm(values: list[bytes]) -> None:
    found = credentials(values)
    assert found is None or (len(found) == 2 and found[0])


@given(st.text(st.characters(min_codepoint=32, exclude_characters=":\x7f", exclude_categories=("Cs",)), min_size=1), st.binary())
def test_credentials_come_out_as_they_went_in(name: str, password: bytes) -> None:
    value = b"Basic " + base64.b64encode(name.encode() + b":" + password)
    if len(value) <= basic_auth.LONGEST:
        assert credentials([value]) == (name.encode(), password)


@given(st.text())
def test_a_realm_ends_where_it_should(text: str) -> None:
    inner = quoted(text)[1:-1]
    assert b'"' not in inner.replace(b"\\\\", b"").replace(b'\\"', b"")


# -- what it costs ------------------------------------------------------------------------------------------------------------


class Slow:
    """Stands for `verify`: it waits in its thread until the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[bytes, str]] = []
        self.threads: set[int] = set()
        self.let = threading.Event()
        monkeypatch.setattr(basic_auth, "verify", self)

    def __call__(self, password: bytes, hashed: str) -> bool:
        self.asked.append((password, hashed))
        self.threads.add(threading.get_ident())
        assert self.let.wait(8)
        return verify(password, hashed)


async def test_others_are_answered_while_passwords_are_checked(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    await edge.start(site('respond = "in"') + '[[sites."*".routes]]\npath = "/open"\nrespond = "open"\nbasic_auth = false\n')
    tries = [await edge.client() for _ in range(6)]
    for number, client in enumerate(tries):
        client.send(get("/", login(password=f"wrong{number}")))
    await edge.until(lambda: len(slow.asked) == password_checks.THREADS)
    other = await edge.client()
    for _ in range(20):
        assert (await other.ask("/open")).body == b"open"
    assert threading.get_ident() not in slow.threads
    slow.let.set()
    assert [(await client.answer()).status for client in tries] == [401] * 6


async def test_who_tries_many_fills_his_own_queue(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    await edge.start(site('respond = "in"'), trusted_proxies=["127.0.0.1"])
    tries = [await edge.client() for _ in range(password_checks.THREADS + password_checks.PER_CLIENT)]
    for number, client in enumerate(tries):
        client.send(get("/", login(password=f"wrong{number}"), "X-Forwarded-For: 6.6.6.6"))
    found = password_checks.checks_of(edge.loop)
    await edge.until(lambda: found.count == password_checks.PER_CLIENT and len(slow.asked) == password_checks.THREADS)
    over = await edge.client()
    answer = await over.ask("/", login(password="more"), "X-Forwarded-For: 6.6.6.6")
    assert (answer.status, answer.get("retry-after")) == (429, "2")
    honest = await edge.client()
    honest.send(get("/", login(), "X-Forwarded-For: 7.7.7.7"))
    await edge.until(lambda: found.count == password_checks.PER_CLIENT + 1)
    slow.let.set()
    assert (await honest.answer()).status == 200
    at = [password for password, _ in slow.asked].index(b"secret")
    assert at <= password_checks.THREADS + 1 + password_checks.THREADS  # his turn came at once, not behind the others'
    assert [(await client.answer()).status for client in tries] == [401] * len(tries)


async def test_a_password_is_checked_once(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    await edge.start(site('respond = "in"'))
    browser = [await edge.client() for _ in range(6)]
    for client in browser:
        client.send(get("/", login()))
    await edge.until(lambda: slow.asked and sum(found.exchange is not None for found in edge.worker.connections) == 6)
    slow.let.set()
    assert [(await client.answer()).status for client in browser] == [200] * 6
    assert [(await client.ask("/", login())).status for client in browser] == [200] * 6
    assert len(slow.asked) == 1
    for _ in range(3):
        assert (await browser[0].ask("/", login(password="wrong"))).status == 401
    assert len(slow.asked) == 2


async def test_what_is_remembered_is_bounded_and_ends(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(basic_auth, "REMEMBERED", 3)
    monkeypatch.setattr(basic_auth, "KEPT", 0)
    slow = Slow(monkeypatch)
    slow.let.set()
    await edge.start(site('respond = "in"'))
    client = await edge.client()
    for number in range(8):
        assert (await client.ask("/", login(password=f"{number}"))).status == 401
    for _ in range(2):
        assert (await client.ask("/", login())).status == 200
    assert len(slow.asked) == 10
    [step] = [step for step in edge.worker.snapshot.router.site(b"a")[1].only.steps if isinstance(step, basic_auth.BasicAuth)]  # type: ignore[union-attr]
    assert len(step.users.wrong) <= 3
    assert not any(b"secret" in key for key in (*step.users.right, *step.users.wrong))


async def test_one_check_for_all_routes_and_generations(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    slow.let.set()
    text = site('respond = "in"') + '[[sites."*".routes]]\npath = "/b"\nrespond = "b"\n'
    await edge.start(text)
    client = await edge.client()
    assert (await client.ask("/", login())).status == 200
    assert (await client.ask("/b", login())).status == 200
    await edge.serve("[edge]\naccess_log = false\n" + text + '[[sites."*".routes]]\npath = "/c"\nrespond = "c"\n')
    assert (await client.ask("/c", login())).status == 200
    assert len(slow.asked) == 1


async def test_users_that_change_during_a_check(edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found with the old users lets in who asked then, and nobody afterwards."""
    monkeypatch.setattr(watched_file, "LOOK", 0)
    slow = Slow(monkeypatch)
    (tmp_path / "htpasswd").write_text(f"alice:{SHA}\n")
    await edge.start(site('respond = "in"', 'basic_auth = "htpasswd"'))
    first, second = await edge.client(), await edge.client()
    first.send(get("/", login()))
    await edge.until(lambda: slow.asked)
    (tmp_path / "htpasswd").write_text(f"alice:{BCRYPT[:-1]}.\n")
    second.send(get("/", login()))
    await edge.until(lambda: len(slow.asked) == 2)
    slow.let.set()
    assert (await first.answer()).status == 200
    assert (await second.answer()).status == 401
    assert (await first.ask("/", login())).status == 401


async def test_an_unknown_name_costs_as_much(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    slow.let.set()
    await edge.start(site('respond = "in"', f'basic_auth = {{ users = {{ alice = "{BCRYPT}", bob = "{SHA}" }} }}'))
    client = await edge.client()
    assert (await client.ask("/", login("nobody", "x"))).status == 401
    assert (await client.ask("/", login("alice", "x"))).status == 401
    (_, decoy), (_, real) = slow.asked
    assert decoy[:7] == real[:7] == "$2y$05$"
    assert decoy != real


async def test_a_client_that_leaves_meanwhile(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    await edge.start(site('respond = "in"'))
    client = await edge.client()
    client.send(get("/", login(), method="POST", body=b"abc"))
    await edge.until(lambda: slow.asked)
    client.reset()
    await edge.forgotten()
    slow.let.set()
    other = await edge.client()
    assert (await other.ask("/", login())).status == 200


async def test_a_body_waits_for_the_decision(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    backend = await edge.backend()
    await edge.start(site(f'proxy = "{backend.address}"'))
    client = await edge.client()
    client.send(get("/", login(), "Content-Length: 3", "Expect: 100-continue", method="POST"))
    await edge.until(lambda: slow.asked)
    assert not client.reader._buffer  # type: ignore[attr-defined]
    slow.let.set()
    assert (await client.head()).status == 100
    client.send(b"abc")
    assert (await client.answer()).status == 200
    assert backend.requests[0].body == b"abc"
    client.send(get("/", login(password="no"), "Content-Length: 3", "Expect: 100-continue", method="POST"))
    assert (await client.head()).status == 401


# -- the file -----------------------------------------------------------------------------------------------------------------


async def ask(client: Client, name: str, password: str) -> int:
    return (await client.ask("/", login(name, password))).status


async def test_a_changed_file_counts_without_a_reload(edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched_file, "LOOK", 0)
    file = tmp_path / "htpasswd"
    file.write_text(f"# people\nalice:{BCRYPT}:comment\n\nbob:{SHA}\r\n")
    await edge.start(site('respond = "in"', 'basic_auth = "htpasswd"'))
    client = await edge.client()
    assert await ask(client, "alice", "secret") == 200
    assert await ask(client, "bob", "secret") == 200
    new = tmp_path / "new"
    new.write_text(f"carol:{SHA}\n")
    os.replace(new, file)
    assert await ask(client, "carol", "secret") == 200
    assert await ask(client, "alice", "secret") == 401  # and not from memory
    for broken in (b"carol:plain text\n", b"\xff\xfe\0", b"carol"):
        new.write_bytes(broken)
        os.replace(new, file)
        assert await ask(client, "carol", "secret") == 200
    file.unlink()
    assert await ask(client, "carol", "secret") == 200
    file.write_text(f"dave:{SHA}\n")
    assert await ask(client, "dave", "secret") == 200
    assert await ask(client, "carol", "secret") == 401


async def test_the_file_is_looked_at_once_a_second(edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "htpasswd"
    file.write_text(f"alice:{SHA}\n")
    await edge.start(site('respond = "in"', 'basic_auth = "htpasswd"'))
    looks: list[object] = []
    stat = os.stat
    monkeypatch.setattr(watched_file.os, "stat", lambda path: looks.append(path) or stat(path))
    monkeypatch.setattr(watched_file, "LOOK", 1 << 62)
    client = await edge.client()
    for _ in range(20):
        assert await ask(client, "alice", "secret") == 200
    assert len(looks) == 1


async def test_a_file_that_cannot_be_read_lets_nobody_in(edge: Edge, tmp_path: Path) -> None:
    file = tmp_path / "htpasswd"
    file.write_text(f"alice:{SHA}\n")
    plan = site('respond = "in"', 'basic_auth = "htpasswd"')
    await edge.start(plan)
    basic_auth.users_of.cache_clear()
    await edge.serve("[edge]\naccess_log = false\n" + plan)
    file.unlink()
    client = await edge.client()
    assert await ask(client, "alice", "secret") == 401
