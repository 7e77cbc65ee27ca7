"""The tokens of the admin API: made here, and kept as hashes in a file that nobody else may read."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
import secrets
import time
from contextlib import suppress
from typing import Any, Final

from gapura.errors import EXIT_USAGE, CommandError

log = logging.getLogger(__name__)
NAME: Final = "tokens.json"
PREFIX: Final = "gapura_"
"""By which a token that leaked is told for what it is."""
ROLES: Final = ("read", "full")
TOKENS: Final = 200
LONGEST_LIFE: Final = 3650.0
"""Days."""
DAY: Final = 86400.0
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}", re.ASCII)
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Tokens:
    """The tokens that there are. `folder` is where the file lies, "" for none (tests). SHA-256 is enough of a hash: a token is 256
    random bits, which nobody guesses however fast the hash is.
    """

    def __init__(self, folder: str) -> None:
        self._path = os.path.join(folder, NAME) if folder else ""
        self.rows: list[dict[str, Any]] = _read(self._path) if folder else []
        """What control gets: name, hash, role, created and expires (wall clock in s; 0: never)."""

    def create(self, name: str, role: str, days: float) -> tuple[str, dict[str, Any]]:
        """A new token: its text, and what is kept without the hash. `days` until it expires, 0: never. Raises `CommandError`,
        OSError."""
        if not _NAME.fullmatch(name):
            hint = "1 to 64 letters, digits, - _ . and @, beginning with a letter or digit"
            raise CommandError(f"{name[:100]!r} cannot be the name of a token", hint, EXIT_USAGE)
        if role not in ROLES:
            raise CommandError(f"there is no role {role[:100]!r}", f"roles: {', '.join(ROLES)}", EXIT_USAGE)
        if not (math.isfinite(days) and 0 <= days <= LONGEST_LIFE):
            raise CommandError("days must be from 0 (never expires) to 3650", "leave it out for 90", EXIT_USAGE)
        if any(row["name"] == name for row in self._valid()):
            raise CommandError(f"there is a token {name} already", f"take another name, or first: gapura token revoke {name}")
        if len(self._valid()) >= TOKENS:
            raise CommandError(f"there are {TOKENS} tokens already", "revoke those that nobody uses: gapura token list")
        text = PREFIX + secrets.token_urlsafe(32)
        now = time.time()
        row = {"name": name, "role": role, "created": now, "expires": now + days * DAY if days else 0.0}
        digest = hashlib.sha256(text.encode()).hexdigest()
        self._write([*(kept for kept in self._valid() if kept["name"] != name), {**row, "hash": digest}])
        return text, row

    def revoke(self, name: str) -> None:
        """Forget a token. Raises `CommandError`, OSError."""
        left = [row for row in self.rows if row["name"] != name]
        if len(left) == len(self.rows):
            known = ", ".join(row["name"] for row in self.rows) or "none"
            raise CommandError(f"there is no token {name[:100]}", f"tokens: {known}", code="missing")
        self._write(left)

    def shown(self) -> list[dict[str, Any]]:
        """The tokens for people, without hashes; those that have expired are among them until the next change."""
        return [{key: value for key, value in row.items() if key != "hash"} for row in self.rows]

    def _valid(self) -> list[dict[str, Any]]:
        now = time.time()
        return [row for row in self.rows if not row["expires"] or row["expires"] > now]

    def _write(self, rows: list[dict[str, Any]]) -> None:
        """Keep what holds now, or leave it as it was. Raises OSError."""
        if self._path:
            fresh = self._path + ".new"
            with suppress(FileNotFoundError):
                os.unlink(fresh)
            try:
                fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                with open(fd, "w", encoding="utf-8") as stream:
                    json.dump({"format": 1, "tokens": rows}, stream)
                    stream.flush()
                    os.fsync(fd)
                os.replace(fresh, self._path)
            except OSError:
                with suppress(OSError):
                    os.unlink(fresh)
                raise
        self.rows = rows


def _read(path: str) -> list[dict[str, Any]]:
    """What an earlier master kept. A file that others could have written, or that cannot be understood, counts for nothing."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(fd, encoding="utf-8") as stream:
            facts = os.fstat(fd)
            if facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
                raise ValueError("others may write it")
            return [_row(item) for item in json.load(stream)["tokens"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        log.error("%s cannot be used (%s): no token is valid", path, error)
        return []


def _row(item: dict[str, Any]) -> dict[str, Any]:
    """Raises ValueError, TypeError, KeyError for what is no such row."""
    name, digest, role, created, expires = (item[key] for key in ("name", "hash", "role", "created", "expires"))
    if not (_NAME.fullmatch(name) and _HASH.fullmatch(digest) and role in ROLES):
        raise ValueError("an entry is malformed")
    return {"name": name, "hash": digest, "role": role, "created": float(created), "expires": float(expires)}
