"""The Date field of answers that originate here (RFC 9110 §6.6.1), formatted once a second."""

from __future__ import annotations

import time
from email.utils import formatdate

_second = 0
_line = b""


def date_line() -> bytes:
    """`Date: Sun, 22 Nov 2026 14:03:07 GMT`."""
    global _second, _line
    now = int(time.time())
    if now != _second:
        _second, _line = now, b"Date: " + formatdate(now, usegmt=True).encode()
    return _line
