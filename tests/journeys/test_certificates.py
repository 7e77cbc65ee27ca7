"""Certificates from end to end: a real authority looks for proof at Gapura's own port, real programs believe what it serves."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from tests.conftest import peer

from gapura.cli import main, trust

from .harness.authority import KEY_NAME, NameServer, Pebble, key_file
from .harness.client import visit
from .harness.proc import alive, children, until
from .harness.site import Site, free_port, section

HOST = "www.example.net"


class Secure:
    """A Gapura with HTTPS and an authority that looks at its HTTP port."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site = site
        self.https = free_port()
        self.names = NameServer()
        self.folder = folder
        self.authorities: list[Pebble] = []

    def authority(self, **environment: str) -> Pebble:
        """One more pebble, which is not started yet."""
        folder = self.folder / f"authority{len(self.authorities)}"
        self.authorities.append(Pebble(peer("pebble"), folder, self.names, self.site.port, **environment))
        return self.authorities[-1]

    def configure(self, *hosts: str, more: str = "", acme: dict[str, object] | None = None, **words: object) -> None:
        """Sites that say hello, with `tls = "auto"`; `acme` are words of `[edge.acme]`."""
        roots = self.folder / "roots.pem"
        roots.write_text("".join(one.root.read_text() for one in self.authorities))
        directories = [one.url for one in self.authorities] or ["https://127.0.0.1:1/dir"]
        parts = [
            section("edge", http=f"127.0.0.1:{self.site.port}", https=f"127.0.0.1:{self.https}", workers=2, user="root"),
            section("edge.acme", directories=directories, ca=str(roots), **(acme or {})),
            *(section(f'sites."{host}"', respond=f"hello from {host}", tls="auto", **words) for host in hosts),
        ]
        self.site.write("".join(parts) + more)

    def row(self, host: str = HOST) -> dict[str, Any]:
        """What `gapura certificates` knows of a host."""
        rows = json.loads(self.site.gapura("certificates", "--json").stdout)
        found: dict[str, Any] = next(row for row in rows if row["host"] == host)
        return found

    def await_source(self, source: str, host: str = HOST, within: float = 90.0) -> None:
        """Wait until a host has a certificate from there."""

        def there(status: dict[str, Any]) -> bool:
            return any(row["host"] == host and row["source"] == source for row in status["certificates"])

        self.site.wait(there, within=within)

    def shown(self, host: str = HOST) -> bytes:
        """The certificate that is served for a name, b"" when there is none."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            sock = socket.create_connection(("127.0.0.1", self.https), 10)
            with sock, context.wrap_socket(sock, server_hostname=host) as tls:
                return tls.getpeercert(binary_form=True) or b""
        except (OSError, ssl.SSLError):
            return b""

    def await_another(self, before: bytes) -> None:
        """Wait until another certificate is served."""
        until(lambda: self.shown() not in (before, b""), 30, "the new certificate is served")

    def curl(self, host: str, ca: Path, *options: str) -> str:
        """What curl gets over HTTPS, verified with this root."""
        place = f"{host}:{self.https}:127.0.0.1"
        command = [peer("curl"), "-sS", "--max-time", "20", "--cacert", str(ca), "--resolve", place, *options]
        done = subprocess.run([*command, f"https://{host}:{self.https}/"], capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else done.stderr

    def greets(self, host: str, ca: Path) -> None:
        """Wait until curl gets the page: a worker that had no certificate a moment ago looks again after a second."""
        until(lambda: self.curl(host, ca) == f"hello from {host}", 20, self.curl(host, ca))

    def local_root(self) -> Path:
        return self.site.folder / ".gapura" / "lib" / "ca" / "root.pem"

    def close(self) -> None:
        for one in self.authorities:
            one.stop()
        self.names.close()


@pytest.fixture
def secure(site: Site, tmp_path: Path) -> Iterator[Secure]:
    one = Secure(site, tmp_path)
    yield one
    one.close()


def issuer_file(authority: Pebble) -> Path:
    path = authority.folder / "issuer.pem"
    path.write_text(authority.issuer())
    return path


def test_a_public_name_has_https_by_itself(secure: Secure) -> None:
    """Proof is found before redirects, access rules and routes. The start does not wait for it."""
    authority = secure.authority()
    authority.start()
    secure.configure(HOST, "shop.example.net", more=section('sites."plain.example.net"', respond="over HTTP"))
    secure.site.up(ready=False)
    for host in (HOST, "shop.example.net"):
        secure.await_source("acme", host)
    root = issuer_file(authority)
    until(lambda: secure.curl(HOST, root) == f"hello from {HOST}", 20)
    secure.greets("shop.example.net", root)
    table = secure.site.gapura("certificates").stdout
    assert re.search(rf"{HOST} +public +Pebble Intermediate CA \w+ +20\d\d-\d\d-\d\d \(\d+ d", table), table
    lib = secure.site.folder / ".gapura" / "lib"
    secrets = [*lib.rglob("key.pem"), *lib.rglob("accounts/*"), *lib.rglob("root-key.pem")]
    assert len(secrets) >= 3
    assert all(path.stat().st_mode & 0o077 == 0 for path in secrets)
    assert os.listdir(secure.site.folder / ".gapura" / "challenges") == []
    told = [secure.site.folder / ".gapura" / "state.json", *secure.site.logs.glob("*")]
    assert not any("PRIVATE KEY" in path.read_text(errors="replace") for path in told)
    assert "PRIVATE KEY" not in json.dumps(secure.site.status())
    secure.site.down()


def test_a_wildcard_has_https_by_dns(secure: Secure) -> None:
    authority = secure.authority()
    authority.start()
    update = {"server": secure.names.address, "key_name": KEY_NAME, "key_file": str(key_file(secure.folder))}
    secure.configure("*.example.net", acme={"dns": {"rfc2136": update}})
    secure.site.up(ready=False)
    secure.await_source("acme", "*.example.net")
    until(lambda: secure.curl("any.example.net", issuer_file(authority)) == "hello from *.example.net", 20)
    assert [update[0] for update in secure.names.updates] == ["add", "delete"]
    secure.site.down()


class Visitors:
    """Clients over TLS, each with kept connections and new ones; `outcomes` counts what became of their requests."""

    def __init__(self, port: int, host: str, count: int = 4) -> None:
        self.outcomes: Counter[str] = Counter()
        self._port, self._host = port, host
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._visit) for _ in range(count)]

    def __enter__(self) -> Visitors:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def reached(self, more: int) -> None:
        """Wait until there were so many more answers."""
        wanted = self.outcomes.total() + more
        until(lambda: self.outcomes.total() >= wanted, 30)

    def _visit(self) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        while not self._over.is_set():
            connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=60, context=context)
            try:
                connection.sock = None
                with socket.create_connection(("127.0.0.1", self._port), 20) as sock:
                    connection.sock = context.wrap_socket(sock, server_hostname=self._host)
                    for _ in range(5):
                        connection.request("GET", "/", headers={"Host": self._host})
                        answer = connection.getresponse()
                        answer.read()
                        self.outcomes[str(answer.status)] += 1
                        self._over.wait(0.005)
            except (OSError, http.client.HTTPException) as error:
                self.outcomes[repr(error)] += 1
            finally:
                connection.close()


def test_renewals_and_reloads_under_load_cost_no_request(secure: Secure) -> None:
    authority = secure.authority()
    authority.start()
    secure.configure(HOST)
    secure.site.up(ready=False)
    secure.await_source("acme")
    until(lambda: secure.curl(HOST, issuer_file(authority)).startswith("hello"), 20)
    with Visitors(secure.https, HOST) as visitors:
        visitors.reached(50)
        for number in range(2):
            before = secure.shown()
            secure.site.gapura("certificates", "--renew", HOST)
            secure.await_another(before)
            secure.configure(HOST, more=section(f'sites."more{number}.test"', respond="more", tls="auto"))
            secure.site.gapura("reload")
            visitors.reached(50)
    assert set(visitors.outcomes) == {"200"}, visitors.outcomes
    assert visitors.outcomes.total() > 150
    secure.site.down()


def test_an_order_outlives_control(secure: Secure) -> None:
    """Killed in the middle, it begins anew from the account that was kept; nothing of it is left behind."""
    authority = secure.authority(PEBBLE_VA_NOSLEEP="0", PEBBLE_VA_SLEEPTIME="3")
    authority.start()
    secure.configure(HOST)
    secure.site.up(ready=False)
    challenges = secure.site.folder / ".gapura" / "challenges"
    until(lambda: challenges.is_dir() and os.listdir(challenges), 20, "an order is under way")
    old = set(os.listdir(challenges))
    control = int(secure.site.status()["control"]["pid"])
    (child,) = children(control)
    os.kill(control, signal.SIGKILL)
    until(lambda: not alive(child), 5, "the child ends with control")
    secure.site.wait(lambda status: status["control"]["pid"] not in (None, control))
    until(lambda: not old & set(os.listdir(challenges)), 10, "the old challenge is forgotten")
    secure.await_source("acme", within=90)
    accounts = secure.site.folder / ".gapura" / "lib" / "accounts"
    assert len(os.listdir(accounts)) == 1
    assert authority.log().count("There are now 1 accounts") + authority.log().count("There are now 2 accounts") <= 1
    secure.site.down()


@pytest.mark.full
def test_the_child_that_hangs_with_a_killed_master_is_not_left(secure: Secure) -> None:
    authority = secure.authority(PEBBLE_VA_NOSLEEP="0", PEBBLE_VA_SLEEPTIME="3")
    authority.start()
    secure.configure(HOST)
    master = secure.site.foreground()
    challenges = secure.site.folder / ".gapura" / "challenges"
    until(lambda: challenges.is_dir() and os.listdir(challenges), 20, "an order is under way")
    (child,) = children(int(secure.site.status()["control"]["pid"]))
    master.kill()
    master.wait()
    until(lambda: not alive(child), 10, "nobody could write down what it gets")
    secure.site.up(ready=False)
    secure.await_source("acme", within=90)
    secure.site.down()


def test_a_name_that_is_not_ours_yet_is_served_locally_until_it_is(secure: Secure) -> None:
    secure.names.unknown.add(HOST)
    authority = secure.authority()
    authority.start()
    secure.configure(HOST)
    secure.site.up(ready=False)
    secure.site.wait(lambda status: status["certificates"] and status["certificates"][0]["problem"], within=90)
    secure.greets(HOST, secure.local_root())
    assert visit(secure.site.port, host=HOST).status == 200, "nobody is sent to a certificate that browsers warn of"
    row = secure.row()
    assert (row["source"], row["wanted"], row["failures"]) == ("local", "acme", 1)
    assert time.time() + 30 < row["next_try"] < time.time() + 100
    assert HOST in row["problem"]
    assert row["problem"] in secure.site.gapura("certificates").stdout
    secure.site.up(ready=False)  # a new master and a new control
    secure.site.wait(lambda status: status["certificates"], within=90)
    after = secure.row()
    assert (after["failures"], after["next_try"]) == (1, row["next_try"]), "a restart does not hammer the authority"
    secure.names.unknown.clear()
    secure.site.gapura("certificates", "--renew", "all")
    secure.await_source("acme")
    assert secure.row()["problem"] == ""
    until(lambda: visit(secure.site.port, host=HOST).status == 301, 20)
    secure.site.down()


@pytest.mark.full
def test_the_second_authority_helps_when_the_first_is_down(secure: Secure) -> None:
    first, second = secure.authority(), secure.authority()
    second.start()
    secure.configure(HOST)
    assert first.url != second.url
    secure.site.up(ready=False)
    secure.await_source("acme")
    until(lambda: secure.curl(HOST, issuer_file(second)) == f"hello from {HOST}", 20)
    secure.site.down()


def test_without_any_authority_the_old_certificate_is_served(secure: Secure) -> None:
    authority = secure.authority()
    authority.start()
    secure.configure(HOST)
    secure.site.up(ready=False)
    secure.await_source("acme")
    root = issuer_file(authority)
    until(lambda: secure.curl(HOST, root) == f"hello from {HOST}", 20)
    authority.stop()
    secure.site.gapura("certificates", "--renew", HOST)
    secure.site.wait(lambda status: status["certificates"][0]["failures"] == 1, within=90)
    assert "connection refused" in secure.row()["problem"]
    assert secure.row()["source"] == "acme"
    secure.greets(HOST, root)
    secure.site.down()


# -- local names --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a system's store that `gapura trust` may change."""
    home, system, programs = tmp_path / "home", tmp_path / "system", tmp_path / "programs"
    for folder in (home, system, programs):
        folder.mkdir()
    update = programs / "update-ca-certificates"
    update.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/updated\n')
    update.chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(trust, "STORES", ((str(system), ".crt", ("update-ca-certificates",)),))
    return home


def test_local_names_have_https_that_curl_believes(secure: Secure) -> None:
    secure.configure("app.localhost", "shop.test", "nas.home.arpa", "shop.madeup")
    secure.site.up(ready=False)
    for host in ("app.localhost", "shop.test", "nas.home.arpa", "shop.madeup"):
        secure.greets(host, secure.local_root())
    assert "unable to get local issuer" in secure.curl("app.localhost", Path("/etc/ssl/certs/ca-certificates.crt"))
    secure.local_root().unlink()
    secure.configure("app.localhost", "another.test")
    secure.site.gapura("reload")
    until(lambda: secure.local_root().exists(), 20, "a new CA is made")
    until(lambda: secure.curl("app.localhost", secure.local_root()) == "hello from app.localhost", 20, "and signs all anew")
    secure.site.down()


def trust_it(secure: Secure, *options: str) -> int:
    return main.run(["trust", "-c", str(secure.site.file), *options])


def test_trust_says_what_it_did_and_undoes_it(secure: Secure, stores: Path, capsys: pytest.CaptureFixture[str]) -> None:
    peer("certutil")
    secure.configure("app.localhost")
    assert trust_it(secure) == 1
    assert "there is no local CA yet" in capsys.readouterr().err
    secure.site.up(ready=False)
    until(lambda: secure.local_root().exists(), 20)
    assert trust_it(secure, "--print") == 0
    assert capsys.readouterr().out == secure.local_root().read_text()
    assert trust_it(secure) == 0
    told = capsys.readouterr().out
    assert str(stores / ".pki" / "nssdb") in told
    (stored,) = (secure.folder / "system").iterdir()
    assert str(stored) in told
    assert stored.read_text() == secure.local_root().read_text()
    assert trust_it(secure) == 0
    assert "it was there already" in capsys.readouterr().out
    assert trust_it(secure, "--remove") == 0
    capsys.readouterr()
    assert list((secure.folder / "system").iterdir()) == []
    listed = subprocess.run([peer("certutil"), "-L", "-d", f"sql:{stores}/.pki/nssdb"], capture_output=True, text=True, check=True)
    assert "Gapura" not in listed.stdout
    secure.site.down()


def test_chromium_believes_it(secure: Secure, stores: Path, tmp_path: Path) -> None:
    chromium, _ = peer("chromium"), peer("certutil")
    secure.configure("app.localhost")
    secure.site.up(ready=False)
    until(lambda: all(secure.shown("app.localhost") for _ in range(16)), 20, "all workers have the certificate")

    def page(profile: str) -> str:
        quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
        inside = ["--headless", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        command = [chromium, *inside, *quiet, f"--user-data-dir={tmp_path / profile}"]
        url = f"https://app.localhost:{secure.https}/"
        done = subprocess.run([*command, "--dump-dom", url], capture_output=True, text=True, timeout=90, check=False)
        return done.stdout

    assert "hello from app.localhost" not in page("before")
    assert trust_it(secure) == 0
    assert "hello from app.localhost" in page("after")
    secure.site.down()


def test_what_is_asked_for_at_the_challenges_place_and_is_none_of_ours_goes_on(secure: Secure) -> None:
    secure.configure("app.localhost")
    secure.site.up(ready=False)
    for token in ("x" * 40, "../../gapura.toml", "%2e%2e%2f%2e%2e%2fgapura.toml", "..", "", "a" * 5000, "state.json", "\\..\\x"):
        command = [peer("curl"), "-s", "--path-as-is", "--max-time", "10", "-H", "Host: app.localhost"]
        url = f"http://127.0.0.1:{secure.site.port}/.well-known/acme-challenge/{token}"
        got = subprocess.run([*command, url], capture_output=True, text=True, check=False).stdout
        assert "directories" not in got
        assert "format" not in got
    secure.site.down()
