"""Request targets and hosts (RFC 9112 §3.2, RFC 3986).

A path is decoded once. The route is chosen, and a file opened, by the same path that is forwarded: dot segments are resolved
in both, in any spelling, while `%2F` stays what it is and never becomes a separator.
"""

from __future__ import annotations

import re
from typing import Final

from gapura.errors import ClientError

HOST: Final = re.compile(rb"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.\-]*[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]{2,45}\])(?::(\d{1,5})?)?\Z")
"""Host header: a registered name as DNS has them, IPv4 or IPv6 literal, an optional port. Narrower than RFC 3986 on purpose."""

_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})?")
_QUOTED: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_LIKE_SLASH: Final = re.compile(rb"%((?:25)*2F)")
PERCENT, QUESTION = 0x25, 0x3F
MAX_SEGMENTS: Final = 512


def host_name(host: bytes) -> bytes:
    """The name of a Host header in lower case, without port and trailing dot. Raises ClientError 400."""
    match = HOST.match(host)
    if not match or len(host) > 260 or (match[1] and int(match[1]) > 65535):
        raise ClientError(400, "The Host header is not a valid host name.")
    name = host[: match.start(1) - 1] if match[1] else host.rstrip(b":") if host[-1:] == b":" else host
    return name.lower().rstrip(b".")


def split_absolute(target: bytes) -> tuple[bytes, bytes]:
    """`http://host/path` -> (host, origin form). Raises ClientError 400 for other schemes and for user names."""
    scheme, mark, rest = target.partition(b"://")
    if not mark or scheme.lower() not in (b"http", b"https"):
        raise ClientError(400, "The request target is neither a path nor an http URL.")
    end = len(rest)
    for separator in (b"/", b"?"):
        found = rest.find(separator)
        if 0 <= found < end:
            end = found
    authority, path = rest[:end], rest[end:]
    if not authority or b"@" in authority:
        raise ClientError(400, "The request target names no valid host.")
    return authority, path if path[:1] == b"/" else b"/" + path


def unescape(path: bytes, keep_slash: bool = True) -> bytes:
    """Decode %XX once. `%2F` stays encoded unless `keep_slash` is false. Raises ClientError 400 for bad escapes and zero bytes.

    What only looks like an encoded slash after decoding (`%252F`) keeps its `%25`, so that nobody takes one for the other.
    """
    if 0 in path:
        raise ClientError(400, "The path holds a zero byte.")

    def one(match: re.Match[bytes]) -> bytes:
        digits = match[1]
        if digits is None:
            raise ClientError(400, "The path holds a percent sign that is not followed by two hexadecimal digits.")
        byte = int(digits, 16)
        if byte == 0:
            raise ClientError(400, "The path holds a zero byte.")
        if byte == 0x2F and keep_slash:
            return b"\0"
        return bytes((byte,))

    plain = _ESCAPE.sub(one, path)
    if not keep_slash:
        return plain
    if PERCENT in plain:
        plain = _LIKE_SLASH.sub(rb"%25\1", plain)
    return plain.replace(b"\0", b"%2F")


def unquoted(text: bytes) -> bytes:
    """Every %XX decoded once, a slash too; what is no escape stays as it is. For arguments and logs: a path wants `unescape`."""
    return _QUOTED.sub(lambda match: bytes((int(match[1], 16),)), text) if PERCENT in text else text


def resolve(target: bytes) -> tuple[bytes, bytes]:
    """Origin-form target -> (path to match on, target to forward).

    The usual target, without escapes and dot segments, comes back as it is. Raises ClientError 400 for bad escapes and for
    paths that climb above the root.
    """
    path, mark, query = target.partition(b"?")
    if PERCENT not in path and path.find(b"/.") < 0:
        return path, target
    plain = unescape(path)
    if b"/." not in plain:
        return plain, target
    kept: list[bytes] = []
    segments = path[1:].split(b"/")
    if len(segments) > MAX_SEGMENTS:
        raise ClientError(400, "The path has too many segments.")
    last = b""
    for segment in segments:
        last = unescape(segment)
        if last == b"..":
            if not kept:
                raise ClientError(400, "The path climbs above the root.")
            kept.pop()
        elif last != b".":
            kept.append(segment)
    if last in (b".", b".."):
        kept.append(b"")
    path = b"/" + b"/".join(kept)
    return unescape(path), path + mark + query
