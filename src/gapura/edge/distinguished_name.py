"""The subject of a certificate as text (RFC 4514), as nginx writes $ssl_client_s_dn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_SHORT: Final = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}


def distinguished_name(certificate: Mapping[str, Any]) -> str:
    """The subject of what `ssl.SSLObject.getpeercert` gives, the last part first; "" when there is none.

    It holds nothing but printable ASCII, whatever stands in the certificate: it may go into headers and logs.
    """
    parts = [
        "+".join(f"{_SHORT.get(kind, kind)}={_escaped(value)}" for kind, value in part) for part in certificate.get("subject", ())
    ]
    return ",".join(reversed(parts))


def _escaped(value: str) -> str:
    """A value as RFC 4514 §2.4 wants it, characters beyond ASCII as bytes in hexadecimal."""
    out = []
    for character in value:
        if character in '",+;<>\\=':
            out.append("\\" + character)
        elif " " <= character <= "~":
            out.append(character)
        else:
            out += [f"\\{byte:02X}" for byte in character.encode()]
    text = "".join(out)
    if text[:1] in ("#", " "):
        text = "\\" + text
    return text[:-1] + "\\ " if text.endswith(" ") and not text.endswith("\\ ") else text
