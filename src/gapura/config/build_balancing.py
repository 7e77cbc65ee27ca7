"""Of an upstream: sticky sessions, slow start and the queue, and what they go with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .build_traffic import cookie
from .findings import Findings
from .plan_traffic import StickyPlan
from .positions import Path
from .schema_upstream import Balancing, Server

QUEUE_TIMEOUT: Final = 60.0
"""Seconds that a request waits in a queue unless the file says otherwise (nginx)."""
_BY_KEY: Final = ("hash", "ip_hash")
_WITHOUT_RAMP: Final = ("hash", "ip_hash", "random")


def sticky(name: str, words: Balancing) -> StickyPlan | None:
    """The cookie of an upstream."""
    if words.sticky is None:
        return None
    return {"cookie": cookie(words.sticky, f"upstream {name}"), "secret": words.sticky.secret or ""}


def queue_timeout(words: Balancing) -> float | None:
    """None without a queue."""
    return None if words.queue is None else words.queue_timeout or QUEUE_TIMEOUT


def check_balancing(findings: Findings, path: Path, words: Balancing, servers: Sequence[Server] = ()) -> None:
    """What does not go together."""
    if words.sticky is not None and words.policy in _BY_KEY:
        hint = "leave one of the two out: a visitor stays with a server in either case"
        findings.error((*path, "sticky"), f'sticky and the policy "{words.policy}" exclude each other', hint, at_key=True)
    if words.policy in _WITHOUT_RAMP:
        slow = [path] if words.slow_start else []
        slow += [(*path, "servers", index) for index, server in enumerate(servers) if server.slow_start]
        for place in slow:
            message = f'slow_start does not go with the policy "{words.policy}"'
            findings.error((*place, "slow_start"), message, "use round_robin or least_conn", at_key=True)
    if words.queue and not words.max_conns and not any(server.max_conns for server in servers):
        hint = "write max_conns, the most requests that a server shall have at a time"
        findings.error((*path, "queue"), "a queue without max_conns: no server is ever full", hint, at_key=True)
    if words.queue is None and words.queue_timeout is not None:
        hint = "write queue = 100, or use hold"
        findings.error((*path, "queue_timeout"), "queue_timeout without a queue", hint, at_key=True)
