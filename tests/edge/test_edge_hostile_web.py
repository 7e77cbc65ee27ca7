"""What hostile visitors ask for, and what each of them must get: the table hostile_web.tsv, on an edge with all it can do.

After each group nothing may be left: no descriptor, no claim, no connection, and the worker answers as before.
"""

from __future__ import annotations

import asyncio
import gc
import os
import re
import socket
import ssl
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.authority import Authority, write_key

from gapura.edge import certificates

from .backend import Backend
from .client import Answer, Client, get
from .edge import Edge

CONFIG = """
[upstreams.u]
servers = ["{backend}"]
[sites."*"]
files = "www"
security_headers = true
compress = true
redirects = [{{ match = "^/jump(.*)", to = "/$1", status = 301 }}]
[[sites."*".routes]]
path = "/list/"
files = "www/list"
listing = true
[[sites."*".routes]]
path = "/api/"
proxy = "u"
strip_prefix = "/api"
[[sites."*".routes]]
kind = "regex"
path = "^/re/(?<tail>.*)$"
proxy = "u"
rewrite = "/r/$tail"
request_headers = {{ set = {{ X-Tail = "$tail" }} }}
[[sites."*".routes]]
path = "/pick"
proxy = "u"
rewrite = "/r/$arg_p?"
[[sites."*".routes]]
kind = "regex"
path = "^/twice/(.*)$"
proxy = "u"
rewrite = "/$1/$1/$1"
[[sites."*".routes]]
path = "/round"
rewrite = {{ to = "/round/again", reroute = true }}
respond = "never"
[[sites."*".routes]]
path = "/go/"
redirect = "/$rest"
[[sites."*".routes]]
path = "/abs/"
redirect = "https://new.example/$rest"
[[sites."*".routes]]
path = "/hosted/"
redirect = "https://$host/$rest"
[[sites."*".routes]]
path = "/say/"
respond = {{ body = "<p title='$rest'>$rest</p>", type = "text/html" }}
[[sites."*".routes]]
path = "/json/"
respond = {{ body = '["$rest"]', type = "application/json" }}
[[sites."*".routes]]
path = "/hdr/"
respond = "x"
response_headers = {{ set = {{ X-Echo = "$rest" }} }}
[[sites."*".routes]]
path = "/arg"
respond = "x"
response_headers = {{ set = {{ X-Echo = "$arg_x" }} }}
[[sites."*".routes]]
path = "/private/"
respond = "treasure"
basic_auth = "htpasswd"
[[sites."*".routes]]
path = "/token/"
respond = "treasure"
jwt = {{ keys = "token.key", algorithms = ["HS256"] }}
[[sites."*".routes]]
path = "/denied/"
respond = "treasure"
deny = ["127.0.0.0/8"]
[[sites."*".routes]]
path = "/only/"
methods = ["GET"]
respond = "x"
[[sites."*".routes]]
path = "/beta/"
match = {{ header = {{ X-Beta = "1" }} }}
respond = "beta"
[[sites."*".routes]]
path = "/small/"
proxy = "u"
body_limit = 10
[[sites."*".routes]]
path = "/often/"
respond = "x"
limit = "1/m"
[[sites."*".routes]]
path = "/cors/"
respond = "x"
cors = {{ origins = ["https://ok.example"] }}
"""
FIRST_LINE = re.compile(r"([A-Za-z]+) ")
REPEATED = re.compile(r"<([^<>]*)\*(\d+)>")
ESCAPE = re.compile(r"\\(x[0-9a-f]{2}|.)")
LETTERS = {"r": "\r", "n": "\n", "0": "\0", "t": "\t"}


@dataclass
class Row:
    """One line of the table."""

    group: str
    name: str
    request: bytes
    status: str
    expected: list[str]


def unescaped(text: str) -> bytes:
    """The bytes that a cell stands for; a head without its end gets one."""
    text = REPEATED.sub(lambda match: match[1] * int(match[2]), text)
    whole = text if "¶¶" in text or "\\n\\n" in text else text + "¶¶"
    plain = ESCAPE.sub(lambda match: chr(int(match[1][1:], 16)) if len(match[1]) == 3 else LETTERS.get(match[1], match[1]), whole)
    return plain.replace("¶", "\r\n").encode("latin-1")


def table() -> list[Row]:
    rows = []
    for line in (Path(__file__).parent / "hostile_web.tsv").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            group, name, request, status, expected = line.split("\t")
            rows.append(Row(group, name, unescaped(request), status, [part for part in expected.split(" ; ") if part]))
    return rows


ROWS = [row for row in table() if os.geteuid() or "unprivileged" not in row.expected]  # root may read everything


def test_the_table_is_long_enough_and_its_names_are_unique() -> None:
    assert len(ROWS) >= 80
    assert len({(row.group, row.name) for row in ROWS}) == len(ROWS)


@pytest.fixture
def folder(edge: Edge) -> Iterator[Path]:
    """What the site serves, and what it must not."""
    www = edge.folder / "www"
    for name in (".git", "sub", "list", "list/.hidden"):
        (www / name).mkdir(parents=True)
    for name, text in {
        "index.html": "<p>home",
        "a.txt": "public",
        "big.bin": "x" * 100_000,
        "big.txt": "x" * 100_000,
        "empty.txt": "",
        ".env": "secret",
        ".git/config": "secret",
        "sub/index.html": "sub",
        "sub/.htpasswd": "secret",
        "list/<script>.txt": "x",
    }.items():
        (www / name).write_text(text)
    (www / "passwd-link").symlink_to("/etc/passwd")
    (www / "root-link").symlink_to("/")
    (www / "proc-link").symlink_to("/proc")
    (www / "loop-link").symlink_to("loop-link")
    os.mkfifo(www / "fifo")
    (www / "noread.txt").write_text("secret")
    (www / "noread.txt").chmod(0)
    (www / "noenter").mkdir()
    (www / "noenter" / "x.txt").write_text("secret")
    (www / "noenter").chmod(0)
    (edge.folder / "htpasswd").write_text("alice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n")
    (edge.folder / "token.key").write_text("0123456789abcdef0123456789abcdef")
    with socket.socket(socket.AF_UNIX) as sock:
        before = Path.cwd()
        os.chdir(www)  # the whole path may be longer than a socket's may be
        sock.bind("socket")
        os.chdir(before)
        yield www
    (www / "noenter").chmod(0o700)


def descriptors() -> list[str]:
    """What is open in this process."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:  # that with which the folder was read
            continue
    return sorted(found)


def complaint(row: Row, answer: Answer, backend: Backend) -> str:
    """What is wrong with an answer, or ""."""
    body = answer.body.decode("latin-1")
    targets = [request.target for request in backend.requests]
    seen = repr([(request.target, request.lines) for request in backend.requests])
    for part in row.expected:
        name, mark, value = next(
            ((part[: at.start()], at[0], part[at.end() :]) for at in re.finditer("[=~!>]", part)), (part, "", "")
        )
        if name and name[0].isupper():
            held = ", ".join(answer.all(name))
            good = held == value if mark == "=" else (value in held) == (mark == "~")
        elif part.startswith(">"):
            good = targets == ([part[1:]] if part[1:] else [])
        elif part.startswith("seen!"):
            good = part[5:] not in seen and bool(targets)
        elif part.startswith("!~"):
            good = part[2:] not in body
        elif part.startswith("~"):
            good = part[1:] in body
        elif part.startswith("!"):
            good = not answer.all(part[1:])
        elif part.startswith("len="):
            good = len(answer.body) == int(part[4:])
        else:
            good = part in ("close", "unprivileged") or part.startswith("then=")
        if not good:
            return f"{part}: {answer.lines} {body[:200]!r} {targets}"
    return ""


async def tried(edge: Edge, row: Row, backend: Backend) -> str:
    """What is wrong with the answer to a row, or ""."""
    backend.requests.clear()
    client = await edge.client()
    client.send(row.request)
    match = FIRST_LINE.match(row.request.decode("latin-1"))
    statuses = row.status.split("|")
    try:
        answer = await asyncio.wait_for(client.answer(match[1] if match else "GET"), 60)
    except asyncio.IncompleteReadError as error:
        return "" if "-" in statuses and not error.partial else f"no answer but {error.partial!r}"
    except TimeoutError:
        return "no answer at all"
    if str(answer.status) not in statuses:
        return f"{answer.status} instead of {row.status}: {answer.body[:200]!r}"
    if second := next((part[5:] for part in row.expected if part.startswith("then=")), ""):
        got = await asyncio.wait_for(client.answer(), 60)
        if str(got.status) != second:
            return f"the second answer is {got.status} instead of {second}: {got.body!r}"
    if "close" in row.expected:
        try:
            rest = await asyncio.wait_for(client.end(), 60)
        except TimeoutError:
            return "the connection stays open"
        if rest:
            return f"more than one answer: {rest!r}"
    else:
        client.send(get("/a.txt", "Connection: close"))
        try:
            follows = await asyncio.wait_for(client.answer(), 60)
        except (asyncio.IncompleteReadError, TimeoutError):
            return "what follows on the connection gets no answer"
        if follows.body != b"public":
            return "what follows on the connection is answered wrongly"
    return complaint(row, answer, backend)


async def settled(edge: Edge) -> list[str]:
    """What is open when nothing is under way and no connection is kept."""
    for client in edge.clients:
        client.reset()
    edge.clients.clear()
    await edge.forgotten()
    edge.worker.pool.close()
    await edge.until(lambda: not any(backend.open for backend in edge.backends))
    gc.collect()  # what earlier tests have left
    last: list[str] = []
    while last != (last := descriptors()):
        await asyncio.sleep(0.01)  # what was closed just now is closed by the loop
    return last


@pytest.mark.parametrize("group", sorted({row.group for row in ROWS}))
async def test_each_gets_its_answer_and_leaves_nothing_behind(edge: Edge, folder: Path, group: str) -> None:
    backend = await edge.backend()
    await edge.start(CONFIG.format(backend=backend.address), log='$status "$request" "$http_user_agent"')
    targets = ("/a.txt", "/re/x", "/private/x", "/token/x", "/list/", "/big.bin")
    asked = [get(target, "Authorization: Basic YTpi") for target in targets]
    warm = [Row(group, "warm", request, "200|401", []) for request in asked]
    assert [await tried(edge, row, backend) for row in warm] == [""] * len(warm)
    before = await settled(edge)
    wrong = {row.name: told for row in ROWS if row.group == group and (told := await tried(edge, row, backend))}
    assert wrong == {}
    assert not Counter(await settled(edge)) - Counter(before)
    assert [await tried(edge, row, backend) for row in warm] == [""] * len(warm)
    for line in edge.lines():  # nobody writes lines of his own into the log
        assert re.fullmatch(r'\d{3} "[ -~]*" "[ -~]*"', line), line


async def test_a_full_disk_for_the_log_costs_no_visitor_an_answer(edge: Edge, folder: Path) -> None:
    backend = await edge.backend()
    log = {"path": "/dev/full", "format": "$request " + "x" * 3000, "rotate": False}
    await edge.start(CONFIG.format(backend=backend.address), access_log=log)
    client = await edge.client()
    for _ in range(100):
        assert (await client.ask("/re/x")).body == b"hello"
    await settled(edge)


BROKEN = ("empty", "garbage", "key of another", "cut short", "not PEM", "passphrase", "folder", "missing", "endless")


def spoil(kind: str, authority: Authority, certificate: Path, key: Path) -> None:
    """Make the files of a certificate unusable."""
    if kind == "empty":
        certificate.write_bytes(b"")
    elif kind == "garbage":
        certificate.write_bytes(os.urandom(2000))
    elif kind == "key of another":
        other, other_key = authority.issue("other.example")
        key.write_bytes(other_key.read_bytes())
        other.unlink()
    elif kind == "cut short":
        certificate.write_bytes(certificate.read_bytes()[:200])
    elif kind == "not PEM":
        certificate.write_bytes(ssl.PEM_cert_to_DER_cert(certificate.read_text()))
    elif kind == "passphrase":
        write_key(key, authority.key, b"a passphrase that nobody can be asked for")
    elif kind == "endless":
        certificate.write_bytes(b"-----BEGIN CERTIFICATE-----\n" + b"A" * (8 << 20))
    else:
        certificate.unlink()
        if kind == "folder":
            certificate.mkdir()


async def over_tls(edge: Edge, authority: Authority, port: int) -> int:
    """Status of an answer over TLS, 0 when the handshake fails."""
    context = ssl.create_default_context(cafile=str(authority.file))
    try:
        client: Client = await edge.client(port, ssl=context, server_hostname="a.example")
    except (OSError, ssl.SSLError):
        return 0
    client.send(get("/"))
    return (await client.answer()).status


@pytest.mark.parametrize("kind", BROKEN)
async def test_broken_certificates(edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A site whose certificate becomes unusable keeps the one before; one that never had any refuses handshakes; both live."""
    monkeypatch.setattr(certificates, "LOOK", 0)
    authority = Authority(tmp_path)
    certificate, key = authority.issue("a.example")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port: int = sock.getsockname()[1]
        tls = f'tls = {{ certificate = "{certificate}", key = "{key}" }}'
        await edge.start(f'[sites."a.example"]\nrespond = "x"\n{tls}\n', https=[f"127.0.0.1:{port}"])
        edge.say({"type": "listen", "addresses": [["127.0.0.1", port]]}, (sock.fileno(),))
        await edge.until(lambda: f"127.0.0.1:{port}" in edge.worker.listeners)
    assert await over_tls(edge, authority, port) == 200
    spoil(kind, authority, certificate, key)
    for _ in range(3):
        assert await over_tls(edge, authority, port) == 200
    await settled(edge)


@pytest.mark.parametrize("kind", BROKEN)
async def test_certificates_that_were_never_good(edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(certificates, "LOOK", 0)
    authority = Authority(tmp_path)
    certificate, key = authority.issue("a.example")
    spoil(kind, authority, certificate, key)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port: int = sock.getsockname()[1]
        tls = f'tls = {{ certificate = "{certificate}", key = "{key}" }}'
        text = f'[sites."a.example"]\nrespond = "x"\n{tls}\n[sites."b.example"]\nrespond = "b"\ntls = false\n'
        await edge.start(text, https=[f"127.0.0.1:{port}"])
        edge.say({"type": "listen", "addresses": [["127.0.0.1", port]]}, (sock.fileno(),))
        await edge.until(lambda: f"127.0.0.1:{port}" in edge.worker.listeners)
    for _ in range(3):
        assert await over_tls(edge, authority, port) == 0
    client = await edge.client()
    client.send(get("/", host="b.example"))
    assert (await client.answer()).body == b"b"
    await settled(edge)
