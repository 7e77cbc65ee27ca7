"""What a log does not tell: secrets in query strings (CWE-532), and who exactly asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from gapura.wire.target import PERCENT, unquoted

Mask = Callable[[bytes], bytes]

HIDDEN: Final = b"***"
_NAMED: Final = re.compile(rb"(?<=[?&;#])([^=&;#? ]+)=(?=[^&;# ])")
_VALUE: Final = re.compile(rb"[^&;# ]+")
_NAMES: Final = re.compile(rb"[?&;#]([^=&;#? ]*)")
_SEPARATORS: Final = bytes.maketrans(b"?;#", b"&&&")
_REMEMBERED: Final = 4096
"""Names of parameters known to be no secrets, none longer than `_LONGEST`: clients choose them."""
_LONGEST: Final = 64
_PARTS: Final = re.compile(rb"[\[\].]+")


def masking(names: Iterable[str]) -> Mask:
    """A function that replaces the values of these parameters in a URL, or in a text with one, by `***`.

    Names are compared without regard to case and percent-encoding; `user[password]` and `user.password` count as `password`.
    What stands before the first `?` stays as it is.
    """
    wanted = frozenset(name.lower().encode() for name in names)

    def secret(name: bytes) -> bool:
        plain = name.lower()
        if PERCENT in plain:
            plain = unquoted(plain).lower()
        return plain in wanted or (_PARTS.search(plain) is not None and not wanted.isdisjoint(_PARTS.split(plain)))

    harmless: set[bytes] = set()

    def mask(text: bytes) -> bytes:
        _, mark, query = text.partition(b"?")
        if not mark:
            return text
        for pair in query.translate(_SEPARATORS).split(b"&"):  # most names were seen before: no regex for them
            if pair.partition(b"=")[0] not in harmless:
                break
        else:
            return text
        names = _NAMES.findall(text)
        if len(harmless) < _REMEMBERED:
            harmless.update(name for name in names if len(name) <= _LONGEST and not secret(name))
        return hide(text)

    def hide(text: bytes) -> bytes:
        """In one pass, however many URLs stand in each other: a value ends where the outermost one does."""
        kept: list[bytes] = []
        done = 0
        for match in _NAMED.finditer(text):
            end = match.end()
            if end > done and match[1] not in harmless and secret(match[1]) and (value := _VALUE.match(text, end)):
                kept += (text[done:end], HIDDEN)
                done = value.end()
        return b"".join((*kept, text[done:]))

    return mask


def anonymous(address: bytes) -> bytes:
    """An address without what tells one household from another: the last octet of IPv4, the last 80 bits of IPv6 become 0.

    The rest names a provider's network. An IPv4 address in an IPv6 one counts as IPv4; what is no address stays.
    """
    if b":" not in address:
        head, dot, _ = address.rpartition(b".")
        return head + b".0" if dot else address
    if b"." in address:
        return anonymous(address.rpartition(b":")[2])
    before, mark, after = address.partition(b"::")
    groups = before.split(b":") if before else []
    if mark:
        behind = after.split(b":") if after else []
        groups += [b"0"] * (8 - len(groups) - len(behind)) + behind
    kept = [group.lstrip(b"0") or b"0" for group in groups[:3]]
    while kept and kept[-1] == b"0":
        kept.pop()
    return b":".join(kept) + b"::"
