"""From the keys of a site and its route to the plan of how files are sent."""

from __future__ import annotations

from typing import Final

from .options import Options
from .plan_files import FilesPlan
from .schema_files import FilesOptions

KEYS: Final = tuple(FilesOptions.__annotations__)


def files(options: Options) -> FilesPlan | None:
    """The plan; None when the route sends no files or nothing was said about how."""
    if options.route.files is None:
        _check_idle(options)
        return None
    if all(options.get(key) is None for key in KEYS):
        return None
    tries: list[str] = list(options.get("try_files") or [])
    if tries and options.route.fallback is not None:
        message = "try_files and fallback both say what answers when a file is missing"
        options.findings.error((*options.path, "fallback"), message, "leave it out, and end try_files with its file")
    missing = int(tries.pop()[1:]) if tries and tries[-1].startswith("=") else 404
    immutable = options.get("immutable")
    return {
        "listing": bool(options.get("listing")),
        "tries": [text.replace("${uri}", "$uri") for text in tries],
        "missing": missing,
        "precompressed": options.get("precompressed") or [],
        "cache": [{"pattern": pattern.lstrip("/"), "value": value} for pattern, value in (options.get("cache") or {}).items()],
        "immutable": immutable is None or immutable,
        "types": options.get("types") or {},
    }


def _check_idle(options: Options) -> None:
    """Keys of `files` beside another action. On a site they may be meant for its routes."""
    route = options.route
    if any(item.files is not None for item in getattr(route, "routes", ())):
        return
    action = next((name for name in ("proxy", "redirect", "respond") if getattr(route, name) is not None), "")
    for key in KEYS:
        if action and getattr(route, key) is not None:
            message = f"{key} belongs to files, this is {action}"
            options.findings.error((*options.path, key), message, "leave it out", at_key=True)
