"""The audit log: who changed what through the admin API, from where, and how it ended. JSON, one line each."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from gapura.log import open_log

if TYPE_CHECKING:
    from gapura.control.api.visitor import Visitor

log = logging.getLogger(__name__)
LONGEST: Final = 200
"""Characters of one value."""
VALUES: Final = 20
"""Values of one entry, and items of one list."""
KEPT: Final = 500
"""Newest entries that the API shows."""
REFUSALS: Final = 20
"""Refused attempts that are written down within ten seconds: who floods us with them does not fill the disk."""
_HASHED: Final = frozenset(("text",))
"""Values of which only length and hash are noted: they are long, and may hold secrets."""
_SECRET: Final = ("token", "code", "secret", "password", "key")


class Audit:
    """Writes to the file that the master has opened; without one (tests, a full disk) the newest entries are there all the same."""

    def __init__(self) -> None:
        self.newest: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._path = ""
        self._fd = -1
        self._refused = 0
        self._since = 0.0
        self._failed = False

    def open(self, path: str) -> None:
        """Write there from now on."""
        self._path = path
        self.reopen()

    def reopen(self) -> None:
        """Open the file anew, after rotation by the master."""
        if not self._path:
            return
        try:
            fresh = open_log(self._path)
        except OSError as error:
            log.error("the audit log %s cannot be written: %s", self._path, error.strerror)
            return
        self.close()
        self._fd = fresh

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def note(self, visitor: Visitor | None, action: str, values: dict[str, Any], error: str = "") -> None:
        """A change that was asked for. `error`: why it was not made, "" when it was."""
        self._write(visitor, action, values, "failed" if error else "done", error)

    def refuse(self, visitor: Visitor, action: str, why: str) -> None:
        """A change, or a login, that was not allowed."""
        now = time.monotonic()
        if now - self._since > 10.0:
            self._since, self._refused = now, 0
        self._refused += 1
        if self._refused <= REFUSALS:
            self._write(visitor, action, {}, "refused", why)

    def _write(self, visitor: Visitor | None, action: str, values: dict[str, Any], outcome: str, why: str) -> None:
        entry: dict[str, Any] = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "action": _short(action)}
        if visitor is not None:
            entry |= {"by": _short(visitor.name), "from": _short(visitor.client), "door": visitor.door}
        else:
            entry |= {"by": "control", "from": "", "door": ""}
        entry |= {"what": _told(values), "outcome": outcome}
        if why:
            entry["why"] = _short(why)
        self.newest.append(entry)
        if self._fd < 0:
            return
        try:
            os.write(self._fd, json.dumps(entry, separators=(",", ":")).encode() + b"\n")
            self._failed = False
        except OSError as error:
            if not self._failed:
                log.error("the audit log %s cannot be written: %s", self._path, error.strerror)
            self._failed = True


def _told(values: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in list(values.items())[:VALUES]:
        if name in _HASHED and isinstance(value, str):
            data = value.encode("utf-8", "replace")
            found[name] = f"{len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()[:16]}"
        elif any(word in name.lower() for word in _SECRET):
            found[name] = "…"
        elif isinstance(value, (list, tuple)):
            found[name] = [_plain(item) for item in list(value)[:VALUES]]
        elif isinstance(value, dict):
            found[name] = _short(json.dumps(value, default=str))
        else:
            found[name] = _plain(value)
    return found


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, (bool, int, float)) else _short(str(value))


def _short(text: str) -> str:
    """One printable line; JSON escapes the rest (CWE-117)."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
