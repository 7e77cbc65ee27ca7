"""TLS at the edge: names, certificates, what is in the way, and clients that do not behave."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
from tests.authority import Authority

from .backend import Request, Wire
from .client import Client, get
from .edge import Edge


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Secure:
    """An edge with an HTTPS listener, and clients that trust the authority."""

    def __init__(self, edge: Edge, authority: Authority) -> None:
        self.edge = edge
        self.authority = authority
        self.port = free_port()

    async def start(self, text: str, log: str = "", **keys: Any) -> Secure:
        await self.edge.start(text, log, https=[f"127.0.0.1:{self.port}"], **keys)
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", self.port))
        sock.listen()
        self.edge.say({"type": "listen", "addresses": [["127.0.0.1", self.port]]}, (sock.fileno(),))
        sock.close()
        await self.edge.until(lambda: f"127.0.0.1:{self.port}" in self.edge.worker.listeners)
        return self

    def context(self, **changes: Any) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority.file))
        for key, value in changes.items():
            setattr(context, key, value)
        return context

    async def client(self, name: str | None = "a.example", context: ssl.SSLContext | None = None) -> Client:
        """A client that asks for `name`; None: for no name, and it does not look at whose certificate it gets."""
        context = context or self.context()
        if name is None:
            context.check_hostname = False
        return await self.edge.client(self.port, ssl=context, server_hostname=name or "")

    async def get(self, name: str = "a.example", host: str = "", context: ssl.SSLContext | None = None, target: str = "/") -> Any:
        client = await self.client(name, context)
        client.send(get(target, host=host or name))
        answer = await client.answer()
        client.close()
        return answer


@pytest.fixture
def secure(edge: Edge, authority: Authority) -> Secure:
    return Secure(edge, authority)


def site(host: str, pair: tuple[Path, Path], more: str = "", action: str = "respond = 'hello'") -> str:
    return f"""
[sites."{host}"]
{action}
tls = {{ certificate = "{pair[0]}", key = "{pair[1]}" {more} }}
"""


def common_name(client: Client) -> str:
    certificate = client.writer.get_extra_info("ssl_object").getpeercert()
    return dict(part[0] for part in certificate["subject"])["commonName"]


async def test_a_request_over_tls(secure: Secure, authority: Authority) -> None:
    backend = await secure.edge.backend()
    await secure.start(site("a.example", authority.issue("a.example"), action=f'proxy = "{backend.address}"'))
    client = await secure.client()
    for _ in range(3):
        answer = await client.ask()
        assert answer.status == 200
    assert [request.get("x-forwarded-proto") for request in backend.requests] == ["https"] * 3
    assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() is None


async def test_names_exact_before_wildcard_before_the_rest(secure: Secure, authority: Authority) -> None:
    exact, wild, deep, rest = (
        authority.issue(*names, file=file, subject={"commonName": file})
        for names, file in (
            (("www.a.example",), "exact"),
            (("*.a.example",), "wild"),
            (("*.deep.a.example",), "deep"),
            (("b.example", "a.example"), "rest"),
        )
    )
    await secure.start(site("www.a.example", exact) + site("*.a.example", wild) + site("*.deep.a.example", deep) + site("*", rest))
    for name, file in (
        ("www.a.example", "exact"),
        ("WWW.A.EXAMPLE", "exact"),
        ("api.a.example", "wild"),
        ("x.deep.a.example", "deep"),
        ("b.example", "rest"),
    ):
        client = await secure.client(name)
        assert common_name(client) == file
        client.close()


@pytest.mark.parametrize("name", ["b.example", "a.example.b", "xa.example", None])
async def test_a_name_that_is_not_ours(secure: Secure, authority: Authority, name: str | None) -> None:
    pair = authority.issue("a.example", "c.example")
    await secure.start(site("a.example", pair) + site("c.example", pair) + '[sites."b.example"]\nrespond = "plain"\n')
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        await secure.client(name)


async def test_no_name_gets_the_only_certificate_or_that_of_the_address(secure: Secure, authority: Authority) -> None:
    await secure.start(site("a.example", authority.issue("a.example")))
    client = await secure.client(None)
    assert common_name(client) == "a.example"
    client.close()
    address = authority.issue("127.0.0.1", subject={"commonName": "address"})
    port = f'[edge]\nhttps = "127.0.0.1:{secure.port}"\naccess_log = false\n'
    await secure.edge.serve(port + site("a.example", authority.issue("a.example")) + site("127.0.0.1", address))
    hello = client_hello("a.example").replace(b"a.example", b"127.0.0.1")  # which is as long
    raw = await secure.edge.client(secure.port)
    raw.send(hello)
    assert await raw.reader.readexactly(1) == b"\x16"
    client = await secure.client("127.0.0.1")  # no client sends an address as a name
    assert common_name(client) == "address"


async def test_versions_and_suites(secure: Secure, authority: Authority) -> None:
    await secure.start(site("a.example", authority.issue("a.example")), log="$ssl_protocol $ssl_cipher $ssl_server_name")
    for version, text in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        context = secure.context()
        context.minimum_version = context.maximum_version = version
        answer = await secure.get(context=context)
        assert answer.status == 200
        await secure.edge.until(lambda text=text: any(line.startswith(text) for line in secure.edge.lines()))
    for weak in ("AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "DHE-RSA-AES128-GCM-SHA256"):
        context = secure.context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(weak)
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await secure.get(context=context)
    assert all(line.endswith(" a.example") for line in secure.edge.lines())


async def test_only_the_newest_version(secure: Secure, authority: Authority) -> None:
    await secure.start(site("a.example", authority.issue("a.example")), tls={"min_version": "1.3"})
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        await secure.get(context=secure.context(maximum_version=ssl.TLSVersion.TLSv1_2))
    assert (await secure.get()).status == 200


async def test_http_becomes_https(secure: Secure, authority: Authority) -> None:
    pair = authority.issue("a.example", "b.example", "c.example")
    await secure.start(
        site("a.example", pair) + site("b.example", pair, ", redirect = 443") + site("c.example", pair, ", redirect = false")
    )
    for method, status in (("GET", 301), ("HEAD", 301), ("POST", 308)):
        client = await secure.edge.client()
        client.send(get('/x/y?q=%20{"}', host="A.Example:8080", method=method))
        answer = await client.answer(method)
        location = f"https://a.example:{secure.port}/x/y?q=%20%7B%22%7D"
        assert (answer.status, answer.get("location")) == (status, location)
    client = await secure.edge.client()
    client.send(get("/?a=b", host="b.example") + get("/", host="c.example"))
    assert (await client.answer()).get("location") == "https://b.example/?a=b"
    assert (await client.answer()).body == b"hello"


async def test_a_trusted_proxy_that_spoke_tls_is_not_sent_around(secure: Secure, authority: Authority) -> None:
    await secure.start(site("a.example", authority.issue("a.example")), trusted_proxies=["127.0.0.1"])
    client = await secure.edge.client()
    assert (await client.ask("/", "X-Forwarded-Proto: https")).status == 200
    assert (await client.ask("/", "X-Forwarded-Proto: http")).status == 301


async def test_strict_transport_security(secure: Secure, authority: Authority) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.reply(b"x", "200 OK", *(["Strict-Transport-Security: max-age=1"] if request.target == "/own" else []))

    backend = await secure.edge.backend(answer)
    more = ', redirect = false, hsts = { max_age = "2y", subdomains = true, preload = true }'
    await secure.start(site("a.example", authority.issue("a.example"), more, f'proxy = "{backend.address}"'))
    assert (await secure.get()).get("strict-transport-security") == "max-age=63072000; includeSubDomains; preload"
    assert (await secure.get(target="/own")).get("strict-transport-security") == "max-age=1"
    client = await secure.edge.client()
    assert (await client.ask()).get("strict-transport-security") is None


async def test_a_file_with_strict_transport_security_is_remembered(secure: Secure, authority: Authority, tmp_path: Path) -> None:
    folder = tmp_path / "www"
    folder.mkdir()
    (folder / "index.html").write_bytes(b"hello")
    os.utime(folder / "index.html", (1e9, 1e9))
    await secure.start(site("a.example", authority.issue("a.example"), ", hsts = true", 'files = "www"'))
    client = await secure.client()
    await secure.edge.until(lambda: time.time() % 1 < 0.3)  # what is remembered ends with the second
    request_ids = set()
    for _ in range(3):
        client.send(get(host="a.example"))
        answer = await client.answer()
        assert (answer.status, answer.body, answer.get("content-length")) == (200, b"hello", "5")
        assert str(answer.get("strict-transport-security")).startswith("max-age=")
        request_ids.add(answer.get("x-request-id"))
    assert len(request_ids) == 3
    assert len(secure.edge.worker.recall.of(b"https")) == 1


async def test_a_certificate_that_is_got_later(secure: Secure, authority: Authority) -> None:
    await secure.start('[sites."a.example"]\nrespond = "x"\ntls = "auto"\n')
    client = await secure.edge.client()
    assert (await client.ask()).body == b"x"  # no redirect while there is nothing behind it
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        await secure.client()
    folder = secure.edge.folder / ".gapura" / "lib" / "certificates" / "a.example"
    folder.mkdir(parents=True)
    certificate, key = authority.issue("a.example")
    os.rename(certificate, folder / "certificate.pem")
    os.rename(key, folder / "key.pem")
    age(secure)
    assert (await secure.get()).body == b"x"
    assert (await client.ask()).status == 301
    assert (await client.ask("/.well-known/acme-challenge/x")).status == 200
    assert (await client.ask("/.well-known/acme-challenge/..%2f..%2fx")).status == 301
    client.send(get("*", host="a.example", method="OPTIONS"))
    assert (await client.answer("OPTIONS")).status == 204  # there is no place to send anybody to


def age(secure: Secure) -> None:
    """As if the files had been looked at long ago."""
    for certificate in secure.edge.worker.certificates._known.values():
        certificate._looked_at = 0


def serial(client: Client) -> str:
    return str(client.writer.get_extra_info("ssl_object").getpeercert()["serialNumber"])


async def test_a_new_certificate_is_noticed_and_a_bad_one_is_not_taken(
    secure: Secure, authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate, key = authority.issue("a.example", file="changing")
    await secure.start(site("a.example", (certificate, key)))

    async def seen() -> str:
        client = await secure.client()
        client.close()
        return serial(client)

    first = await seen()
    authority.issue("a.example", file="changing")
    age(secure)
    second = await seen()
    assert second != first
    for bad in (
        b"",
        b"nonsense",
        certificate.read_bytes()[:300],
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ):
        certificate.write_bytes(bad)
        for _ in range(4):
            age(secure)
            assert await seen() == second
    assert len(caplog.records) == 4
    assert "the one before stays in use" in caplog.text
    authority.issue("a.example", file="changing")
    age(secure)
    assert await seen() not in (first, second)


async def test_names_cost_nothing_until_asked_for(secure: Secure, authority: Authority) -> None:
    pair = authority.issue("*.a.example")
    sites = "".join(site(f"s{number}.a.example", pair) for number in range(20))
    names = "".join(f'[sites."n{number}.example"]\nrespond = "x"\ntls = "auto"\n' for number in range(40))
    await secure.start(sites + names)
    assert secure.edge.worker.certificates._known == {}
    for number in range(5):
        assert (await secure.get(f"s{number}.a.example")).status == 200
    assert len(secure.edge.worker.certificates._known) == 1  # the same files


async def test_plain_http_on_the_port_of_https(secure: Secure, authority: Authority) -> None:
    await secure.start(site("a.example", authority.issue("a.example")))
    client = await secure.edge.client(secure.port)
    client.send(get())
    answer = await client.answer()
    assert answer.status == 400
    assert b"HTTPS" in answer.body
    assert await client.end() == b""


HOSTILE = {
    "nothing": b"",
    "zeros": bytes(2000),
    "ssl 2": bytes.fromhex("802e0100020015000000100100800200800300800400800500800600400700c0"),
    "record too long": b"\x16\x03\x01\xff\xff" + bytes(100),
    "empty record": b"\x16\x03\x01\x00\x00",
    "no hello": b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00",
    "alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "hello of 16 MB": b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(16380),
    "hello without end": b"\x16\x03\x01\x40\x00\x01\x00\x7f\xff" + bytes(16380) + b"\x16\x03\x01\x40\x00" + bytes(8000),
    "hello of zeros": b"\x16\x03\x01\x00\x30\x01\x00\x00\x2c" + bytes(44),
    "random": os.urandom(4000),
    "proxy protocol": b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_garbage(secure: Secure, authority: Authority, name: str) -> None:
    await secure.start(site("a.example", authority.issue("a.example")))
    client = await secure.edge.client(secure.port)
    client.send(HOSTILE[name])
    client.eof()
    said = await client.end()
    assert len(said) < 4000
    assert (await secure.get()).status == 200
    await secure.edge.until(lambda: len(secure.edge.worker.connections) <= 1)


async def test_a_handshake_that_does_not_come_or_stops(secure: Secure, authority: Authority) -> None:
    await secure.start(site("a.example", authority.issue("a.example")), timeouts={"handshake": 0.2})
    silent = await secure.edge.client(secure.port)
    slow = await secure.edge.client(secure.port)
    slow.send(b"\x16\x03\x01")
    half = await secure.edge.client(secure.port)
    half.send(client_hello("a.example"))
    for client in (silent, slow, half):
        await client.end()
    await secure.edge.forgotten()


def client_hello(name: str) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


async def test_handshakes_count_as_connections(secure: Secure, authority: Authority) -> None:
    await secure.start(site("a.example", authority.issue("a.example")), limits={"connections_per_client": 2})
    waiting = [await secure.edge.client(secure.port) for _ in range(2)]
    await secure.edge.until(lambda: len(secure.edge.worker.connections) == 2)
    third = await secure.edge.client(secure.port)
    assert await third.end() == b""
    for client in waiting:
        client.close()
    await secure.edge.forgotten()
    assert (await secure.get()).status == 200


async def test_large_bodies_both_ways_and_slow_readers(secure: Secure, authority: Authority) -> None:
    async def echo(request: Request, wire: Wire) -> None:
        wire.reply(await request.read_body())

    backend = await secure.edge.backend(echo)
    await secure.start(site("a.example", authority.issue("a.example"), action=f'proxy = "{backend.address}"\nbody_limit = "20M"'))
    body = os.urandom(5 << 20)
    client = await secure.client()
    client.send(get("/", method="POST", body=body))
    await asyncio.sleep(0.05)
    answer = await client.answer()
    assert answer.body == body
    client.send(get("/", method="POST", body=b"x") * 40)  # pipelined
    for _ in range(40):
        assert (await client.answer()).body == b"x"


async def test_the_client_says_goodbye_first(secure: Secure, authority: Authority) -> None:
    gate = asyncio.Event()

    async def late(request: Request, wire: Wire) -> None:
        await gate.wait()
        wire.reply(b"late")

    backend = await secure.edge.backend(late)
    await secure.start(site("a.example", authority.issue("a.example"), action=f'proxy = "{backend.address}"'))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = secure.context().wrap_bio(incoming, outgoing, server_hostname="a.example")
    raw = await secure.edge.client(secure.port)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            raw.send(outgoing.read())
            incoming.write(await raw.reader.read(1 << 16))
    tls.write(get())
    with pytest.raises(ssl.SSLWantReadError):
        tls.unwrap()
    raw.send(outgoing.read())
    await secure.edge.until(lambda: backend.requests)
    gate.set()
    incoming.write(await raw.end())
    assert tls.read(1 << 16).endswith(b"late")
    with pytest.raises((ssl.SSLZeroReturnError, ssl.SSLSyscallError)):
        tls.read(1)


async def test_a_tunnel_over_tls(secure: Secure, authority: Authority) -> None:
    async def upgrade(request: Request, wire: Wire) -> None:
        wire.say(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
        while data := await wire.reader.read(1 << 16):
            wire.say(data)

    backend = await secure.edge.backend(upgrade)
    await secure.start(site("a.example", authority.issue("a.example"), action=f'proxy = "{backend.address}"'))
    client = await secure.client()
    client.send(get("/", "Connection: Upgrade", "Upgrade: websocket"))
    assert (await client.head()).status == 101
    assert await client.reader.readexactly(5) == b"hello"
    data = os.urandom(300_000)
    client.send(data)
    assert await client.reader.readexactly(len(data)) == data
    client.close()
    await secure.edge.at_rest()


async def test_clients_with_certificates(secure: Secure, authority: Authority, tmp_path: Path) -> None:
    clients = Authority(tmp_path, "Client CA")
    pair = authority.issue("a.example", "b.example", "open.example")
    await secure.start(
        site("a.example", pair, f', client_ca = "{clients.file}"')
        + site("b.example", pair, f', client_ca = "{clients.file}", client_auth = "optional"')
        + site("open.example", pair),
        log="$host $ssl_client_verify $ssl_client_s_dn",
    )
    mine = clients.issue("alice", client=True, subject={"countryName": "ID", "organizationName": "A, B\n", "commonName": "alice"})
    theirs = authority.issue("mallory", client=True)
    own, foreign = secure.context(), secure.context()
    own.load_cert_chain(*mine)
    foreign.load_cert_chain(*theirs)
    assert (await secure.get("a.example", context=own)).status == 200
    assert (await secure.get("b.example", context=own)).status == 200
    assert (await secure.get("b.example")).status == 200
    for name, context in (("a.example", None), ("a.example", foreign), ("b.example", foreign)):
        with pytest.raises((ssl.SSLError, ConnectionResetError, asyncio.IncompleteReadError)):
            await secure.get(name, context=context)
    for name, host in (("open.example", "a.example"), ("b.example", "a.example"), ("open.example", "b.example")):
        assert (await secure.get(name, host=host, context=own)).status == 421
    assert (await secure.get("a.example", host="open.example", context=own)).status == 200
    lines = secure.edge.lines()
    assert r"a.example SUCCESS CN=alice,O=A\x5C, B\x5C0A,C=ID" in lines
    assert "b.example NONE " in lines


async def test_a_session_does_not_open_another_site(secure: Secure, authority: Authority, tmp_path: Path) -> None:
    clients = Authority(tmp_path, "Client CA")
    pair = authority.issue("a.example", "open.example")
    await secure.start(site("a.example", pair, f', client_ca = "{clients.file}"') + site("open.example", pair))
    secure.edge.say({"type": "tickets", "secret": os.urandom(32).hex()})
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = secure.context(maximum_version=version)
        session = session_of(secure, context, "open.example", None)
        assert (await session)[0] is False
        again = await session_of(secure, context, "open.example", (await session_of(secure, context, "open.example", None))[1])
        assert again[0] is True
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await session_of(secure, context, "a.example", again[1])


async def session_of(
    secure: Secure, context: ssl.SSLContext, name: str, session: ssl.SSLSession | None
) -> tuple[bool, ssl.SSLSession]:
    """Whether the session was taken up again, and the one to go on with; in a thread, since asyncio offers none of this."""

    def talk() -> tuple[bool, ssl.SSLSession]:
        with (
            socket.create_connection(("127.0.0.1", secure.port)) as sock,
            context.wrap_socket(sock, server_hostname=name, session=session) as tls,
        ):
            tls.sendall(get(host=name))
            assert tls.recv(9) == b"HTTP/1.1 "
            tls.recv(1 << 16)
            assert tls.session is not None
            return bool(tls.session_reused), tls.session

    return await asyncio.to_thread(talk)
