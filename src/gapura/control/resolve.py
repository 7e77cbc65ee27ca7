"""DNS names among the servers: asked again and again beside the loop, never waited for."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from gapura.config.plan import Plan, join_address

PERIOD = 10.0
"""Seconds between two lookups of a name."""
IMPATIENT = 2.0
"""Seconds between two lookups of a name that does not resolve."""
LIMIT = 5.0
"""Seconds after which a lookup is taken to have failed. Its thread goes on, and no second one is started for the name."""
THREADS = 8

Lookup = Callable[[str], list[str]]
Changed = Callable[[str, str, int, list[str]], None]
"""Called with upstream, host, port and the sorted addresses that differ from the plan's."""

log = logging.getLogger(__name__)


def lookup(host: str) -> list[str]:
    """The addresses of a host, sorted, each once; none when it does not resolve."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return sorted({str(entry[4][0]).partition("%")[0] for entry in found})


class Resolver:
    """Follows every DNS name of a plan and tells when its addresses are no longer those of the plan.

    A name that stops resolving keeps the addresses it had.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, changed: Changed, lookup: Lookup = lookup) -> None:
        self._loop = loop
        self._changed = changed
        self._lookup = lookup
        self._pool = ThreadPoolExecutor(THREADS, "resolve")
        self._uses: dict[str, dict[tuple[str, int], list[str]]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def apply(self, plan: Plan) -> None:
        """Follow the names of this plan. Names that stay keep their rhythm; the first lookups are spread."""
        uses: dict[str, dict[tuple[str, int], list[str]]] = {}
        for upstream in plan["upstreams"].values():
            for name in upstream["names"]:
                label = join_address(name["host"], name["port"])
                known = sorted(server["host"] for server in upstream["servers"] if server["name"] == label)
                uses.setdefault(name["host"], {})[(upstream["name"], name["port"])] = known
        self._uses = uses
        for host in [host for host in self._tasks if host not in uses]:
            self._tasks.pop(host).cancel()
        for place, (host, known_by_use) in enumerate(uses.items()):
            if host not in self._tasks:
                period = PERIOD if all(known_by_use.values()) else IMPATIENT
                self._tasks[host] = self._loop.create_task(self._follow(host, period * (place + 1) / len(uses)))

    def stop(self) -> None:
        """Ask nothing any more. A lookup under way ends by itself in its thread."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _follow(self, host: str, delay: float) -> None:
        under_way: asyncio.Future[list[str]] | None = None
        while True:
            await asyncio.sleep(delay)
            if under_way is None:
                under_way = self._loop.run_in_executor(self._pool, self._lookup, host)
            await asyncio.wait([under_way], timeout=LIMIT)
            addresses: list[str] = []
            if under_way.done():
                addresses = under_way.result()
                under_way = None
            if addresses:
                self._compare(host, addresses)
            delay = PERIOD if addresses else IMPATIENT

    def _compare(self, host: str, addresses: list[str]) -> None:
        for (upstream, port), known in self._uses[host].items():
            if known != addresses:
                log.info("%s: %s is now %s", upstream, join_address(host, port), ", ".join(addresses))
                self._changed(upstream, host, port, addresses)
