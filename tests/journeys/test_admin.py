"""The admin API and its doors: who gets in, who does not, and what happens when processes behind it die."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .harness.client import visit
from .harness.proc import alive, until
from .harness.site import Site, plain, section

HERE = "gapura.localhost"
OTHER = "daemon"
"""Somebody else on the machine."""


class Said:
    """What the API answered."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.fields = {name.lower(): value for name, value in response.getheaders()}
        self.text = response.read().decode()

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def ask(site: Site, path: str = "/v1/me", method: str = "GET", body: object = None, port: int = 0, **fields: str) -> Said:
    """A request to the dashboard's site, through the edge."""
    connection = http.client.HTTPConnection("127.0.0.1", port or site.port, timeout=60)
    try:
        headers = {"Host": HERE, **{name.replace("_", "-"): value for name, value in fields.items()}}
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {**headers, **({"Content-Type": "application/json"} if data else {})})
        return Said(connection.getresponse())
    finally:
        connection.close()


def knock(site: Site, path: str = "/v1/me", door: str = "admin") -> Said:
    """A request to a socket of the run folder."""
    connection = http.client.HTTPConnection("localhost", timeout=60)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(60)
    connection.sock.connect(str(site.folder / ".gapura" / f"{door}.sock"))
    with contextlib.closing(connection):
        connection.request("GET", path)
        return Said(connection.getresponse())


def as_user(name: str, program: str, *words: str) -> str:
    """What a program of another user of this machine prints."""
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", program, *words], user=name, group=pwd.getpwnam(name).pw_gid, extra_groups=[],
        cwd="/", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


BY_TCP = """
import http.client, sys
c = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]), timeout=60)
c.request(sys.argv[2], sys.argv[3], headers={'Host': 'gapura.localhost'})
print(c.getresponse().status)
"""
BY_SOCKET = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
try:
    s.connect(sys.argv[1])
except PermissionError:
    print('refused')
else:
    s.sendall(b'GET /v1/me HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n')
    print(s.recv(100))
"""


@pytest.fixture
def others() -> Iterator[Site]:
    """A site in a folder that other users may enter; needs root."""
    if os.geteuid():
        pytest.skip("another user needs root")
    folder = Path(tempfile.mkdtemp(prefix="gapura-admin-"))
    folder.chmod(0o755)
    site = Site(folder)
    try:
        subprocess.run([sys.executable, "-c", "import gapura"], user="nobody", capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the interpreter of these tests is not for other users")
    yield site
    site.sweep()
    shutil.rmtree(folder)


def of_nobody(site: Site) -> None:
    """The site becomes the user nobody's, and its Gapura runs as that."""
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv (util-linux)")
    shutil.chown(site.folder, "nobody")
    site.prefix = ["setpriv", "--reuid=nobody", "--clear-groups"]


# -- who gets in ------------------------------------------------------------------------------------------------------------------


def test_the_dashboard_is_there_without_being_written(site: Site) -> None:
    site.configure(proxy="")
    up = site.gapura("up", "-d")
    assert f"dashboard: http://{HERE}:{site.port}/" in up.stdout
    me = ask(site).json
    assert (me["rights"] in ("read", "full"), me["generation"]) == (True, 1)
    assert ask(site, "/v1/status").status == 200
    shown = plain(site.gapura("status").stdout)
    assert f"Dashboard: http://{HERE}:{site.port}/" in shown
    assert "gapura:dashboard" not in shown
    assert site.gapura("check").returncode == 0
    site.down()


def test_it_can_be_switched_off(site: Site) -> None:
    site.configure(site.app(instances=1), section("admin", dashboard=False))
    site.up()
    assert ask(site).status == 421
    assert visit(site.port).status == 200
    assert knock(site).json["rights"] == "full"
    assert "shows no dashboard" in site.gapura("dashboard", check=False).stderr
    site.write(site.file.read_text().replace("dashboard = false", "dashboard = true"))
    site.gapura("reload")
    assert ask(site).status == 200
    site.down()


@pytest.mark.parametrize(
    "fields",
    [
        {"X_Forwarded_For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"X_Real_IP": "127.0.0.1"},
        {"Via": "1.1 somebody"},
        {"X_Forwarded_Proto": "https"},
        {"X_Forwarded_Server": "a"},
        {"CF_Connecting_IP": "127.0.0.1"},
        {"True_Client_IP": "127.0.0.1"},
    ],
    ids=str,
)
def test_another_proxys_visitors_are_not_of_this_machine(shared: Site, fields: dict[str, str]) -> None:
    assert ask(shared, **fields).status == 403


@pytest.mark.parametrize(
    "host", ["evil.test", "127.0.0.1", "localhost", "GAPURA.localhost.evil.test", "", "gapura.localhost:1@evil.test"]
)
def test_rebinding(shared: Site, host: str) -> None:
    assert ask(shared, Host=host).status in (400, 421)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/status",
        "/x/../v1/status",
        "//v1/status",
        "/v1/%2e%2e/v1/status",
        "/v1%2fstatus",
        "/metrics",
        "http://gapura.localhost/v1/me",
    ],
)
def test_no_path_of_another_site_leads_to_the_api(shared: Site, path: str) -> None:
    """Except the whole URL of the dashboard itself, which names it (RFC 9112 §3.2.2)."""
    said = ask(shared, path, Host="shop.test")
    if "://" in path:
        assert said.json["rights"]
    else:
        assert '"rights"' not in said.text
        assert "generation" not in said.text


def test_a_visitor_cannot_speak_for_the_edge(shared: Site) -> None:
    far = "direct https 127.0.0.1 127.0.0.1 1 127.0.0.1 1"
    for name in ("X-Gapura-Visitor", "x-gapura-visitor", "X_Gapura_Visitor"):
        connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=60)
        connection.request("GET", "/v1/me", headers={"Host": HERE, name: far, "X-Forwarded-For": "1.2.3.4"})
        assert connection.getresponse().status == 403
        connection.close()
    assert knock(shared, door="dashboard").status == 403


def test_upgrades_lead_nowhere(shared: Site) -> None:
    """WebSockets end at the gate, and of h2c the edge lets nothing through but the plain request."""
    key = {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec_WebSocket_Version": "13"}
    assert ask(shared, "/v1/live", Connection="Upgrade", Upgrade="websocket", **key).status == 400
    said = ask(shared, Connection="Upgrade, HTTP2-Settings", Upgrade="h2c", HTTP2_Settings="AAMAAABkAARAAAAAAAIAAAAA")
    assert (said.status, "upgrade" in said.fields) == (200, False)


def test_large_bodies_end_at_the_edge(shared: Site) -> None:
    assert ask(shared, "/v1/session", "POST", {"token": "a" * (3 << 20)}).status == 413


def test_a_page_of_another_site_reaches_nothing(shared: Site) -> None:
    assert ask(shared, "/v1/reload", "POST", Origin="http://shop.test").status == 403
    assert ask(shared, "/v1/status", Sec_Fetch_Site="cross-site").status == 403
    assert ask(shared, "/v1/status", Sec_Fetch_Site="same-site").status == 403
    said = ask(shared, "/v1/status", "OPTIONS", Origin="http://shop.test", Access_Control_Request_Method="GET")
    assert (said.status, "access-control-allow-origin" in said.fields) == (403, False)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One Gapura for the tests that only ask."""
    site = Site(tmp_path_factory.mktemp("admin"))
    try:
        site.configure(section('sites."shop.test"', respond="a shop"), proxy="")
        site.up()
        yield site
        site.down()
    finally:
        site.sweep()


def test_a_site_may_not_lead_to_our_own_sockets(site: Site) -> None:
    for name in ("admin", "dashboard"):
        for path in (f"{site.folder}/.gapura/{name}.sock", f"{site.folder}/.gapura/../.gapura//{name}.sock"):
            site.configure(proxy=f"unix:{path}")
            done = site.gapura("check", check=False)
            assert (done.returncode, "Gapura's own" in done.stderr, "dashboard = true" in done.stderr) == (78, True, True)


# -- users of the machine -----------------------------------------------------------------------------------------------------


def test_as_root_loopback_reads_and_a_token_changes(others: Site) -> None:
    site = others
    site.configure(section('sites."shop.test"', respond="a shop"), proxy="")
    site.up()
    run = site.folder / ".gapura"
    assert {name: owner(run / f"{name}.sock") for name in ("admin", "dashboard")} == {
        "admin": ("root", 0o600),
        "dashboard": ("nobody", 0o600),
    }
    assert ask(site).json["rights"] == "read"
    assert ask(site, "/v1/reload", "POST").status == 403
    token = site.gapura("token", "create", "ci", "--role", "full").stdout.strip()
    bearer = {"Authorization": f"Bearer {token}"}
    assert ask(site, "/v1/reload", "POST", **bearer).json["generation"] == 2
    assert as_user(OTHER, BY_TCP, str(site.port), "GET", "/v1/status") == "401\n"
    assert as_user("nobody", BY_TCP, str(site.port), "GET", "/v1/status") == "401\n"
    assert as_user(OTHER, BY_SOCKET, str(run / "admin.sock")) == "refused\n"
    assert as_user("nobody", BY_SOCKET, str(run / "admin.sock")) == "refused\n"
    assert as_user(OTHER, BY_SOCKET, str(run / "dashboard.sock")) == "refused\n"
    assert "403" in as_user("nobody", BY_SOCKET, str(run / "dashboard.sock")), "the edge's own user, but not in its name"
    until(lambda: '"action":"reload","by":"token ci"' in (site.logs / "audit.log").read_text())
    assert owner(site.logs / "audit.log") == ("nobody", 0o640)
    assert token not in (site.logs / "audit.log").read_text()
    site.down()
    assert not list(run.glob("*.sock"))


def test_a_users_gapura_is_that_users(others: Site) -> None:
    site = others
    of_nobody(site)
    site.configure(section('sites."shop.test"', respond="a shop"), proxy="")
    site.up()
    run = site.folder / ".gapura"
    assert {owner(run / f"{name}.sock") for name in ("admin", "dashboard")} == {("nobody", 0o600)}
    assert ask(site).json["rights"] == "full"
    assert ask(site, "/v1/reload", "POST").json["generation"] == 2
    assert as_user("nobody", BY_TCP, str(site.port), "POST", "/v1/reload") == "200\n"
    assert as_user(OTHER, BY_TCP, str(site.port), "POST", "/v1/reload") == "401\n"
    assert as_user(OTHER, BY_TCP, str(site.port), "GET", "/v1/status") == "401\n"
    assert as_user(OTHER, BY_SOCKET, str(run / "admin.sock")) == "refused\n"
    (run / "admin.sock").chmod(0o666)
    assert "200" not in as_user(OTHER, BY_SOCKET, str(run / "admin.sock")), "the kernel is asked, not only the file's mode"
    assert "200 OK" in as_user("nobody", BY_SOCKET, str(run / "admin.sock"))
    site.down()


def test_links_in_the_place_of_sockets_lead_nowhere(site: Site) -> None:
    site.configure(proxy="")
    run = site.folder / ".gapura"
    run.mkdir(mode=0o700)
    victim = site.folder / "victim"
    victim.write_text("precious")
    for name in ("admin", "dashboard"):
        (run / f"{name}.sock").symlink_to(victim)
    (run / "lib").mkdir(mode=0o700)
    (run / "lib" / "tokens.json").symlink_to(victim)
    site.up()
    assert all(stat.S_ISSOCK((run / f"{name}.sock").lstat().st_mode) for name in ("admin", "dashboard"))
    assert ask(site).status == 200
    site.gapura("token", "create", "a")
    assert victim.read_text() == "precious"
    assert stat.S_IMODE((run / "lib" / "tokens.json").lstat().st_mode) == 0o600
    site.down()


# -- tokens -----------------------------------------------------------------------------------------------------------------------


def test_a_tokens_life(site: Site) -> None:
    site.configure(section("admin", loopback="none"), proxy="")
    site.up()
    assert ask(site, "/v1/status").status == 401
    made = site.gapura("token", "create", "grafana")
    token = made.stdout.strip()
    assert token.startswith("gapura_")
    assert "may read" in made.stderr
    bearer = {"Authorization": f"Bearer {token}"}
    assert ask(site, "/v1/status", **bearer).status == 200
    assert ask(site, "/v1/reload", "POST", **bearer).status == 403
    assert "grafana" in site.gapura("token", "list").stdout
    kept = site.folder / ".gapura" / "lib" / "tokens.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    for file in (kept, *site.logs.glob("*.log"), site.folder / ".gapura" / "state.json"):
        assert token not in file.read_text()
    session = ask(site, "/v1/session", "POST", {"token": token})
    cookie = {"Cookie": session.fields["set-cookie"].partition(";")[0]}
    assert ask(site, "/v1/status", **cookie).status == 200
    site.gapura("token", "revoke", "grafana")
    assert ask(site, "/v1/status", **bearer).status == 401
    assert ask(site, "/v1/status", **cookie).status == 401
    site.down()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("create", "a b"), 2, "cannot be the name of a token"),
        (("create", "../../etc/passwd"), 2, "cannot be the name of a token"),
        (("create", "-x"), 2, "No such option"),
        (("create", "x" * 100), 2, "cannot be the name of a token"),
        (("create", "x", "--role", "root"), 2, "Invalid value for '--role'"),
        (("create", "x", "--days", "-1"), 2, "Invalid value for '--days'"),
        (("create", "x", "--days", "nan"), 2, "days"),
        (("create", "x", "--days", "1e9"), 2, "Invalid value for '--days'"),
        (("create",), 2, "Missing argument"),
        (("revoke", "nobody"), 1, "there is no token nobody"),
        (("revoke",), 2, "Missing argument"),
        (("make", "x"), 2, "No such command"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, tuple) else None,
)
def test_bad_words(shared: Site, words: tuple[str, ...], status: int, said: str) -> None:
    done = shared.gapura("token", *words, check=False)
    assert (done.returncode, said in done.stderr) == (status, True), done.stderr


def test_gapura_dashboard_logs_one_browser_in(shared: Site) -> None:
    made = json.loads(shared.gapura("dashboard", "--json").stdout)
    url, _, code = made["url"].partition("#")
    assert url == f"http://{HERE}:{shared.port}/v1/login"
    page = ask(shared, "/v1/login", Sec_Fetch_Site="none", Sec_Fetch_Mode="navigate")
    assert "script-src 'sha256-" in page.fields["content-security-policy"]
    session = ask(shared, "/v1/session", "POST", {"token": code})
    assert session.json["rights"] == "full"
    cookie = {"Cookie": session.fields["set-cookie"].partition(";")[0]}
    assert ask(shared, "/v1/reload", "POST", **cookie).status == 200
    assert ask(shared, "/v1/session", "POST", {"token": code}).status == 401
    assert ask(shared, "/v1/session", "DELETE", **cookie).status == 204
    assert ask(shared, "/v1/me", **cookie).json["session"] is False


# -- what dies --------------------------------------------------------------------------------------------------------------------


def test_the_api_outlives_control(site: Site) -> None:
    """Killed with an answer under way: it breaks off, and who asks next gets an answer from the next control."""
    site.configure(section('sites."shop.test"', respond="a shop"), proxy="")
    site.up()
    stream = Stream(site)
    stream.until(b"event: picture")
    before = site.status()["control"]["pid"]
    os.kill(before, signal.SIGKILL)
    assert stream.ends()
    assert ask(site).status == 200
    assert site.status()["control"]["pid"] != before
    assert visit(site.port).status == 200
    site.down()


def test_without_a_master_it_tells_what_it_can(site: Site) -> None:
    site.configure(section('sites."shop.test"', respond="a shop"), section("admin", loopback="full"), proxy="")
    site.up()
    token = site.gapura("token", "create", "ci", "--role", "full").stdout.strip()
    bearer = {"Authorization": f"Bearer {token}"}
    assert ask(site, **bearer).json["user"] == "token ci"
    master = site.status()["master"]["pid"]
    os.kill(master, signal.SIGKILL)
    until(lambda: not alive(master))
    until(lambda: ask(site, "/v1/reload", "POST", **bearer).status == 503)
    said = ask(site, "/v1/reload", "POST", **bearer)
    assert "gapura up" in said.json["hint"]
    assert ask(site, **bearer).json["user"] == "token ci"
    assert knock(site).status == 200
    site.up()
    assert ask(site, "/v1/reload", "POST", **bearer).status == 200
    assert knock(site).status == 200
    site.gapura("up", "-d")
    assert ask(site, "/v1/reload", "POST", **bearer).status == 200
    site.down()


def test_many_viewers_are_no_load(site: Site) -> None:
    """200 pages that stay open: so many as are allowed are served, the others told; control stays, and others get in."""
    site.configure(section('sites."shop.test"', respond="a shop"), proxy="")
    site.up()
    control = site.status()["control"]["pid"]
    streams = [Stream(site) for _ in range(200)]
    try:
        served = [stream for stream in streams if stream.served()]
        assert 50 <= len(served) < 200
        for stream in served:
            stream.until(b"event: tick")
        assert ask(site, "/v1/status").status == 200
    finally:
        for stream in streams:
            stream.close()
    again = Stream(site)
    until(lambda: again.served() or again.again(), what="those that left have made room")
    again.close()
    assert site.status()["control"]["pid"] == control
    site.down()


def test_a_state_folder_that_was_deleted_comes_back_with_its_sockets(site: Site) -> None:
    site.configure(proxy="")
    site.up()
    assert knock(site).status == 200
    shutil.rmtree(site.folder / ".gapura")
    until((site.folder / ".gapura" / "admin.sock").exists)
    assert knock(site).status == 200
    assert ask(site).status == 200
    site.down()


def test_a_long_path(site: Site, tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100) / "y"
    deep.mkdir(parents=True)
    far = Site(deep)
    try:
        far.configure(proxy="")
        far.up()
        assert ask(far).status == 200
        far.down()
    finally:
        far.sweep()


def test_a_port_of_its_own(site: Site) -> None:
    port = Site(site.folder).port
    site.configure(section("admin", listen=port), proxy="")
    site.up()
    until(lambda: answers(site, port))
    assert ask(site, port=port, Host=f"127.0.0.1:{port}").json["rights"] in ("read", "full")
    assert ask(site, port=port, Host="evil.test").status == 421
    assert ask(site, "/v1/status", port=port, Host=f"localhost:{port}", Origin="http://evil.test").status == 403
    site.up()
    until(lambda: answers(site, port), what="the new control has the port")
    site.configure(section("admin", dashboard=True), proxy="")
    site.gapura("reload")
    until(lambda: not answers(site, port))
    site.down()


def answers(site: Site, port: int) -> bool:
    try:
        return ask(site, port=port, Host=f"localhost:{port}").status == 200
    except OSError:
        return False


class Stream:
    """An answer that goes on."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._begin()

    def _begin(self) -> None:
        self._sock = socket.create_connection(("127.0.0.1", self._site.port), timeout=60)
        self._sock.sendall(b"GET /v1/live HTTP/1.1\r\nHost: gapura.localhost\r\nAccept: text/event-stream\r\n\r\n")
        self._seen = b""

    def served(self) -> bool:
        """Whether there is room for it; if not, it is told so."""
        while b"\r\n" not in self._seen:
            data = self._sock.recv(1 << 16)
            assert data
            self._seen += data
        status = int(self._seen.split()[1])
        assert status in (200, 429, 503)
        return status == 200

    def again(self) -> None:
        """Try once more."""
        self.close()
        self._begin()

    def until(self, text: bytes) -> None:
        """Read until it has said this."""
        while text not in self._seen:
            data = self._sock.recv(1 << 16)
            assert data, self._seen[-500:]
            self._seen = self._seen[-100:] + data

    def ends(self) -> bool:
        """Read to its end, whichever way it ends."""
        try:
            while self._sock.recv(1 << 16):
                pass
        except ConnectionResetError:
            pass
        self._sock.close()
        return True

    def close(self) -> None:
        self._sock.close()


def owner(path: Path) -> tuple[str, int]:
    facts = path.lstat()
    return pwd.getpwuid(facts.st_uid).pw_name, stat.S_IMODE(facts.st_mode)
