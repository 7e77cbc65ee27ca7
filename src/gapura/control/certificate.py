"""The certificate of one host: what is known of it, and what is to be done next. Pure: no sockets, no loop; times are seconds
since 1970, because they outlive processes and machines."""

from __future__ import annotations

import json
import os
import random
from typing import Any, Final

from gapura.config.plan_tls import CERTIFICATE, KEY, folder_of

FIRST_DELAY: Final = 60.0
"""Seconds until the second try. Each further one waits three times as long: with five in an hour authorities become strict."""
LONGEST_DELAY: Final = 86400.0
LOCAL, ORDER, NOTHING = "local", "order", ""
"""What there is to do: have the local CA issue, order from an authority, wait."""
ACME: Final = "acme"

Record = dict[str, Any]
_NUMBERS: Final = ("not_before", "not_after", "renew_at", "look_at", "next_try", "begun")
_TEXTS: Final = ("source", "issuer", "directory", "ca", "id", "problem", "key")


class Certificate:
    """A host that a site with `tls = "auto"` answers for. `public`: an authority shall vouch for it, the local CA until then.

    `record` is what stands beside the files; `there` whether the files were there at the last look.
    """

    def __init__(self, host: str, lib: str, public: bool) -> None:
        self.host = host
        self.public = public
        self.folder = os.path.join(lib, "certificates", folder_of(host))
        self.record: Record = {}
        self.there = False
        self.busy = ""

    @property
    def file(self) -> str:
        """The certificate with its chain."""
        return os.path.join(self.folder, CERTIFICATE)

    def load(self, now: float) -> None:
        """Read the record that was kept. An order that was cut off is begun anew at once, the first time."""
        self.record = read_record(os.path.join(self.folder, "record.json"))
        self.look()
        if self.record.get("begun"):
            times = self.record["interrupted"] = self.number("interrupted") + 1
            self.record["begun"] = 0.0
            if times > 1:
                self.record["next_try"] = max(self.value("next_try"), now + delay(times - 1))

    def look(self) -> None:
        """See whether the files are still there."""
        self.there = all(os.path.exists(os.path.join(self.folder, name)) for name in (CERTIFICATE, KEY))

    def usable(self, now: float, ca: str | None) -> bool:
        """Whether workers have something to show. `ca`: fingerprint of the local CA, None when it is not known."""
        record = self.record
        if not self.there or not record.get("source") or self.value("not_after") <= now:
            return False
        return record["source"] != LOCAL or ca is None or record.get("ca") == ca

    def task(self, now: float, ca: str | None) -> str:
        """What is to be done now: LOCAL, ORDER or NOTHING."""
        if self.busy:
            return NOTHING
        if not self.usable(now, ca):
            return LOCAL
        source, due = self.record["source"], self.value("renew_at") <= now
        if self.public and (source != ACME or due) and self.value("next_try") <= now:
            return ORDER
        stands_in = bool(self.record.get("provisional"))
        if source == LOCAL and (due or stands_in != self.public):
            return LOCAL
        if source == ACME and not self.public:
            return LOCAL
        return NOTHING

    def begin(self, now: float) -> None:
        """An order begins. It is written down first, so that one that makes us die is not repeated without end."""
        self.record["begun"] = now

    def got(self, record: Record) -> None:
        """A certificate was written down. One of the local CA takes nothing away from what is known about orders."""
        kept = ("failures", "next_try", "problem", "blocked", "interrupted", "begun")
        past = {word: self.record[word] for word in kept if word in self.record} if record.get("source") == LOCAL else {}
        self.record = {**record, **past}
        self.there = True

    def failed(self, problem: str, blocked: dict[str, float], directories: list[str], now: float) -> None:
        """An order came to nothing. `blocked`: until when each authority does not want to be asked."""
        failures = self.number("failures") + 1
        until = {url: at for url, at in blocked.items() if url in directories and at > now}
        next_try = now + delay(failures)
        if directories and len(until) == len(set(directories)):
            next_try = max(next_try, min(until.values()) + random.uniform(1.0, 30.0))
        self.record |= {"failures": failures, "problem": problem, "blocked": until, "next_try": next_try, "begun": 0.0}

    def follow(self, renew_before: float | None, retry: bool) -> None:
        """Take up what the configuration says: how long before its end to renew (s), and, if it has changed, try what failed."""
        if renew_before is not None and self.record.get("source") == ACME:
            span = self.value("not_after") - self.value("not_before")
            self.record["renew_at"] = self.value("not_after") - min(renew_before, 0.9 * span)
        if retry and self.number("failures"):
            self.record["next_try"] = 0.0

    def hurry(self) -> None:
        """Try, or renew, as soon as possible: somebody has asked for it."""
        self.record |= {"next_try": 0.0, "renew_at": 0.0, "blocked": {}}

    def row(self) -> dict[str, Any]:
        """What people see of it."""
        record = self.record
        waits = self.public and (record.get("source") != ACME or self.number("failures") > 0)
        return {
            "host": self.host,
            "wanted": ACME if self.public else LOCAL,
            "source": record.get("source") or None,
            "issuer": record.get("issuer") or None,
            "not_after": self.value("not_after") or None,
            "next_try": self.value("next_try") if waits else self.value("renew_at") or None,
            "busy": bool(self.busy),
            "failures": self.number("failures"),
            "problem": record.get("problem") or "",
        }

    def value(self, word: str) -> float:
        """A time of the record, 0 when it is not there."""
        return float(self.record.get(word) or 0.0)

    def number(self, word: str) -> int:
        """A count of the record, 0 when it is not there."""
        return int(self.record.get(word) or 0)


def delay(failures: int) -> float:
    """Seconds until the next try after so many failures in a row, never the same for two hosts."""
    return float(min(FIRST_DELAY * 3.0 ** min(failures - 1, 20), LONGEST_DELAY) * random.uniform(0.8, 1.2))


def read_record(path: str) -> Record:
    """A record from the disk; empty when there is none or it makes no sense."""
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.loads(stream.read(1 << 16))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    numbers = all(isinstance(found.get(word, 0.0), int | float) for word in (*_NUMBERS, "failures", "interrupted"))
    texts = all(isinstance(found.get(word, ""), str) for word in _TEXTS)
    blocked = found.get("blocked", {})
    times = isinstance(blocked, dict) and all(isinstance(at, int | float) for at in blocked.values())
    return found if numbers and texts and times else {}
