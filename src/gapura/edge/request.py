"""The request as a server gets it: what a `proxy` route says about it, and the head that is sent."""

from __future__ import annotations

from collections.abc import Callable

from gapura.balance.server import Server
from gapura.edge.exchange import Exchange
from gapura.wire.request import CHUNKED, RequestHead


class ProxyOptions:
    """What a route adds to its upstream: computed once per snapshot."""

    __slots__ = (
        "connect_ns",
        "read_ns",
        "send_ns",
        "keepalive_ns",
        "host_header",
        "key",
        "target",
        "edit",
        "same",
        "served_by",
        "traced",
        "tunnel_ns",
    )

    def __init__(
        self,
        connect_ns: int,
        read_ns: int,
        send_ns: int,
        keepalive_ns: int,
        tunnel_ns: int,
        host_header: bytes,
        key: Callable[[Exchange], bytes] | None,
        target: Callable[[Exchange], bytes] | None,
        served_by: bool,
        edit: Callable[[Exchange, list[bytes]], list[bytes]] | None = None,
        traced: Callable[[Exchange], None] | None = None,
    ) -> None:
        """`traced` is called before each try of a request, so that its head says which try of which trace it is."""
        self.connect_ns = connect_ns
        self.read_ns = read_ns
        self.send_ns = send_ns
        self.keepalive_ns = keepalive_ns
        self.tunnel_ns = tunnel_ns
        self.host_header = host_header
        self.key = key
        self.target = target
        self.edit = edit
        self.traced = traced
        self.same = not (target or host_header or edit or traced)
        """Nothing is changed: target, Host and header lines go on as they came."""
        self.served_by = served_by


def wants_tunnel(head: RequestHead) -> bool:
    """Only WebSocket may switch protocols: `h2c` and others are never forwarded."""
    return head.upgrade.lower() == b"websocket" and head.method == b"GET" and head.minor == 1 and not head.length


def request_bytes(exchange: Exchange, options: ProxyOptions, server: Server) -> bytes:
    """The request head as the server gets it."""
    head = exchange.head
    host = told = head.host or (b"localhost" if server.path else server.address.encode())
    target = head.target
    if not options.same:
        host = options.host_header or host
        target = options.target(exchange) if options.target else target
        if options.traced is not None:
            options.traced(exchange)
    lines = [b"%b %b HTTP/1.1\r\nHost: %b" % (head.method, target, host), *head.lines]
    if head.length_seen or head.upgrade or head.wants_trailers:
        lines += _framing(head)
    trust = exchange.worker.trust
    if trust.networks:
        lines.append(trust.lines(exchange))
    else:
        lines += (exchange.sink.forwarded, b"X-Forwarded-Host: " + told)
    if options.edit is not None:
        first, host_line, *rest = b"\r\n".join(lines).split(b"\r\n")
        lines = [first, host_line, *options.edit(exchange, rest)]
    lines += (b"X-Request-Id: " + exchange.request_id, b"\r\n")
    return b"\r\n".join(lines)


def _framing(head: RequestHead) -> list[bytes]:
    """The lines about the body and the connection that are made anew (RFC 9110 §7.6.1)."""
    lines = []
    if head.length == CHUNKED:
        lines.append(b"Transfer-Encoding: chunked")
    elif head.length_seen:
        lines.append(b"Content-Length: %d" % head.length)
    if head.upgrade and wants_tunnel(head):
        lines.append(b"Connection: Upgrade\r\nUpgrade: websocket")
    elif head.wants_trailers:
        lines.append(b"Connection: TE\r\nTE: trailers")
    return lines
