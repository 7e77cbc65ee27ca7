"""The lines of hosts(5) that a configuration needs, and the edit of a marked block in an existing file. Pure text."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from .plan import Plan

BEGIN: Final = "# gapura: begin"
"""First line of the marked block; what stands behind it on the line names the configuration."""
END: Final = "# gapura: end"


def site_names(plan: Plan) -> list[str]:
    """The host names that somebody has to make known: no stars, no numbers, nothing below localhost (RFC 6761 §6.3)."""
    hosts = dict.fromkeys(host for site in plan["sites"] for host in site["hosts"])
    return [host for host in hosts if "*" not in host and not _is_numeric(host) and host.rpartition(".")[2] != "localhost"]


def host_lines(plan: Plan, address: str = "127.0.0.1") -> list[str]:
    """The lines `address name`, one for each name: the same for Linux, macOS and Windows. Raises ValueError for a bad address."""
    return [f"{ipaddress.ip_address(address)}\t{name}" for name in site_names(plan)]


def place(system: str) -> str:
    """Where the hosts file lies, by `platform.system()`."""
    return r"C:\Windows\System32\drivers\etc\hosts" if system == "Windows" else "/etc/hosts"


def with_block(text: str, label: str, lines: list[str]) -> str:
    """`text` with the block `label` holding exactly `lines`; without lines the block is taken out.

    Everything else is kept as it is, byte for byte; new lines end as those of the file do. A block whose end is missing is
    left alone, and a new one is written behind it: nobody's lines are ever taken for ours.
    """
    ending = "\r\n" if "\r\n" in text else "\n"
    parts = re.findall(r"[^\n]*\n|[^\n]+", text)  # splitlines() would also split at form feeds and the like
    begin = f"{BEGIN} {label}".rstrip()
    block = [line + ending for line in (begin, *lines, END)] if lines else []
    span = _find(parts, begin)
    if span is not None:
        first, last = span
        if last == len(parts) - 1 and not parts[last].endswith("\n") and block:
            block[-1] = block[-1].removesuffix(ending)
        return "".join([*parts[:first], *block, *parts[last + 1 :]])
    if not block:
        return text
    if text and not text.endswith("\n"):
        block.insert(0, ending)
    return text + "".join(block)


def _find(parts: list[str], begin: str) -> tuple[int, int] | None:
    """First and last line of the block that starts with `begin`."""
    first: int | None = None
    for number, part in enumerate(parts):
        line = part.rstrip("\r\n")
        if line == begin:
            first = number
        elif line.startswith(BEGIN):
            first = None
        elif line == END and first is not None:
            return first, number
    return None


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
