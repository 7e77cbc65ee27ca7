"""Addresses and host names as text: what is written in the file, checked and put into one form. Asks no network."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from .plan import join_address
from .words import shown

_NAME: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*", re.ASCII)
_PORT: Final = re.compile(r"[0-9]{1,5}", re.ASCII)
_MADE_UP: Final = ("localhost", "local", "internal", "lan", "home", "test", "arpa", "intranet", "corp", "private")
"""Last labels of names that no public DNS answers (RFC 6761, 6762, 8375 and habit)."""


class AddressError(ValueError):
    """An address that cannot be used; `hint` says what to write instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens: `host` (numeric or a DNS name) and `port`, or the `path` of a UNIX socket."""

    host: str
    port: int
    path: str = ""

    @property
    def numeric(self) -> bool:
        """Whether no DNS is needed."""
        return bool(self.path) or is_numeric(self.host)

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path else join_address(self.host, self.port)


def is_numeric(host: str) -> bool:
    """Whether `host` is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_private(host: str) -> bool:
    """Whether a numeric address is loopback, private or link-local: nobody else's server (RFC 1918, 4193, 6598)."""
    address = ipaddress.ip_address(host)
    return address.is_private or address.is_loopback or address.is_link_local or address in ipaddress.ip_network("100.64.0.0/10")


def is_loopback(host: str) -> bool:
    """Whether a numeric address always leads to this machine itself; "" (a unix socket, a name without address) does not."""
    address = ipaddress.ip_address(host) if host else None
    return address is not None and (address.is_loopback or address.is_unspecified)


def is_made_up(name: str) -> bool:
    """Whether a DNS name can only be known at home: without a dot, or below a label reserved for that."""
    return "." not in name or name.rsplit(".", 1)[1] in _MADE_UP


def port_number(text: str) -> int:
    """A port from 1 to 65535. Raises AddressError."""
    number = int(text) if _PORT.fullmatch(text) else 0
    if not 1 <= number <= 65535:
        more = 'weight and the like stand beside: { address = "HOST:PORT", weight = 2 }'
        raise AddressError(f'"{shown(text)}" is not a port', more if "=" in text else "a port is a number from 1 to 65535")
    return number


def split_port(text: str) -> tuple[str, str]:
    """`host:port`, `[v6]:port`, `host` into host and port ("" when there is none). Raises AddressError."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise AddressError(f'"{shown(text)}" is not an address', 'IPv6 with a port is written "[::1]:3000"')
        return host, rest[1:]
    if text.count(":") > 1 and is_numeric(text):
        return text, ""
    host, _, port = text.partition(":")
    return host, port


def canonical_host(host: str) -> str:
    """A numeric address in its shortest form or a DNS name in lower case. Raises AddressError."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        if "%" in host:
            raise AddressError(f'"{shown(host)}" has a zone', "leave out what follows %")
        return str(address)
    name = ascii_name(host)
    if re.fullmatch(r"[0-9.]+", name):
        raise AddressError(f'"{shown(host)}" is not an IPv4 address', 'four numbers from 0 to 255, as in "10.0.0.1"')
    return name


def ascii_name(host: str) -> str:
    """A DNS name in lower case, letters of other alphabets as punycode (RFC 3490). Raises AddressError."""
    name = host.lower().removesuffix(".")
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            raise AddressError(f'"{shown(host)}" is not a host name', "letters, digits, - and . only") from None
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise AddressError(f'"{shown(host)}" is not a host name', "letters, digits, - and . only")
    return name


def parse_server(text: str) -> Address:
    """A server of an upstream: `host:port`, `[v6]:port`, `host` (port 80, as nginx), `unix:/path`. Raises AddressError."""
    if "://" in text:
        bare = text.split("://", 1)[1].rstrip("/")
        raise AddressError(f'"{shown(text)}" is a URL, not an address', f'write "{shown(bare)}"')
    if text.startswith("unix:"):
        return Address("", 0, socket_path(text[5:]))
    if "/" in text:
        raise AddressError(f'"{shown(text)}" is not an address', 'write "host:port", or "unix:/path" for a UNIX socket')
    host, port = split_port(text)
    if not host:
        raise AddressError(f'"{shown(text)}" has no host', 'write "localhost:3000"')
    if not port and text.endswith(":"):
        raise AddressError(f'"{shown(text)}" has no port after the colon', f'write "{shown(host)}:3000"')
    return Address(canonical_host(host), port_number(port) if port else 80)


def socket_path(path: str) -> str:
    """The path of a UNIX socket (unix(7): at most 107 bytes). Raises AddressError."""
    if not path.startswith("/"):
        raise AddressError("a UNIX socket needs a whole path", 'write "unix:/run/app.sock"')
    if not path.isprintable() or len(path.encode()) > 107:
        raise AddressError("the path of a UNIX socket is too long or has control characters", "at most 107 bytes")
    return path


def parse_listener(value: object) -> list[tuple[str, int]]:
    """`8080`, `"8080"` (both: IPv4 and IPv6), `"127.0.0.1:8080"`, `"[::1]:8080"`, `"*:8080"`. Raises AddressError."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise AddressError("a listener is a port or an address with a port", '8080, "127.0.0.1:8080" or a list of them')
    if "://" in value:
        raise AddressError(f'"{shown(value)}" is a URL, not an address', 'write 8080 or "127.0.0.1:8080"')
    text = value if ":" in value or "." in value else f"*:{value}"
    host, port = split_port(text)
    number = port_number(port)
    if host in ("*", ""):
        return [("0.0.0.0", number), ("::", number)]
    if host == "localhost":
        return [("127.0.0.1", number), ("::1", number)]
    if not is_numeric(host):
        raise AddressError(
            f'"{shown(host)}" is a name; listeners are numeric', "write the address of this machine, or only the port"
        )
    return [(canonical_host(host), number)]


def site_host(text: str) -> str:
    """A site's host: `example.com`, `*.example.com`, `*`, `10.0.0.5`, `[::1]`; lower case. Raises AddressError."""
    if text == "*":
        return text
    plain = text
    if "://" in plain:
        plain = plain.split("://", 1)[1]
    plain = plain.split("/", 1)[0]
    host = plain
    if not is_numeric(plain):
        host = split_port(plain)[0]
    if plain != text or (host != plain and f"[{host}]" != plain):
        raise AddressError(f'"{shown(text)}" is not a host name', f"write just {shown(host)}" if host else "write just the name")
    if is_numeric(host):
        return join_address(canonical_host(host), 0).rpartition(":")[0]
    if host.startswith("*."):
        return "*." + ascii_name(host[2:])
    if "*" in host:
        raise AddressError(f'"{shown(text)}": a star stands only at the front', 'write "*.example.com", or "*" for all the rest')
    return ascii_name(host)


def network(text: str) -> str:
    """A network for `trusted_proxies`: `10.0.0.0/8`, `127.0.0.1`, `fd00::/8`. Raises AddressError."""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise AddressError(f'"{shown(text)}" is not a network', 'write "10.0.0.0/8" or "127.0.0.1"') from None
