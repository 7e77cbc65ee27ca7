"""Certificates that a configuration names: what is said about those that are no good."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tests.authority import Authority, write_key

from gapura.config.certificates import check_certificates
from gapura.config.findings import Findings
from gapura.config.load import load
from gapura.config.source import Sources


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


Said = Callable[[str], list[tuple[str, str]]]


@pytest.fixture
def said(tmp_path: Path) -> Said:
    """`said(tls)`: place and message of all that is said about a site a.example with this `tls`."""

    def check(tls: str) -> list[tuple[str, str]]:
        file = tmp_path / "gapura.toml"
        file.write_text(f'[sites."a.example"]\nrespond = "x"\ntls = {tls}\n')
        plan = load(str(file))
        findings = Findings(Sources(str(file)))
        check_certificates(findings, plan)
        said = [*findings.problems, *findings.warnings]
        assert all(problem.line == 3 and problem.hint for problem in said)
        return [("warning" if p.warning else "error", p.message.replace(str(tmp_path) + "/", "")) for p in said]

    return check


def test_a_good_one(authority: Authority, said: Said) -> None:
    authority.issue("a.example", "b.example", file="good")
    authority.issue("*.example", file="wild")
    assert said('{ certificate = "good.pem", key = "good.key" }') == []
    assert said('{ certificate = "wild.pem", key = "wild.key" }') == []
    assert said('{ certificate = "good.pem", key = "good.key", client_ca = "Test-CA.pem" }') == []
    both = authority.folder / "both.pem"
    both.write_bytes((authority.folder / "good.pem").read_bytes() + (authority.folder / "good.key").read_bytes())
    assert said('{ certificate = "both.pem" }') == []
    assert said('"auto"') == []


def make(authority: Authority) -> None:
    """Everything that is wrong in one way."""
    folder = authority.folder
    certificate, key = authority.issue("a.example", file="good")
    authority.issue("a.example", file="other")
    authority.issue("a.example", file="weak", key=rsa.generate_private_key(65537, 1024))
    authority.issue("a.example", file="expired", days=-2, age=30)
    authority.issue("a.example", file="future", days=30, age=-2)
    authority.issue("a.example", file="soon", days=3)
    authority.issue("b.example", "127.0.0.1", file="named")
    authority.issue(file="nameless")
    (folder / "empty.pem").write_bytes(b"")
    (folder / "text.pem").write_text("hello\n")
    (folder / "cut.pem").write_bytes(certificate.read_bytes()[:400])
    (folder / "long.pem").write_bytes(certificate.read_bytes() + bytes(1 << 20))
    (folder / "folder.pem").mkdir()
    os.mkfifo(folder / "pipe.pem")
    der = x509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(serialization.Encoding.DER)
    (folder / "der.pem").write_bytes(der)
    write_key(folder / "encrypted.key", ec.generate_private_key(ec.SECP256R1()), b"secret")
    key.with_name("bad.key").write_bytes(key.read_bytes().replace(b"M", b"N", 3))


CASES = [
    ("missing.pem", "good.key", "error", "there is no file missing.pem"),
    ("good.pem", "missing.key", "error", "there is no file missing.key"),
    ("good.pem", "other.key", "error", "other.key is not the key of good.pem"),
    ("good.pem", "good.pem", "error", "good.pem holds no key"),
    ("good.key", "good.pem", "error", "good.key holds no certificate"),
    ("good.pem", "encrypted.key", "error", "the key in encrypted.key is protected by a passphrase"),
    ("good.pem", "bad.key", "error", "good.pem with bad.key cannot be used"),
    ("empty.pem", "good.key", "error", "empty.pem holds no certificate"),
    ("text.pem", "good.key", "error", "text.pem holds no certificate"),
    ("der.pem", "good.key", "error", "der.pem holds no certificate"),
    ("cut.pem", "good.key", "error", "cut.pem with good.key cannot be used"),
    ("long.pem", "good.key", "error", "long.pem is longer than a megabyte"),
    ("folder.pem", "good.key", "error", "folder.pem is not a file"),
    ("pipe.pem", "good.key", "error", "pipe.pem is not a file"),
    ("weak.pem", "weak.key", "error", "the key of weak.pem is too short"),
    ("expired.pem", "expired.key", "warning", "the certificate has expired on "),
    ("future.pem", "future.key", "warning", "the certificate is valid only from "),
    ("soon.pem", "soon.key", "warning", "the certificate ends on "),
    ("named.pem", "named.key", "warning", "the certificate is not for a.example"),
    ("nameless.pem", "nameless.key", "warning", "the certificate is for no name at all"),
]


@pytest.mark.parametrize(("certificate", "key", "kind", "message"), CASES, ids=lambda value: value.replace(" ", "-")[:24])
def test_a_bad_one(authority: Authority, said: Said, certificate: str, key: str, kind: str, message: str) -> None:
    make(authority)
    found = said(f'{{ certificate = "{certificate}", key = "{key}" }}')
    assert len(found) == 1, found
    assert found[0][0] == kind
    assert found[0][1].startswith(message)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_one_that_may_not_be_read(authority: Authority, said: Said) -> None:
    _, key = authority.issue("a.example")
    key.chmod(0)
    assert said('{ certificate = "a.example.pem", key = "a.example.key" }') == [("error", "a.example.key may not be read")]


@pytest.mark.parametrize("file", ["missing.pem", "empty.pem", "good.key", "cut.pem", "folder.pem"])
def test_a_bad_ca(authority: Authority, said: Said, file: str) -> None:
    make(authority)
    found = said(f'{{ certificate = "good.pem", key = "good.key", client_ca = "{file}" }}')
    assert [kind for kind, _ in found] == ["error"]


def test_upstreams_and_many_sites_with_one_certificate(authority: Authority, tmp_path: Path) -> None:
    make(authority)
    file = tmp_path / "gapura.toml"
    sites = "".join(
        f'[sites."n{number}.example"]\nrespond = "x"\ntls = {{ certificate = "good.pem", key = "other.key" }}\n'
        for number in range(5)
    )
    file.write_text(
        '[upstreams.u]\nservers = "10.0.0.1"\ntls = { ca = "empty.pem", certificate = "good.pem", key = "other.key" }\n' + sites
    )
    findings = Findings(Sources(str(file)))
    check_certificates(findings, load(str(file)))
    assert sorted(problem.line for problem in findings.problems) == [3, 3, 6]
