"""The names of the `$variables` that strings of the configuration may hold; what they stand for is known at the edge.

The names are nginx's where nginx has the thing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

PATTERN: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
"""`$name` or `${name}`."""
FAMILIES: Final = ("http_", "cookie_", "arg_")
"""A header of the request (`$http_accept_language`), a cookie (`$cookie_session`) or an argument behind the ? (`$arg_page`): any
name may follow."""

REQUEST: Final = {
    "args": "what follows the ? of the request, as sent",
    "content_length": "length of the request's body, empty when it is not announced",
    "content_type": "Content-Type of the request",
    "document_uri": "the same as uri",
    "dollar": "the character $",
    "host": "host name of the request, in lower case, without the port",
    "http_host": "Host header as sent",
    "http_referer": "page that led here, as the client says",
    "http_user_agent": "the client's program, as it says",
    "is_args": "? when something follows it, else empty",
    "msec": "time of day in seconds since 1970, with milliseconds",
    "query": "the same as args",
    "remote_addr": "address of the client, behind trusted_proxies the one that they tell",
    "remote_port": "port of the client's connection",
    "remote_user": "who has logged in, by basic_auth, jwt or forward_auth; - when nobody has",
    "request": "request line: method, target, version",
    "request_id": "X-Request-Id, made here or passed on",
    "request_method": "method, such as GET",
    "request_uri": "path and query as sent",
    "rest": "what follows the matched path of the route",
    "route": "path of the route",
    "scheme": "http or https, as this connection is",
    "server_name": "the same as site",
    "server_port": "port that the client is connected to",
    "server_protocol": "HTTP version of the request, such as HTTP/1.1",
    "site": "name of the site",
    "ssl_cipher": "TLS: the suite, such as TLS_AES_128_GCM_SHA256",
    "ssl_client_s_dn": "TLS: subject of the client's certificate (RFC 4514), such as CN=alice,O=Example",
    "ssl_client_verify": "TLS: SUCCESS when the client showed a valid certificate, else NONE",
    "ssl_protocol": "TLS: the version, such as TLSv1.3",
    "ssl_server_name": "TLS: the name that the client asked for",
    "time_iso8601": "local time, such as 2026-11-22T14:03:07+0700",
    "time_local": "local time, such as 22/Nov/2026:14:03:07 +0700",
    "trace_id": "id of the trace that the request belongs to (W3C Trace Context), - without one",
    "upstream": "name of the upstream, - without one",
    "uri": "path, decoded and without dot segments",
}
"""Known when a request has arrived."""

ANSWER: Final = {
    "server": "id of the server that answered, such as web:0, - without one",
    "status": "status of the answer",
    "tries": "number of servers tried",
    "upstream_addr": "address of the server that answered, - without one",
    "upstream_response_time": "the same as upstream_time",
    "upstream_time": "seconds until the server began to answer, - when none did",
}
"""Known when the answer begins: for the headers of answers, and the access log."""

END: Final = {
    "body_bytes_sent": "bytes of the answer's body",
    "bytes_sent": "the same as body_bytes_sent",
    "request_time": "seconds from the request's first byte to the answer's last, with milliseconds",
}
"""Known when the exchange has ended: for the access log only."""


def names(text: str) -> Iterator[str]:
    """The variables that a string uses, in their order."""
    return (match[1] or match[2] for match in PATTERN.finditer(text))


def exists(name: str) -> bool:
    """Whether there is a variable of this name."""
    return name in REQUEST or name in ANSWER or name in END or name.startswith(FAMILIES)
