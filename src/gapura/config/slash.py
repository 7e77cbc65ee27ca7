"""`/admin` where only `/admin/` has a route: it is sent there, as nginx does (ngx_http_core_module, location). Pure.

Otherwise the route for `/` would take it, and an application that reads both alike would answer it without what guards `/admin/`.
"""

from __future__ import annotations

from typing import Final

from .plan import RoutePlan

_PLAIN: Final = frozenset("/:@!&'()*+,;=~-._")
"""Other characters than letters and digits that a path may have as they are (RFC 3986 §3.3)."""


def slash_routes(routes: list[RoutePlan]) -> list[RoutePlan]:
    """The routes of a site, and those that nobody wrote: for each proxied prefix with a slash at its end, one for the path without,
    unless that has a route of its own. Who may ask, and how it is counted and logged, is as for the prefix.
    """
    written = {route["path"] for route in routes if route["kind"] in ("exact", "prefix")}
    made: list[RoutePlan] = []
    for route in routes:
        bare = route["path"].removesuffix("/")
        if route["kind"] != "prefix" or route["action"] != "proxy" or route["match"] is not None:
            continue
        if bare in ("", route["path"]) or bare in written or "$" in bare:
            continue
        made.append(
            {
                **route,
                "name": bare,
                "kind": "exact",
                "path": bare,
                "before_regex": None,
                "action": "redirect",
                "upstream": "",
                "rewrite": None,
                "traffic": None,
                "status": 301,
                "location": f"{_encoded(bare)}/$is_args$args",
            }
        )
    return [*routes, *made]


def _encoded(path: str) -> str:
    """A decoded path as it stands in an address."""
    plain = (character in _PLAIN or (character.isascii() and character.isalnum()) for character in path)
    pairs = zip(path, plain, strict=True)
    return "".join(c if kept else "".join(f"%{byte:02X}" for byte in c.encode()) for c, kept in pairs)
