"""The actions `respond` and `redirect`: answers that the configuration holds."""

from __future__ import annotations

from gapura.config.plan import RoutePlan
from gapura.edge.exchange import Exchange
from gapura.edge.lasting import Lasting
from gapura.edge.router import Step
from gapura.edge.variables import compile_text, quote_path, quote_url


def respond(plan: RoutePlan) -> Step:
    """A step that answers with a fixed body."""
    status, body = plan["status"], Lasting(plan["body"].encode())
    line = b"Content-Type: " + plan["content_type"].encode()

    def step(exchange: Exchange) -> int:
        return exchange.reply(status, [line] if body else [], body)

    return step


def redirect(plan: RoutePlan) -> Step:
    """A step that sends the client elsewhere. What comes from the request is percent-encoded again (RFC 9112 §11.1)."""
    status = plan["status"]
    location = compile_text(plan["location"], quote_url, quote_path)

    def step(exchange: Exchange) -> int:
        target = location(exchange)
        if target[:2] == b"//" and not plan["location"].startswith("//"):
            target = b"/" + target.lstrip(b"/")  # a path must not turn into another host
        return exchange.reply(status, [b"Location: " + target], b"")

    return step
