"""The step before a route that leads to Gapura itself: it tells control what cannot be seen of a visitor from behind the edge."""

from __future__ import annotations

import ipaddress
from functools import partial
from typing import TYPE_CHECKING, Final

from gapura.config.plan import RoutePlan
from gapura.config.plan_admin import VISITOR
from gapura.edge.router import NEXT, Step
from gapura.wire.headers import without

if TYPE_CHECKING:
    from gapura.edge.exchange import Exchange

_VISITOR: Final = VISITOR.encode()
_DROPPED: Final = frozenset((_VISITOR,))
_PASSED_ON: Final = frozenset(
    (
        *(b"via", b"x-client-ip", b"x-cluster-client-ip", b"x-original-forwarded-for", b"x-original-host", b"client-ip"),
        *(b"true-client-ip", b"cf-connecting-ip", b"fastly-client-ip", b"cdn-loop", b"x-envoy-external-address", b"max-forwards"),
    )
)
"""Fields that only a proxy adds, beside Forwarded, X-Real-IP and X-Forwarded-*. One that leaves them out is still not taken for a
person on this machine, unless it runs as one: control asks the kernel whose the connection is."""


def steps(plan: RoutePlan) -> list[Step]:
    """For a route with `dashboard`: one step."""
    dashboard = plan.get("dashboard", None)
    return [partial(_tell, dashboard["implicit"])] if dashboard is not None else []


def _tell(implicit: bool, exchange: Exchange) -> int:
    """Say who it is, in place of what the visitor may have said. The implicit site is for this machine only."""
    head, sink = exchange.head, exchange.sink
    head.lines = without(head.lines, _DROPPED)
    direct = not head.forwarded and not any(_is_proxys(line) for line in head.lines)
    if implicit and not (direct and _is_loopback(sink.peer)):
        return exchange.refuse(403, exchange.say("dashboard"))
    transport = getattr(sink, "transport", None)
    peer, local = (_address(transport.get_extra_info(end) if transport else None) for end in ("peername", "sockname"))
    scheme = exchange.worker.trust.scheme(exchange)
    way = b"direct" if direct else b"proxied"
    head.lines.append(b"%b: %b %b %b %b %b" % (_VISITOR, way, scheme, exchange.client, peer, local))
    return NEXT


def _is_proxys(line: bytes) -> bool:
    name = line.partition(b":")[0].lower()
    return name in _PASSED_ON or name.startswith(b"x-forwarded")


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _address(name: object) -> bytes:
    """Address and port; "unknown 0" of who has left already."""
    if isinstance(name, tuple) and len(name) >= 2:
        return b"%b %d" % (str(name[0]).removeprefix("::ffff:").encode(), name[1])
    return b"unknown 0"
