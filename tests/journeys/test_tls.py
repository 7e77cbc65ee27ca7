"""TLS with real workers and real programs: sessions that any worker takes up again, certificates that change under load."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import sys
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
    for number in range(4):
        authority = Authority(tmp_path)
        authority.issue("a.example")
        site.gapura("reload")
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for _ in range(30):
            visit(port, context)
        der = ssl.get_server_certificate(("127.0.0.1", port))
        serials.add(der)
        assert number < 4
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


def test_mozilla_intermediate(port: int, tmp_path: Path) -> None:
    sslyze = shutil.which("sslyze") or shutil.which("sslyze", path=str(Path(sys.executable).parent))
    if sslyze is None:
        pytest.skip("sslyze is not installed")
    scan = [sslyze, "--certinfo_ca_file", str(tmp_path / "Test-CA.pem"), "--mozilla_config", "intermediate", "--sni", "a.example"]
    said = subprocess.run([*scan, f"127.0.0.1:{port}"], capture_output=True, check=False, timeout=280).stdout
    assert b"OK - Compliant" in said, said.decode()[-2000:]
