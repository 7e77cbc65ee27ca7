"""One POST over HTTP/1.1, and what became of it. No redirect is followed: what the operator has written is where it goes."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from gapura import __version__
from gapura.outgoing import why

LARGEST_HEAD: Final = 16 << 10
"""Bytes of an answer's head that are read."""
PATIENT: Final = (408, 425, 429)
"""Answers below 500 that ask to try again (RFC 9110 §15.5.9, RFC 8470, RFC 6585)."""


class Outcome(NamedTuple):
    """`problem` "" is success. `again`: another attempt may succeed; `wait`: seconds until then, if the receiver said so."""

    problem: str = ""
    again: bool = False
    wait: float = 0.0


async def post(url: str, headers: dict[str, str], body: bytes, timeout: float, context: ssl.SSLContext | None) -> Outcome:
    """Send a body; `context` is for https. Takes at most `timeout` s, and never raises but for cancellation."""
    writer: asyncio.StreamWriter | None = None
    host = url
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if not host:
            return Outcome(f"there is no host in {url!r}")
        async with asyncio.timeout(timeout):
            port = parts.port or (443 if context else 80)
            name = host if context else None
            reader, writer = await asyncio.open_connection(host, port, ssl=context, limit=LARGEST_HEAD, server_hostname=name)
            writer.write(
                _head(parts.netloc, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), headers, len(body)) + body
            )
            await writer.drain()
            return await _answer(reader)
    except TimeoutError:
        return Outcome(f"no answer within {timeout:g} s", again=True)
    except ssl.SSLError as error:
        return Outcome(why(error, host), again=True)
    except (OSError, UnicodeError) as error:
        number = getattr(error, "errno", None)
        reason = os.strerror(number).lower() if number and not isinstance(error, socket.gaierror) else str(error)
        return Outcome(f"no connection to {host}: {reason}", again=True)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
        return Outcome("what it answers is not HTTP/1", again=True)
    finally:
        if writer is not None:
            writer.transport.abort()


def _head(netloc: str, target: str, headers: dict[str, str], length: int) -> bytes:
    lines = [f"POST {target} HTTP/1.1", f"Host: {netloc}", f"User-Agent: Gapura/{__version__}", f"Content-Length: {length}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode("ascii")


async def _answer(reader: asyncio.StreamReader) -> Outcome:
    """Judge the head of the answer; interim ones are passed over (RFC 9110 §15.2)."""
    while True:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        version, _, rest = head[0].partition(" ")
        if not version.startswith("HTTP/1.") or not rest[:3].isdecimal():
            raise ValueError(head[0])
        status = int(rest[:3])
        if status >= 200:
            break
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    if status < 300:
        return Outcome()
    if status < 400:
        where = fields.get("location", "elsewhere")[:200]
        return Outcome(f"it redirects (status {status}) to {where!r}: write that URL, if it is right")
    again = status >= 500 or status in PATIENT
    after = fields.get("retry-after", "")
    return Outcome(f"it answered with status {status}", again, float(after) if after.isdecimal() and len(after) < 6 else 0.0)
