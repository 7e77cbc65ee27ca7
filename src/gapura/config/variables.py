"""The names of the `$variables` that strings of the configuration may hold; what they stand for is known at the edge.

The names are nginx's where nginx has the thing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

PATTERN: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
"""`$name` or `${name}`."""
FAMILIES: Final = ("http_", "cookie_")
"""A header of the request (`$http_accept_language`) or a cookie (`$cookie_session`): any name may follow."""

REQUEST: Final = {
    "args": "what follows the ? of the request, as sent",
    "host": "host name of the request, in lower case, without the port",
    "http_host": "Host header as sent",
    "http_referer": "page that led here, as the client says",
    "http_user_agent": "the client's program, as it says",
    "msec": "time of day in seconds since 1970, with milliseconds",
    "query": "the same as args",
    "remote_addr": "address of the client, behind trusted_proxies the one that they tell",
    "remote_user": "always -: there is no HTTP authentication yet",
    "request": "request line: method, target, version",
    "request_id": "X-Request-Id, made here or passed on",
    "request_method": "method, such as GET",
    "request_uri": "path and query as sent",
    "rest": "what follows the matched path of the route",
    "route": "path of the route",
    "scheme": "http or https, as this connection is",
    "server_protocol": "HTTP version of the request, such as HTTP/1.1",
    "site": "name of the site",
    "time_iso8601": "local time, such as 2026-11-22T14:03:07+0700",
    "time_local": "local time, such as 22/Nov/2026:14:03:07 +0700",
    "upstream": "name of the upstream, - without one",
    "uri": "path, decoded and without dot segments",
}
"""Known when a request has arrived."""

ANSWER: Final = {
    "body_bytes_sent": "bytes of the answer's body",
    "bytes_sent": "the same as body_bytes_sent",
    "request_time": "seconds from the request's first byte to the answer's last, with milliseconds",
    "server": "id of the server that answered, such as web:0, - without one",
    "status": "status of the answer",
    "tries": "number of servers tried",
    "upstream_addr": "address of the server that answered, - without one",
    "upstream_response_time": "the same as upstream_time",
    "upstream_time": "seconds until the server began to answer, - when none did",
}
"""Known when the exchange has ended: for the access log only."""


def names(text: str) -> Iterator[str]:
    """The variables that a string uses, in their order."""
    return (match[1] or match[2] for match in PATTERN.finditer(text))
