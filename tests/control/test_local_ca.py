from __future__ import annotations

import datetime
import ssl
import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from gapura.control import local_ca

from ..conftest import peer

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
DAY = datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def root() -> local_ca.Pair:
    return local_ca.make_root(NOW)


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
@pytest.mark.parametrize("host", ["app.localhost", "*.shop.test", "10.0.0.5", "[::1]", "router"])
def test_openssl_accepts_what_it_signs(root: local_ca.Pair, tmp_path: Path, host: str, kind: str) -> None:
    pair = local_ca.issue(root, host, kind, NOW)
    (tmp_path / "root.pem").write_text(root.certificate)
    (tmp_path / "leaf.pem").write_text(pair.certificate)
    (tmp_path / "key.pem").write_text(pair.key)
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(tmp_path / "leaf.pem", tmp_path / "key.pem")
    name = host.replace("*", "www").strip("[]")
    option = "-verify_ip" if name[0] in "1:" else "-verify_hostname"
    command = [peer("openssl"), "verify", "-x509_strict", "-purpose", "sslserver", option, name, "-CAfile", "root.pem", "leaf.pem"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_leaf_lasts_90_days_and_signs_nothing(root: local_ca.Pair) -> None:
    pair = local_ca.issue(root, "app.localhost", "ecdsa", NOW)
    assert local_ca.expires(pair.certificate) == NOW + 90 * DAY
    leaf = x509.load_pem_x509_certificate(pair.certificate.encode())
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert leaf.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign is False


def test_the_root_lasts_ten_years_and_has_nothing_below_but_leaves(root: local_ca.Pair) -> None:
    assert NOW + 3650 * DAY < local_ca.expires(root.certificate) < NOW + 3660 * DAY
    certificate = x509.load_pem_x509_certificate(root.certificate.encode())
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(True, 0)


def test_nothing_outlives_the_root(root: local_ca.Pair) -> None:
    late = local_ca.expires(root.certificate) - 5 * DAY
    assert local_ca.expires(local_ca.issue(root, "a.test", "ecdsa", late).certificate) == late + 5 * DAY
    with pytest.raises(ValueError, match="expired"):
        local_ca.issue(root, "a.test", "ecdsa", late + 6 * DAY)


def test_a_root_that_is_no_pair_signs_nothing(root: local_ca.Pair) -> None:
    other = local_ca.make_root(NOW)
    for broken in (root._replace(key=other.key), root._replace(certificate="x"), root._replace(key="x")):
        with pytest.raises(ValueError):  # noqa: PT011 # cryptography's own words
            local_ca.issue(broken, "a.test", "ecdsa", NOW)


def test_no_two_are_alike(root: local_ca.Pair) -> None:
    one, other = (local_ca.issue(root, "a.test", "ecdsa", NOW) for _ in range(2))
    assert one.key != other.key
    assert local_ca.fingerprint(one.certificate) != local_ca.fingerprint(other.certificate)
