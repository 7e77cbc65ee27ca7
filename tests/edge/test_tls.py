"""Contexts for clients: what they speak, and tickets that all workers know while the secret holds."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
from tests.authority import Authority, write_key

from gapura.edge.tls import openssl, server_context, set_tickets


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def made(pair: tuple[Path, Path], client_ca: str = "", client_auth: str = "", version: str = "1.2") -> ssl.SSLContext:
    return server_context(str(pair[0]), str(pair[1]), client_ca, client_auth, version)


def shake(server: ssl.SSLContext, client: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLObject:
    """The client's side of a handshake in memory, tickets taken."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = server.wrap_bio(up, down, server_side=True)
    ours = client.wrap_bio(down, up, server_hostname="a.example", session=session)
    waiting = [ours.do_handshake, theirs.do_handshake]
    for _ in range(10):
        for step in list(waiting):
            try:
                step()
                waiting.remove(step)
            except ssl.SSLWantReadError:
                pass
    assert waiting == []
    theirs.write(b"x")
    assert ours.read() == b"x"
    return ours


def trusting(authority: Authority, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.file))
    context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_ticket_holds_for_who_has_the_secret_and_the_policy(authority: Authority, version: ssl.TLSVersion) -> None:
    pair = authority.issue("a.example")
    secret = os.urandom(32)
    client = trusting(authority, version)
    first, second = made(pair), made(pair)  # two workers
    for context in (first, second):
        set_tickets(context, secret, b"policy")
    session = shake(first, client).session
    assert shake(second, client, session).session_reused
    set_tickets(second, os.urandom(32), b"policy")  # rotated
    assert not shake(second, client, session).session_reused
    set_tickets(second, secret, b"another policy")
    assert not shake(second, client, session).session_reused
    set_tickets(second, secret, b"policy")
    assert shake(second, client, session).session_reused
    set_tickets(second, b"", b"policy")  # no secret yet: everything stays as it is
    assert shake(second, client, session).session_reused


def test_what_is_set_arrives_in_openssl() -> None:
    direct = openssl()
    assert direct is not None
    assert direct.works()
    assert direct.key_size(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)) == 80


def test_keys_that_cannot_be_used(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue("a.example")
    _, other = authority.issue("b.example")
    empty = tmp_path / "empty"
    empty.touch()
    locked = write_key(tmp_path / "locked.key", authority.key, b"secret")
    for pair in ((certificate, other), (certificate, empty), (empty, key), (certificate, tmp_path / "no"), (certificate, locked)):
        with pytest.raises((OSError, ValueError)):
            made(pair)
    with pytest.raises((OSError, ValueError)):
        made((certificate, key), client_ca=str(empty), client_auth="require")


def test_who_must_show_a_certificate(authority: Authority) -> None:
    pair = authority.issue("a.example")
    assert made(pair).verify_mode == ssl.CERT_NONE
    assert made(pair, str(authority.file), "require").verify_mode == ssl.CERT_REQUIRED
    assert made(pair, str(authority.file), "optional").verify_mode == ssl.CERT_OPTIONAL
    assert made(pair, version="1.3").minimum_version == ssl.TLSVersion.TLSv1_3
