"""From the keys of a site and its route to their plan: where copies and shares of the requests go."""

from __future__ import annotations

import hashlib

from .options import Options
from .plan_traffic import CookiePlan, TrafficPlan
from .schema_cookie import VisitorCookie


def traffic(options: Options) -> TrafficPlan | None:
    """The plan; None when no key asks for anything, so that a plain route pays nothing."""
    return None


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
