"""TLS to servers behind: verified unless told otherwise, and said in words when it does not pass."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from tests.authority import Authority

from .backend import Backend
from .edge import Edge


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def serving(edge: Edge, pair: tuple[Path, Path], client_ca: Path | None = None) -> Backend:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return await edge.backend(ssl=context)


def upstream(backend: Backend, tls: str) -> str:
    return f'[upstreams.u]\nservers = "{backend.address}"\nhealth = false\ntls = {tls}\n[sites."*"]\nproxy = "u"\n'


async def test_verified_by_address_and_kept(edge: Edge, authority: Authority) -> None:
    backend = await serving(edge, authority.issue("127.0.0.1"))
    await edge.start(upstream(backend, f'{{ ca = "{authority.file}" }}'))
    client = await edge.client()
    for _ in range(3):
        assert (await client.ask()).status == 200
    assert len({id(request.wire) for request in backend.requests}) == 1
    await edge.serve(upstream(backend, f'{{ ca = "{authority.file}", server_name = "127.0.0.1" }}'))
    assert (await client.ask()).status == 200
    assert len({id(request.wire) for request in backend.requests}) == 2  # not on a connection made under other rules


async def test_verified_by_name(edge: Edge, authority: Authority) -> None:
    backend = await serving(edge, authority.issue("b.example"))
    await edge.start(upstream(backend, f'{{ ca = "{authority.file}", server_name = "b.example" }}'))
    assert (await (await edge.client()).ask()).status == 200


async def test_a_certificate_of_our_own(edge: Edge, authority: Authority) -> None:
    backend = await serving(edge, authority.issue("127.0.0.1"), authority.file)
    certificate, key = authority.issue("me", client=True)
    await edge.start(upstream(backend, f'{{ ca = "{authority.file}", certificate = "{certificate}", key = "{key}" }}'))
    assert (await (await edge.client()).ask()).status == 200


async def test_unverified_when_told_so(edge: Edge, authority: Authority) -> None:
    backend = await serving(edge, authority.issue("other.example", days=-1, age=9))
    await edge.start(upstream(backend, "{ verify = false }"))
    assert (await (await edge.client()).ask()).status == 200


BAD = {
    "another name": (("b.example",), {}, "{ca}", "the certificate of 127.0.0.1 is not valid: it is for other names"),
    "expired": (("127.0.0.1",), {"days": -1, "age": 9}, "{ca}", "the certificate of 127.0.0.1 is not valid: it has expired"),
    "another CA": (("127.0.0.1",), {}, "true", "the certificate of 127.0.0.1 is not valid: its CA is not among those to trust"),
    "no CA file": (("127.0.0.1",), {}, '{ ca = "missing.pem" }', "no TLS with 127.0.0.1"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_server_that_is_not_who_it_should_be(
    edge: Edge, authority: Authority, caplog: pytest.LogCaptureFixture, case: str, method: str
) -> None:
    names, how, tls, message = BAD[case]
    backend = await serving(edge, authority.issue(*names, **how))
    await edge.start(upstream(backend, tls.replace("{ca}", f'{{ ca = "{authority.file}" }}')))
    answer = await (await edge.client()).ask(method=method)
    assert answer.status == 502
    assert b"over TLS" in answer.body
    assert message in caplog.text
    assert backend.requests == []


async def test_the_next_server_is_tried(edge: Edge, authority: Authority) -> None:
    bad = await serving(edge, authority.issue("b.example", file="bad"))
    good = await serving(edge, authority.issue("127.0.0.1", file="good"))
    servers = ", ".join(f'"{backend.address}"' for backend in (bad, good))
    await edge.start(
        f'[upstreams.u]\nservers = [{servers}]\nhealth = false\ntls = {{ ca = "{authority.file}" }}\n[sites."*"]\nproxy = "u"\n'
    )
    client = await edge.client()
    for _ in range(4):
        assert (await client.ask(method="POST", body=b"x")).status == 200
    assert len(good.requests) == 4


async def test_a_url_in_proxy(edge: Edge, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    backend = await serving(edge, authority.issue("127.0.0.1"))
    await edge.start(f'[sites."*"]\nproxy = "https://{backend.address}"\n')
    assert (await (await edge.client()).ask()).status == 200
