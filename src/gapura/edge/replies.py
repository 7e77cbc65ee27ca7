"""The actions `respond` and `redirect`: answers that the configuration holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Container
from typing import Final

from gapura.config.plan import RoutePlan
from gapura.edge.exchange import Exchange
from gapura.edge.lasting import Lasting
from gapura.edge.router import Step
from gapura.edge.variables import Quote, compile_text, quote_path, quote_url

_MARKUP: Final = ((b"&", b"&amp;"), (b"<", b"&lt;"), (b">", b"&gt;"), (b'"', b"&quot;"), (b"'", b"&#x27;"))
MAX_LOCATION: Final = 16384
"""Bytes of an address; a longer one, made of groups that are used many times, is cut."""


def respond(plan: RoutePlan, groups: Container[str] = ()) -> Step:
    """A step that answers with a fixed body, its variables escaped for its type."""
    status, body = plan["status"], Lasting(plan["body"].encode())
    line = b"Content-Type: " + plan["content_type"].encode()
    if "$" not in plan["body"]:
        return lambda exchange: exchange.reply(status, [line] if body else [], body)
    text = compile_text(plan["body"], _escape_for(plan["content_type"]), None, groups)
    lines = [line, b"X-Content-Type-Options: nosniff"]  # what visitors said stays the type that it was escaped for
    return lambda exchange: exchange.reply(status, lines, text(exchange))


def redirect(plan: RoutePlan, groups: Container[str] = ()) -> Step:
    """A step that sends the client elsewhere."""
    status = plan["status"]
    address = location(plan["location"], groups)
    return lambda exchange: exchange.reply(status, [b"Location: " + address(exchange)], b"")


def nowhere(exchange: Exchange) -> int:
    """The step of what no route takes."""
    return exchange.refuse(404, exchange.say("nowhere"))


def location(text: str, groups: Container[str] = ()) -> Callable[[Exchange], bytes]:
    """An address with variables. What comes from the request is percent-encoded again (RFC 9112 §11.1), and a path never turns
    into another host."""
    build = compile_text(text, quote_url, quote_path, groups)

    def address(exchange: Exchange) -> bytes:
        target = build(exchange)[:MAX_LOCATION]
        if target[:2] == b"//" or target[:2] == b"/\\":
            return b"/" + target.lstrip(b"/\\")
        return target

    return address


def _escape_for(content_type: str) -> Quote | None:
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "text/html" or kind.endswith(("/xml", "+xml")):
        return escape_markup
    if kind.endswith(("/json", "+json", "/javascript")):
        return escape_script
    return None


def escape_markup(value: bytes) -> bytes:
    """A value as text or in a quoted attribute of HTML and XML."""
    for plain, escaped in _MARKUP:
        value = value.replace(plain, escaped)
    return value


def escape_script(value: bytes) -> bytes:
    """A value within the quotes of a string of JSON or JavaScript, be it in a page."""
    text = json.dumps(value.decode("utf-8", "replace"))[1:-1]
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026").replace("'", "\\u0027").encode()
