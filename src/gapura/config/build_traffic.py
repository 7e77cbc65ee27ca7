"""From the keys of a site and its route to their plan: where copies and shares of the requests go."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from .options import Options
from .plan_traffic import ChoicePlan, CookiePlan, MirrorPlan, SplitPlan, TrafficPlan
from .positions import Path
from .schema_cookie import VisitorCookie
from .schema_traffic import Mirror

STAY: Final = 30 * 86400
"""Seconds that a visitor stays with his part of a split unless the file says otherwise."""
PARTS: Final = 1000


def traffic(options: Options) -> TrafficPlan | None:
    """The plan; None when no key asks for anything, so that a plain route pays nothing."""
    split = _split(options)
    mirrors = [_mirror(options, index, mirror) for index, mirror in enumerate(options.get("mirror") or ())]
    return {"split": split, "mirrors": mirrors} if split or mirrors else None


def _split(options: Options) -> SplitPlan | None:
    split = options.route.split  # an action: nothing that a route has from its site
    if split is None:
        return None
    path: Path = (*options.path, "split")
    each = (*path, *_list_below(options.findings.sources.data, path))
    names = [options.upstream((*each, index, "proxy"), choice.proxy) for index, choice in enumerate(split.to)]
    if not any(choice.share for choice in split.to):
        options.findings.error(path, "all shares are 0: nobody would go anywhere", "give one of them a share", at_key=True)
    for index, name in enumerate(names):
        if name in names[:index]:
            options.findings.error((*each, index, "proxy"), f"{name} is listed twice", "add up its shares")
    choices: list[ChoicePlan] = [
        {"upstream": name, "share": round(choice.share * PARTS), "value": digest(name)}
        for name, choice in zip(names, split.to, strict=True)
    ]
    return {"choices": choices, "cookie": cookie(split, f"split {' '.join(sorted(names))}", STAY)}


def _list_below(data: Any, path: Path) -> tuple[str, ...]:
    """Where the list of a split is: it may be the value itself."""
    try:
        for part in path:
            data = data[part]
    except (KeyError, IndexError, TypeError):
        return ("to",)
    return () if isinstance(data, list) else ("to",)


def _mirror(options: Options, index: int, mirror: Mirror) -> MirrorPlan:
    where = options.where("mirror", index, "proxy")
    name = options.upstream(where, mirror.proxy)
    if options.route.proxy == mirror.proxy:
        options.findings.error(where, f"the copies would go where the requests go: {name}", "name another upstream")
    return {
        "upstream": name,
        "share": mirror.share / 100,
        "body": mirror.body,
        "at_once": mirror.at_once,
        "timeout": mirror.timeout,
    }


def cookie(words: VisitorCookie, subject: str, max_age: int | None = None) -> CookiePlan:
    """The plan of a cookie. `subject` is what it is about: another one gets another name."""
    return {
        "name": words.cookie or f"gapura_{digest(subject)}",
        "max_age": max_age if words.max_age is None else max(1, round(words.max_age)),
        "secure": words.secure,
        "same_site": words.same_site.capitalize(),
    }


def digest(subject: str) -> str:
    """A short name that tells nothing about what it stands for."""
    return hashlib.blake2b(subject.encode(), digest_size=4).hexdigest()
