"""Files of names and password hashes, as Apache's htpasswd writes them: taken apart, and what is wrong with them.

The edge reads the same files, so this imports nothing but the standard library.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MAX_COST: Final = 15
"""Highest cost of bcrypt that is taken: some 3 seconds for each password."""
MAX_ROUNDS: Final = 500_000
"""Most rounds of SHA-crypt that are taken."""

BCRYPT, APACHE, SHA1, CRYPT = "bcrypt", "apache", "sha1", "crypt"
"""Families of hashes: $2b$; $apr1$ and $1$; {SHA} and {SSHA}; those of the system's crypt(3), $5$, $6$ and $y$."""

_FORMS: Final = (
    (BCRYPT, re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}", re.ASCII)),
    (APACHE, re.compile(r"\$(?:apr1|1)\$[^$:\s]{1,8}\$[./A-Za-z0-9]{22}", re.ASCII)),
    (SHA1, re.compile(r"\{SHA\}[A-Za-z0-9+/]{27}=", re.ASCII)),
    (SHA1, re.compile(r"\{SSHA\}[A-Za-z0-9+/]{28,200}={0,2}", re.ASCII)),
    (CRYPT, re.compile(r"\$5\$(?:rounds=([0-9]{1,9})\$)?[^$:\s]{0,16}\$[./A-Za-z0-9]{43}", re.ASCII)),
    (CRYPT, re.compile(r"\$6\$(?:rounds=([0-9]{1,9})\$)?[^$:\s]{0,16}\$[./A-Za-z0-9]{86}", re.ASCII)),
    (CRYPT, re.compile(r"\$y\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{0,86}\$[./A-Za-z0-9]{43}", re.ASCII)),
)
_HINT: Final = "make a line with `gapura password NAME`, or with htpasswd -B"


class Mistake(NamedTuple):
    """A line that cannot be used; `line` counts from 1. No part of what may be a password is in it."""

    line: int
    message: str
    hint: str


def _form(hashed: str) -> tuple[str, re.Match[str]] | None:
    """The family of a hash and its parts."""
    if hashed.startswith("$2"):  # nearly always, and files may be long
        match = _FORMS[0][1].fullmatch(hashed)
        return (BCRYPT, match) if match else None
    for name, form in _FORMS:
        if match := form.fullmatch(hashed):
            return name, match
    return None


def family(hashed: str) -> str:
    """The family of a hash, "" when it is none that is taken here."""
    found = _form(hashed)
    return found[0] if found else ""


def fault(hashed: str) -> tuple[str, str]:
    """What is wrong with the hash of a password, and what to do; two empty texts when nothing is."""
    found = _form(hashed)
    if found is not None:
        name, match = found
        number = int(match[1] or 0) if match.re.groups else 0
        if name == BCRYPT and not 4 <= number <= MAX_COST:
            return f"bcrypt with the cost {number}", f"costs from 4 to {MAX_COST} are taken: `gapura password` takes 10"
        if name == CRYPT and number > MAX_ROUNDS:
            return f"SHA-crypt with {number} rounds", f"at most {MAX_ROUNDS} are taken"
        return "", ""
    if hashed.startswith(("$2", "$apr1$", "$1$", "{SHA}", "{SSHA}", "$5$", "$6$", "$y$")):
        return "a hash that was cut short or changed", _HINT
    if re.fullmatch(r"[./A-Za-z0-9]{13}", hashed, re.ASCII):
        return "a password in plain text, or the old crypt that ends after 8 letters: neither is taken", _HINT
    if hashed.startswith("$"):
        return "a kind of hash that is not known here", f"bcrypt, apr1, SHA and SHA-crypt are; {_HINT}"
    return "a password in plain text: that is not taken, because whoever reads the file has it", _HINT


def parse(raw: bytes) -> tuple[dict[bytes, str], list[Mistake]]:
    """(hash by name, mistakes) of a file: `name:hash` or `name:hash:comment` on each line; `#` begins a comment line.

    The first line of a name counts, as in nginx and Apache.
    """
    users: dict[bytes, str] = {}
    mistakes: list[Mistake] = []
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        text = line.strip(b" \t\r")
        if not text or text.startswith(b"#"):
            continue
        name, colon, rest = text.partition(b":")
        if not colon or not name:
            mistakes.append(Mistake(number, "this is no name:hash", _HINT))
            continue
        hashed = rest.partition(b":")[0].decode("latin-1")
        message, hint = fault(hashed)
        if message:
            mistakes.append(Mistake(number, message, hint))
        else:
            users.setdefault(name, hashed)
    return users, mistakes
