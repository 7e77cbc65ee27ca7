"""What Cache-Control says about a file, by its name (nginx: expires in a location for some endings)."""

from __future__ import annotations

import re
from typing import Final

from gapura.config.plan_files import CacheRulePlan

FOR_EVER: Final = b"max-age=31536000, immutable"
"""A year, and not even asked about on reload (RFC 8246)."""
_BUILT: Final = (
    rb"js|mjs|cjs|css|map|json|wasm|webmanifest|html|txt|svg|png|jpe?g|gif|webp|avif|ico|woff2?|ttf|otf|eot|mp[34]|webm|ogg|pdf"
)
_HASHED: Final = re.compile(
    # a part of its own before the endings: eight or more hexadecimal digits with both kinds in it (webpack, Next, Hugo, Django),
    # or eight and more letters and digits of both cases behind a dash (Vite, Rollup, esbuild)
    rb"[^/]+(?:[.\-_](?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{8,64}"
    rb"|-(?=[A-Za-z0-9_]*[0-9])(?=[A-Za-z0-9_]*[a-z])(?=[A-Za-z0-9_]*[A-Z])[A-Za-z0-9_]{8})"
    rb"(?:\.[a-z]{2,8})?\.(?:" + _BUILT + rb")\Z"
)


class CacheRules:
    """The rules of a route; `value` gives the field's value for a path below the folder, b"" for none."""

    __slots__ = ("_rules", "_immutable")

    def __init__(self, rules: list[CacheRulePlan], immutable: bool) -> None:
        self._rules = [(_compiled(rule["pattern"].encode()), "/" in rule["pattern"], rule["value"].encode()) for rule in rules]
        self._immutable = immutable

    def value(self, name: bytes) -> bytes:
        """The first rule that fits, else a year for a name that holds a hash."""
        last = name.rpartition(b"/")[2]
        for pattern, whole, value in self._rules:
            if pattern.fullmatch(name if whole else last):
                return value
        return FOR_EVER if self._immutable and hashed(last) else b""


def hashed(name: bytes) -> bool:
    """Whether a file's name holds a hash of its content, as build tools write them: `app.3f9a1c2b.js`, `index-BxD3f9aK.css`."""
    return len(name) <= 255 and _HASHED.match(name) is not None


def _compiled(pattern: bytes) -> re.Pattern[bytes]:
    """A pattern of the shell: * is anything, folders included, ? one character."""
    kinds = {b"*": b".*", b"?": b"[^/]"}
    parts = re.split(rb"(\*+|\?)", pattern)
    return re.compile(b"".join(kinds.get(part[:1], b"") if part[:1] in kinds else re.escape(part) for part in parts), re.DOTALL)
