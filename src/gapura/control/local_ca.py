"""The local certificate authority: it vouches for names that no public one can, on machines where `gapura trust` was run.

Only the child that issues imports this module, and `gapura trust`.
"""

from __future__ import annotations

import datetime
import ipaddress
import socket
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ROOT_DAYS: Final = 3652
LEAF_DAYS: Final = 90
_EARLIER: Final = datetime.timedelta(hours=1)
"""Certificates begin a little in the past, for clocks that go slow."""

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Pair(NamedTuple):
    """A certificate (a chain, for ACME) and its key, as PEM."""

    certificate: str
    key: str


def new_key(kind: str = "ecdsa") -> PrivateKey:
    """A key for a certificate: ECDSA P-256, or RSA with 2048 bits."""
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: PrivateKey) -> str:
    """A key as PEM (PKCS #8), without a passphrase."""
    no_passphrase = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no_passphrase).decode()


def make_root(now: datetime.datetime) -> Pair:
    """A new authority, for ten years. Its name tells on which machine it was made."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Gapura"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Gapura local CA, {socket.gethostname()[:32]} {now:%Y-%m-%d}"),
        ]
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + datetime.timedelta(days=ROOT_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(_pem(certificate), key_pem(key))


def issue(root: Pair, host: str, kind: str, now: datetime.datetime) -> Pair:
    """A certificate for one host (`*.` in front, or an address), for 90 days, not beyond the root's own end.

    Raises ValueError when the root is no usable pair.
    """
    authority = x509.load_pem_x509_certificate(root.certificate.encode())
    signer = serialization.load_pem_private_key(root.key.encode(), password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey) or signer.public_key() != authority.public_key():
        raise ValueError("the local CA's key does not belong to its certificate")
    until = min(now + datetime.timedelta(days=LEAF_DAYS), authority.not_valid_after_utc)
    if until <= now:
        raise ValueError("the local CA has expired")
    key = new_key(kind)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Gapura local certificate")]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False, enciphers=kind == "rsa"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return Pair(_pem(certificate), key_pem(key))


def expires(pem: str) -> datetime.datetime:
    """When the first certificate of a PEM text ends. Raises ValueError."""
    return x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc


def fingerprint(pem: str) -> str:
    """SHA-256 of a certificate, in hexadecimal: what trust stores show. Raises ValueError."""
    return x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA256()).hex()


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return x509.DNSName(host)


def _usage(signs_certificates: bool, enciphers: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=enciphers,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
