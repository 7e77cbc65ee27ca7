"""TLS with real workers and real programs: sessions that any worker takes up again, certificates that change under load."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from tests.authority import Authority
from tests.conftest import peer

from .harness.site import Site, free_port, section


@pytest.fixture
def port(site: Site, tmp_path: Path) -> int:
    """The HTTPS port of a running Gapura with two workers and the site a.example."""
    port = free_port()
    certificate, key = Authority(tmp_path).issue("a.example")
    edge = section("edge", http=f"127.0.0.1:{site.port}", https=f"127.0.0.1:{port}", workers=2)
    tls = section('sites."a.example".tls', certificate=str(certificate), key=str(key))
    site.write(edge + section('sites."a.example"', respond="hello") + tls)
    site.up()
    return port


def visit(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> tuple[bool, ssl.SSLSession | None, int]:
    """Whether the session was taken up again, the one to go on with, and the serial number of the certificate."""
    with (
        socket.create_connection(("127.0.0.1", port), 10) as sock,
        context.wrap_socket(sock, server_hostname="a.example", session=session) as tls,
    ):
        tls.sendall(b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
        answer = b""
        while data := tls.recv(65536):
            answer += data
        assert answer.startswith(b"HTTP/1.1 200 ")
        certificate = tls.getpeercert() or {}
        return bool(tls.session_reused), tls.session, int(str(certificate.get("serialNumber", "0")), 16)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_any_worker_takes_a_session_up_again(port: int, tmp_path: Path, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context(cafile=str(tmp_path / "Test-CA.pem"))
    context.minimum_version = context.maximum_version = version
    seen: Counter[bool] = Counter()
    session = None
    for _ in range(24):  # all by one of two workers: once in eight million times
        reused, session, _ = visit(port, context, session)
        seen[reused] += 1
    assert seen == {False: 1, True: 23}


def test_certificates_change_and_the_configuration_reloads_under_load(port: int, site: Site, tmp_path: Path) -> None:
    serials = set()
    for _ in range(3):
        authority = Authority(tmp_path)
        authority.issue("a.example")
        site.gapura("reload")
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for _ in range(10):
            visit(port, context)
        der = ssl.get_server_certificate(("127.0.0.1", port))
        serials.add(der)
    assert len(serials) >= 2


def test_curl_and_openssl(port: int, tmp_path: Path) -> None:
    authority = tmp_path / "Test-CA.pem"
    curl = [
        peer("curl"),
        "-sS",
        "--cacert",
        str(authority),
        "--resolve",
        f"a.example:{port}:127.0.0.1",
        f"https://a.example:{port}/",
    ]
    assert subprocess.run(curl, capture_output=True, check=True, timeout=90).stdout == b"hello"
    ask = [peer("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "a.example", "-CAfile", str(authority)]
    said = subprocess.run(ask, input=b"", capture_output=True, check=False, timeout=90).stdout
    assert b"Verify return code: 0 (ok)" in said


def speaks(port: int, *words: str) -> bool:
    """Whether OpenSSL's client comes to an end of its handshake when it offers this and nothing else."""
    command = [peer("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "a.example", *words]
    said = subprocess.run(command, input=b"", capture_output=True, check=False, timeout=90)
    return b"Cipher is (NONE)" not in said.stdout and b"Cipher is " in said.stdout


def taken(port: int, suite: str) -> bool:
    """Whether a handshake of TLS 1.2 with this suite succeeds."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{suite}:@SECLEVEL=0")
    try:
        with socket.create_connection(("127.0.0.1", port), 60) as sock, context.wrap_socket(sock, server_hostname="a.example"):
            return True
    except (ssl.SSLError, ConnectionError):
        return False


def test_mozilla_intermediate(port: int) -> None:
    """Versions, suites and groups of Mozilla's server side TLS guidelines 5.7, "intermediate", for a key on a curve."""
    old = "DEFAULT:@SECLEVEL=0"
    versions = {word: speaks(port, word, "-cipher", old) for word in ("-tls1", "-tls1_1", "-tls1_2")}
    assert versions == {"-tls1": False, "-tls1_1": False, "-tls1_2": True}
    groups = {name: speaks(port, "-tls1_3", "-groups", name) for name in ("X25519", "P-256", "P-384", "P-521", "X448", "ffdhe2048")}
    assert [name for name, spoken in groups.items() if spoken] == ["X25519", "P-256", "P-384"]
    all_suites = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    all_suites.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    names = [str(suite["name"]) for suite in all_suites.get_ciphers() if suite["protocol"] != "TLSv1.3"]
    assert len(names) > 50
    ciphers = "AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"
    assert {name for name in names if taken(port, name)} == {f"ECDHE-ECDSA-{cipher}" for cipher in ciphers}
    modern = {word: speaks(port, "-tls1_3", "-ciphersuites", word) for word in ("TLS_AES_128_GCM_SHA256", "TLS_AES_128_CCM_SHA256")}
    assert modern == {"TLS_AES_128_GCM_SHA256": True, "TLS_AES_128_CCM_SHA256": False}
