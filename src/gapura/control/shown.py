"""A plan for people's eyes: what is, or may be, a secret is replaced by "…"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

HIDDEN: Final = "…"
_VALUES: Final = frozenset(("env", "users"))
"""Tables all of whose values are hidden: an app's environment, hashes of passwords."""
_HEADERS: Final = frozenset(("headers", "add"))
"""Header fields, as a table or as a list of pairs: what a client or a collector is recognised by may be among them."""
_PUBLIC: Final = frozenset(
    ("cache-control", "content-type", "content-security-policy", "x-frame-options", "x-powered-by", "server", "vary", "link")
)
_ADDRESSES: Final = frozenset(("url", "endpoint"))


def shown(plan: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a plan, or of a part of it, without secrets. (Files that hold secrets are named in it, and in no plan read.)"""
    found = _seen(plan, "")
    assert isinstance(found, dict)
    return found


def _seen(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        if key in _VALUES:
            return dict.fromkeys(value, HIDDEN)
        if key in _HEADERS:
            return {name: _field(str(name), text) for name, text in value.items()}
        return {name: _seen(item, str(name)) for name, item in value.items()}
    if isinstance(value, list):
        if key in _HEADERS:
            return [
                [item[0], _field(str(item[0]), item[1])] if isinstance(item, list) and len(item) == 2 else item for item in value
            ]
        return [_seen(item, "") for item in value]
    if key in _ADDRESSES and isinstance(value, str) and "://" in value:
        scheme, _, rest = value.partition("://")
        return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}/{HIDDEN}"
    return value


def _field(name: str, text: Any) -> Any:
    return text if name.lower() in _PUBLIC else HIDDEN
