"""Real requests to a site of our own, through the own edge: so that a picture without traffic can be seen moving."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Final

from gapura import __version__
from gapura.config.plan import ListenPlan, Plan, SitePlan

LIMIT: Final = 30.0
"""Seconds that one request may take."""
MOST: Final = 1 << 20
"""Bytes of an answer that are read."""
HERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def target(plan: Plan, site: SitePlan) -> ListenPlan | None:
    """The listener that visitors of a site come to; None when there is none."""
    edge = plan["edge"]
    found = edge["https"] if site["tls"] else edge["http"]
    return found[0] if found else None


def host_of(site: SitePlan) -> str:
    """A host name that the site answers for."""
    host = site["hosts"][0]
    return "localhost" if host == "*" else f"try{host[1:]}" if host.startswith("*.") else host


async def run(listen: ListenPlan, host: str, requests: int, per_second: float) -> tuple[dict[str, int], list[float]]:
    """Send GET requests in an even rhythm, whatever becomes of those before; the statuses, and seconds of each answer."""
    context = _context() if listen["tls"] else None
    loop = asyncio.get_running_loop()
    begin = loop.time()
    statuses: dict[str, int] = {}
    times: list[float] = []

    async def one(number: int) -> None:
        await asyncio.sleep(max(0.0, begin + number / per_second - loop.time()))
        started = loop.time()
        try:
            async with asyncio.timeout(LIMIT):
                status = await _get(listen, host, context)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            status = ""
        statuses[status or "none"] = statuses.get(status or "none", 0) + 1
        if status:
            times.append(loop.time() - started)

    async with asyncio.TaskGroup() as group:
        for number in range(requests):
            group.create_task(one(number))
    return statuses, sorted(times)


def part(times: list[float], share: float) -> float | None:
    """The time (ms) that this share stays below; `times` are sorted."""
    return round(times[min(len(times) - 1, int(share * len(times)))] * 1000, 3) if times else None


async def _get(listen: ListenPlan, host: str, context: ssl.SSLContext | None) -> str:
    """One request on a connection of its own; the status."""
    usual = 443 if context else 80
    field = host if listen["port"] == usual else f"{host}:{listen['port']}"
    extra: dict[str, Any] = {"ssl": context, "server_hostname": host} if context else {}
    reader, writer = await asyncio.open_connection(HERE.get(listen["host"], listen["host"]), listen["port"], **extra)
    try:
        lines = ("GET / HTTP/1.1", f"Host: {field}", f"User-Agent: Gapura/{__version__} (try)", "Accept: */*", "Connection: close")
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        line = await reader.readuntil(b"\n")
        read = 0
        while read < MOST and (data := await reader.read(1 << 16)):
            read += len(data)
    finally:
        writer.transport.abort()
    version, _, rest = line.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
        raise ValueError("what answers is not HTTP/1")
    return rest[:3].decode()


def _context() -> ssl.SSLContext:
    """Our own edge is asked, on this machine: whether its certificate is one that others believe does not matter."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
