"""Jobs of the child that issues: with a real authority that validates for real, and with some that answer nonsense."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gapura.control import acme_client, issue, trouble

from ..conftest import peer
from ..journeys.harness.authority import KEY_NAME, NameServer, Pebble, key_file
from .authorities import Answer, BrokenRelay, Misbehaving, Proofs, Relayed, plan

PROBLEM = "urn:ietf:params:acme:error:"


@pytest.fixture(scope="module")
def names() -> Iterator[NameServer]:
    server = NameServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def relay_and_proofs() -> Iterator[tuple[Relayed, Proofs]]:
    relay = Relayed()
    proofs = Proofs(relay)
    yield relay, proofs
    proofs.close()


@pytest.fixture(scope="module")
def pebble(
    tmp_path_factory: pytest.TempPathFactory, names: NameServer, relay_and_proofs: tuple[Relayed, Proofs]
) -> Iterator[Pebble]:
    one = Pebble(peer("pebble"), tmp_path_factory.mktemp("authority") / "pebble", names, relay_and_proofs[1].port)
    one.start()
    yield one
    one.stop()


@pytest.fixture
def relay(relay_and_proofs: tuple[Relayed, Proofs]) -> Relayed:
    """One with nothing in it, but the port where pebble looks."""
    one = relay_and_proofs[0]
    one.__init__()  # type: ignore[misc]
    return one


@pytest.fixture
def misbehaving(tmp_path: Path) -> Iterator[Callable[..., Misbehaving]]:
    made: list[Misbehaving] = []

    def make(answer: Callable[[str, str], Answer]) -> Misbehaving:
        made.append(Misbehaving(tmp_path / f"authority{len(made)}", answer))
        return made[-1]

    yield make
    for one in made:
        one.close()


def order(relay: Any, acme: dict[str, Any], host: str = "www.example.net", **record: Any) -> dict[str, Any]:
    """Carry out an order; the last that was said."""
    issue.run(relay, {"job": "order", "host": host, "record": record, "acme": acme})
    said: dict[str, Any] = relay.said[-1]
    return said


def leaf_of(relay: Relayed, folder: str = "www.example.net") -> x509.Certificate:
    """The certificate that was kept, which must belong to the key that was kept."""
    secret = relay.kept["certificate", folder]["secret"]
    leaf = x509.load_pem_x509_certificates(secret["certificate"].encode())[0]
    assert leaf.public_key() == load_pem_private_key(secret["key"].encode(), None).public_key()
    return leaf


def hosts_of(leaf: x509.Certificate) -> list[str]:
    return leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)


# -- a real authority ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_a_certificate_by_http(pebble: Pebble, relay: Relayed, kind: str) -> None:
    assert order(relay, plan(pebble.url, ca=pebble.root, key=kind, email="me@example.net")) == {"type": "done"}
    assert hosts_of(leaf_of(relay)) == ["www.example.net"]
    record = relay.kept["certificate", "www.example.net"]["record"]
    assert record["source"] == "acme"
    assert record["issuer"].startswith("Pebble Intermediate CA")
    assert record["not_before"] < record["renew_at"] < record["not_after"]
    assert relay.challenges == {}, "the challenge is taken away again"
    assert "PRIVATE" not in json.dumps(relay.said)


def test_the_account_is_kept_and_used_again(pebble: Pebble, relay: Relayed) -> None:
    acme = plan(pebble.url, ca=pebble.root)
    order(relay, acme)
    account = {name: value for name, value in relay.kept.items() if name[0] == "account"}
    order(relay, acme, "shop.example.net")
    assert {name: value for name, value in relay.kept.items() if name[0] == "account"} == account
    assert len(account) == 1


def test_whoever_dies_between_key_and_account_finds_the_account_again(pebble: Pebble, relay: Relayed) -> None:
    acme = plan(pebble.url, ca=pebble.root)
    order(relay, acme)
    (name,) = [name for name in relay.kept if name[0] == "account"]
    url = relay.kept[name]["secret"]["uri"]
    relay.kept[name]["secret"] = {**relay.kept[name]["secret"], "uri": ""}
    assert order(relay, acme)["type"] == "done"
    assert relay.kept[name]["secret"]["uri"] == url


def test_an_account_that_the_authority_has_forgotten_is_made_anew(pebble: Pebble, relay: Relayed) -> None:
    acme = plan(pebble.url, ca=pebble.root)
    order(relay, acme)
    (name,) = [name for name in relay.kept if name[0] == "account"]
    fresh = issue.local_ca.key_pem(issue.local_ca.new_key())
    relay.kept[name]["secret"] = {**relay.kept[name]["secret"], "key": fresh, "uri": pebble.url.replace("/dir", "/my-account/none")}
    assert order(relay, acme)["type"] == "done"


def test_a_wildcard_by_rfc_2136(pebble: Pebble, relay: Relayed, names: NameServer, tmp_path: Path) -> None:
    file = key_file(tmp_path)
    relay.files[str(file)] = file.read_bytes()
    words = {"zone": "", "key_name": KEY_NAME, "key_file": str(file), "algorithm": "hmac-sha256"}
    update = {"server": "127.0.0.1", "port": names.port, **words}
    before = len(names.updates)
    assert order(relay, plan(pebble.url, ca=pebble.root, update=update), "*.example.net") == {"type": "done"}
    assert hosts_of(leaf_of(relay, "_.example.net")) == ["*.example.net"]
    added, deleted = names.updates[before:]
    assert (added[0], deleted[0]) == ("add", "delete")
    assert added[1:] == deleted[1:]
    assert added[1] == "_acme-challenge.example.net."


def test_a_name_by_a_command(pebble: Pebble, relay: Relayed, names: NameServer, tmp_path: Path) -> None:
    hook, log = tmp_path / "hook", tmp_path / "log"
    hook.write_text(f'#!/bin/sh\necho "$@" >>{log}\nenv >{tmp_path}/env\n')
    hook.chmod(0o755)
    told = order(relay, plan(pebble.url, ca=pebble.root, exec=f"{hook} --flag"), "by-hook.example.net")
    assert told["type"] == "failed", "nobody set the record"
    assert "by-hook.example.net" in told["problem"]
    (present, cleanup) = [line.split() for line in log.read_text().splitlines()]
    assert present[:3] == ["--flag", "present", "_acme-challenge.by-hook.example.net"]
    assert cleanup == ["--flag", "cleanup", *present[2:]]
    assert "GAPURA" not in (tmp_path / "env").read_text()


def test_the_second_authority_is_asked_when_the_first_fails(
    pebble: Pebble, relay: Relayed, misbehaving: Callable[..., Misbehaving], tmp_path: Path
) -> None:
    down = misbehaving(lambda method, path: (503, {"Retry-After": "120"}, b"down for maintenance"))
    told = order(relay, plan(down.url, ca=down.root))
    assert told["problem"] == "127.0.0.1 is out of order (status 503)"
    assert told["blocked"][down.url] == pytest.approx(time.time() + 120, abs=30)
    both = tmp_path / "both.pem"
    both.write_text(down.root.read_text() + pebble.root.read_text())
    assert order(relay, plan(down.url, pebble.url, ca=both)) == {"type": "done"}
    assert relay.kept["certificate", "www.example.net"]["record"]["directory"] == pebble.url
    assert down.asked == ["GET /dir"] * 2


def test_an_authority_that_wants_to_be_left_alone_is_left_alone(
    pebble: Pebble, relay: Relayed, misbehaving: Callable[..., Misbehaving]
) -> None:
    busy = misbehaving(lambda method, path: (503, {}, b""))
    told = order(relay, plan(busy.url, ca=busy.root), blocked={busy.url: time.time() + 1000})
    assert told["type"] == "failed"
    assert busy.asked == []


def test_a_name_that_leads_elsewhere_is_told_as_such(pebble: Pebble, relay: Relayed, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(kind: str) -> None:
        if kind == "challenge":
            raise issue.RelayError("lost")

    relay.before_keeping = nothing
    assert order(relay, plan(pebble.url, ca=pebble.root))["problem"] == "lost"
    relay.before_keeping = lambda kind: None
    monkeypatch.setattr(relay, "keep", lambda kind, name="", secret=None, **fields: None)
    told = order(relay, plan(pebble.url, ca=pebble.root))
    assert told["type"] == "failed"
    assert "what answers for www.example.net at 127.0.0.1's request is not this Gapura" in told["problem"]


def test_a_name_that_nobody_knows_is_told_as_such(pebble: Pebble, relay: Relayed, names: NameServer) -> None:
    names.unknown.add("nowhere.example.net")
    told = order(relay, plan(pebble.url, ca=pebble.root), "nowhere.example.net")
    assert told["type"] == "failed"
    assert "nowhere.example.net" in told["problem"]
    assert "on this machine nobody knows it" in told["problem"]


def test_an_external_account(tmp_path: Path, names: NameServer, relay_and_proofs: tuple[Relayed, Proofs], relay: Relayed) -> None:
    one = Pebble(peer("pebble"), tmp_path / "pebble", names, relay_and_proofs[1].port)
    key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
    one.start(externalAccountBindingRequired=True, externalAccountMACKeys={"kid-1": key})
    try:
        assert "wants an account made by hand" in order(relay, plan(one.url, ca=one.root))["problem"]
        bound = plan(one.url, ca=one.root)
        bound["directories"][0] |= {"key_id": "kid-1", "key_file": "/etc/eab"}
        assert "/etc/eab cannot be read" in order(relay, bound)["problem"]
        relay.files["/etc/eab"] = key.encode() + b"\n"
        assert order(relay, bound) == {"type": "done"}
    finally:
        one.stop()


# -- authorities that misbehave -----------------------------------------------------------------------------------------------


def test_who_cannot_be_verified_is_not_believed(relay: Relayed, misbehaving: Callable[..., Misbehaving], tmp_path: Path) -> None:
    one, other = (misbehaving(lambda method, path: (200, {}, b"{}")) for _ in range(2))
    told = order(relay, plan(one.url, ca=other.root))
    assert "cannot be verified" in told["problem"]
    assert "ca in [edge.acme]" in told["problem"]
    assert one.asked == []


GARBAGE = [
    b"",
    b"<html>It works!</html>",
    b"[]",
    b"null",
    b'"x"',
    b"5",
    b'{"newNonce": 5}',
    b"{" * 5000,
    b"\xff\x00",
    b"[" * 90_000,
]


@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_instead_of_a_directory(relay: Relayed, misbehaving: Callable[..., Misbehaving], body: bytes) -> None:
    one = misbehaving(lambda method, path: (200, {"Content-Type": "application/json"}, body))
    told = order(relay, plan(one.url, ca=one.root))
    assert told["type"] == "failed"
    assert "127.0.0.1" in told["problem"]


@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
@pytest.mark.parametrize("status", [200, 201, 400])
def test_garbage_instead_of_an_account(relay: Relayed, misbehaving: Callable[..., Misbehaving], status: int, body: bytes) -> None:
    one = misbehaving(lambda method, path: (200, {}, one.directory()) if path == "/dir" else (status, {}, body))
    assert order(relay, plan(one.url, ca=one.root))["type"] == "failed"


@pytest.mark.parametrize("body", [*GARBAGE, b"{}", b'{"status": "pending"}', b'{"status": "valid", "authorizations": [5]}'])
def test_garbage_instead_of_an_order(relay: Relayed, misbehaving: Callable[..., Misbehaving], body: bytes) -> None:
    def answer(method: str, path: str) -> Answer:
        if path == "/dir":
            return 200, {}, one.directory()
        if path in ("/newAccount", "/newNonce"):
            return 201, {"Location": one.url + "/me"}, b'{"status": "valid"}'
        return 201, {"Location": one.url + "/order"}, body

    one = misbehaving(answer)
    assert order(relay, plan(one.url, ca=one.root))["type"] == "failed"


def test_an_answer_without_end_ends(relay: Relayed, misbehaving: Callable[..., Misbehaving]) -> None:
    one = misbehaving(lambda method, path: (200, {}, b" " * (acme_client.LARGEST + 70_000)))
    assert order(relay, plan(one.url, ca=one.root))["type"] == "failed"


def test_links_that_lead_out_of_https_are_not_followed(relay: Relayed, misbehaving: Callable[..., Misbehaving]) -> None:
    one = misbehaving(lambda method, path: (200, {}, one.directory(newNonce="http://127.0.0.1:1/internal")))
    assert "which is not https" in order(relay, plan(one.url, ca=one.root))["problem"]
    moved = misbehaving(lambda method, path: (302, {"Location": "http://127.0.0.1:1/"}, b""))
    assert order(relay, plan(moved.url, ca=moved.root))["type"] == "failed"
    assert moved.asked == ["GET /dir"]


@pytest.mark.parametrize(
    ("value", "seconds"), [("3600", 3600), ("Fri, 01 Jan 2100 00:00:00 GMT", 7 * 86400), ("soon", 0), ("-5", 0)]
)
def test_too_many_requests(relay: Relayed, misbehaving: Callable[..., Misbehaving], value: str, seconds: float) -> None:
    problem = json.dumps({"type": PROBLEM + "rateLimited", "detail": "too many \x1b[31m certificates"}).encode()
    headers = {"Retry-After": value, "Content-Type": "application/problem+json"}
    well = {"/dir": lambda: one.directory(), "/newNonce": lambda: b""}
    one = misbehaving(lambda method, path: (200, {}, well[path]()) if path in well else (429, headers, problem))
    told = order(relay, plan(one.url, ca=one.root))
    assert "has had too many requests" in told["problem"]
    assert "\x1b" not in told["problem"]
    if seconds:
        assert told["blocked"][one.url] == pytest.approx(time.time() + seconds, abs=30)
    else:
        assert told["blocked"] == {}


def test_an_authority_that_says_nothing(
    relay: Relayed, misbehaving: Callable[..., Misbehaving], monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    over = threading.Event()

    def answer(method: str, path: str) -> Answer:
        over.wait(20)
        return 200, {}, b"{}"

    monkeypatch.setattr(acme_client, "PATIENCE", 0.2)
    one = misbehaving(answer)
    assert "does not answer in time" in order(relay, plan(one.url, ca=one.root))["problem"]
    over.set()


def test_nobody_there(relay: Relayed, misbehaving: Callable[..., Misbehaving]) -> None:
    root = misbehaving(lambda method, path: (200, {}, b"")).root
    assert "cannot be reached from here: connection refused" in order(relay, plan("https://127.0.0.1:1/dir", ca=root))["problem"]


def test_the_ca_file_is_not_there(relay: Relayed, tmp_path: Path) -> None:
    assert "none.pem" in order(relay, plan("https://127.0.0.1:1/dir", ca=tmp_path / "none.pem"))["problem"]


def test_nobody_is_asked_for_a_name_that_does_not_exist(relay: Relayed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trouble, "addresses", lambda host: None)
    told = order(relay, plan("https://127.0.0.1:1/dir"), "alvin.xyz")
    assert told["problem"] == "no DNS server knows alvin.xyz: let its A or AAAA record lead to this server"
    wild = order(relay, plan("https://127.0.0.1:1/dir"), "*.alvin.xyz")
    assert "write dns in [edge.acme]" in wild["problem"]


def test_a_master_that_keeps_nothing(pebble: Pebble) -> None:
    told = order(BrokenRelay(), plan(pebble.url, ca=pebble.root))
    assert told == {"type": "failed", "problem": "the account could not be kept: no space", "blocked": {}}


# -- renewal information ------------------------------------------------------------------------------------------------------


def test_an_authority_may_say_when_to_renew(relay: Relayed, misbehaving: Callable[..., Misbehaving], tmp_path: Path) -> None:
    """RFC 9773; this pebble does not know it."""
    window = {"suggestedWindow": {"start": "2040-01-02T00:00:00Z", "end": "2040-01-02T00:00:00Z"}}

    def answer(method: str, path: str) -> Answer:
        if path == "/dir":
            return 200, {}, one.directory(renewalInfo=one.url + "/renewal")
        return 200, {"Retry-After": "21600", "Content-Type": "application/json"}, json.dumps(window).encode()

    one = misbehaving(answer)
    issue.run(relay, {"job": "local", "hosts": ["a.test"], "public": [], "records": {}, "key": "ecdsa"})
    pem = relay.kept["certificate", "a.test"]["secret"]["certificate"]
    (tmp_path / "certificate.pem").write_text(pem)
    item = {"host": "a.test", "directory": one.url, "file": str(tmp_path / "certificate.pem")}
    silent = {**item, "host": "b.test", "directory": "https://127.0.0.1:1/dir"}
    job = {"job": "renewal", "acme": plan(one.url, silent["directory"], ca=one.root), "certificates": [item, silent]}
    issue.run(relay, job)
    found = relay.last("renewals")["found"]
    assert list(found) == ["a.test"]
    assert found["a.test"][0] == 2_209_075_200.0
    assert found["a.test"][1] == pytest.approx(time.time() + 21600, abs=30)
    assert one.asked[1] == f"GET /dir/renewal/{issue.acme_order.certificate_id(pem)}"


def test_what_a_renewal_replaces_is_told(
    relay: Relayed, misbehaving: Callable[..., Misbehaving], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []
    real = acme_client.Network._wrap_in_jws

    def wrap(self: acme_client.Network, obj: Any, nonce: str, url: str) -> str:
        sent.append(obj.to_partial_json() if obj else {})
        return str(real(self, obj, nonce, url))

    monkeypatch.setattr(acme_client.Network, "_wrap_in_jws", wrap)

    def answer(method: str, path: str) -> Answer:
        if path == "/dir":
            return 200, {}, one.directory(renewalInfo=one.url + "/renewal")
        if path in ("/newAccount", "/newNonce"):
            return 201, {"Location": one.url + "/me"}, b'{"status": "valid"}'
        return 409, {"Content-Type": "application/problem+json"}, json.dumps({"type": PROBLEM + "alreadyReplaced"}).encode()

    one = misbehaving(answer)
    order(relay, plan(one.url, ca=one.root), directory=one.url, id="abc.def")
    orders = [body for body in sent if "identifiers" in body]
    assert [body.get("replaces") for body in orders] == ["abc.def", None], "asked once more without it"
    sent.clear()
    order(relay, plan(one.url, ca=one.root), directory="https://another", id="abc.def")
    assert next(body.get("replaces") for body in sent if "identifiers" in body) is None


# -- the local CA -------------------------------------------------------------------------------------------------------------


def test_local_certificates_are_of_one_ca(relay: Relayed) -> None:
    for hosts in (["a.localhost", "*.b.test"], ["10.0.0.5"]):
        issue.run(relay, {"job": "local", "hosts": hosts, "public": [], "records": {}, "key": "ecdsa"})
    root = relay.kept["ca", ""]["secret"]["certificate"]
    issuer = x509.load_pem_x509_certificate(root.encode()).subject
    assert {leaf_of(relay, folder).issuer for folder in ("a.localhost", "_.b.test", "10.0.0.5")} == {issuer}
    assert [message["host"] for message in relay.said if message["type"] == "got"] == ["a.localhost", "*.b.test", "10.0.0.5"]


@pytest.mark.parametrize("damage", ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_ca_that_is_damaged_is_made_anew(relay: Relayed, damage: str) -> None:
    relay.kept["ca", ""] = {"secret": {"certificate": damage, "key": damage}}
    issue.run(relay, {"job": "local", "hosts": ["a.test"], "public": [], "records": {}, "key": "ecdsa"})
    assert relay.said[-1] == {"type": "done"}
    assert leaf_of(relay, "a.test")
