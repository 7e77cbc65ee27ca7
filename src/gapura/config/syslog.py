"""The address of a syslog server as people write it: `syslog:`, `syslog:/dev/log`, `syslog:udp://host:514?facility=local0`."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from .plan_log import SyslogPlan
from .words import did_you_mean, shown, wrong

_NAMES: Final = ("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp")
FACILITIES: Final = {name: number for number, name in enumerate(_NAMES)} | {f"local{number}": 16 + number for number in range(8)}
"""RFC 5424 §6.2.1."""
SEVERITIES: Final = {
    name: number for number, name in enumerate(("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"))
}
LOCAL: Final = "/dev/log"
PORT: Final = 514
_OPTIONS: Final = ("facility", "severity", "tag", "rfc")
_TAG: Final = re.compile(r"[!-~]{1,32}", re.ASCII)
_HINT: Final = 'write "syslog:", "syslog:/dev/log" or "syslog:udp://logs.example.com:514"'


def parse_syslog(text: str) -> SyslogPlan:
    """The server and its options. Raises PydanticCustomError. nginx: syslog:server=…,facility=…,tag=…,severity=…."""
    place, _, query = text.removeprefix("syslog:").partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name not in _OPTIONS:
            raise wrong(f'syslog has no option "{shown(name)}"', did_you_mean(name, _OPTIONS, label="one of"))
    remote = place.startswith("udp://")
    host, port = _remote(place) if remote else ("", 0)
    if not remote and place and not place.startswith("/"):
        raise wrong(f'"{shown(text)}" is not a syslog server', _HINT)
    rfc = options.get("rfc", "5424" if remote else "3164")
    if rfc not in ("3164", "5424"):
        raise wrong(f'there is no syslog format "{shown(rfc)}"', "rfc is 5424, or 3164 for older servers")
    tag = options.get("tag", "gapura")
    if not _TAG.fullmatch(tag):
        raise wrong(f'"{shown(tag)}" is no tag', "a tag has up to 32 printable characters of ASCII")
    facility = _number(options.get("facility", "local7"), FACILITIES, "facility")
    severity = _number(options.get("severity", "info"), SEVERITIES, "severity")
    return {
        "path": "" if remote else place or LOCAL,
        "host": host,
        "port": port,
        "rfc": int(rfc),
        "priority": 8 * facility + severity,
        "tag": tag,
    }


def _remote(place: str) -> tuple[str, int]:
    try:
        parts = urlsplit(place)
        host, port = parts.hostname or "", parts.port or PORT
        host.encode("idna")  # a label that is too long raises UnicodeError
    except ValueError:
        raise wrong(f'"{shown(place)}" is not a syslog server', _HINT) from None
    if not host or parts.path not in ("", "/") or parts.username is not None:
        raise wrong(f'"{shown(place)}" is not a syslog server', _HINT)
    return host, port


def _number(name: str, known: dict[str, int], label: str) -> int:
    if name not in known:
        raise wrong(f'there is no {label} "{shown(name)}"', did_you_mean(name, tuple(known), label="one of"))
    return known[name]
