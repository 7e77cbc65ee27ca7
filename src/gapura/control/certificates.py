"""All certificates that are got by themselves: which there must be, what is done next, who is at work on it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from gapura import ipc
from gapura.config.local_names import is_local
from gapura.config.plan import Plan
from gapura.config.plan_acme import AcmePlan, default
from gapura.control.certificate import ACME, LOCAL, ORDER, Certificate
from gapura.control.errand import Errand
from gapura.events import Tell, nobody

SWEEP: Final = 1.0
"""Seconds between two looks at what is due."""
FILES: Final = 60.0
"""Seconds between two looks whether the files are still there."""
ORDERS: Final = 2
"""Orders under way at the same time; each is a process of 50 MB."""
BATCH: Final = 50
"""Certificates for which authorities are asked in one go when they shall be renewed."""
LOOK_AGAIN: Final = 6 * 3600.0, 60.0, 86400.0
"""Seconds until an authority is asked again when to renew: if it says nothing, at least, at most (RFC 9773 §4.3)."""
LOCAL_PAUSE: Final = 5.0, 600.0
"""Seconds until the local CA is asked again after it could not issue: at first, at most."""

Send = Callable[[ipc.Message, tuple[int, ...]], None]

log = logging.getLogger(__name__)


class Certificates:
    """Sees to it that there is a certificate for every host of a site with `tls = "auto"`, and always a working one.

    `send` talks to the master, which alone writes. Everything that takes time or memory happens in errands.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, send: Send) -> None:
        self.hosts: dict[str, Certificate] = {}
        self._loop = loop
        self._send = send
        self._acme: AcmePlan = default()
        self._lib = ""
        self._ca: str | None = None
        self._errands: list[Errand] = []
        self._asked: dict[int, tuple[Errand, Any]] = {}
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None
        self._looked = 0.0
        self._local_pause = LOCAL_PAUSE[0]
        self._local_from = 0.0
        self._told: list[dict[str, Any]] | None = None
        self.tell: Tell = nobody

    def apply(self, plan: Plan) -> None:
        """See to the certificates of this plan. What is known of hosts that stay is kept."""
        now = time.time()
        if self._timer is None:
            self._send({"type": "forget"}, ())  # challenges of who died in the middle of an order
        before, self.hosts = self.hosts, {}
        if self._lib != plan["paths"]["lib"]:
            before, self._lib = {}, plan["paths"]["lib"]
        acme = plan["edge"]["acme"] or default()
        other, self._acme = acme != self._acme, acme
        for host, public in wanted(plan).items():
            known = before.get(host)
            if known is None:
                known = Certificate(host, self._lib, public)
                known.load(now)
            known.public = public
            known.follow(acme["renew_before"], retry=other and self._timer is not None)
            self.hosts[host] = known
        self._looked = 0.0
        if self._timer is None:
            self._sweep()

    def pause(self) -> None:
        """Do nothing more: there is no master that could write anything down."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for errand in self._errands:
            errand.cancel()
        self._errands.clear()
        self._asked.clear()
        for certificate in self.hosts.values():
            certificate.busy = ""

    def answer(self, message: ipc.Message, fds: list[int]) -> None:
        """The master's `kept` or `lent`, for the child that asked. The descriptors stay the caller's."""
        number = message.get("id")
        errand, theirs = self._asked.pop(number, (None, None)) if isinstance(number, int) else (None, None)
        if errand is not None:
            errand.send({**message, "id": theirs}, tuple(fds))

    def hurry(self, hosts: Iterable[str]) -> None:
        """Try, or renew, these hosts now."""
        for host in hosts:
            certificate = self.hosts.get(host)
            if certificate is not None:
                certificate.hurry()

    # -- what is due ----------------------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        now = time.time()
        try:
            if abs(now - self._looked) >= FILES:
                self._looked = now
                self._look()
            self._begin_what_is_due(now)
            self._tell()
        except Exception:
            log.exception("a look at the certificates failed")
        finally:
            self._timer = self._loop.call_later(SWEEP, self._sweep)

    def _look(self) -> None:
        for certificate in self.hosts.values():
            certificate.look()
        self._ca = ca_fingerprint(self._lib)

    def _begin_what_is_due(self, now: float) -> None:
        tasks = {certificate: certificate.task(now, self._ca) for certificate in self.hosts.values()}
        local = [certificate for certificate, task in tasks.items() if task == LOCAL]
        if local and not self._under_way("local") and now >= self._local_from:
            self._issue_locally(local)
        for certificate in [certificate for certificate, task in tasks.items() if task == ORDER]:
            if self._under_way("order") >= ORDERS:
                break
            self._order(certificate, now)
        asking = [
            certificate
            for certificate in self.hosts.values()
            if certificate.record.get("source") == ACME and certificate.there and not certificate.busy
            if certificate.value("look_at") <= now
        ]
        if asking and not self._under_way("renewal") and self._acme["renew_before"] is None:
            self._ask_when_to_renew(asking[:BATCH])

    def _under_way(self, job: str) -> int:
        return sum(errand.job["job"] == job for errand in self._errands)

    def _issue_locally(self, certificates: list[Certificate]) -> None:
        hosts = [certificate.host for certificate in certificates]
        records = {certificate.host: certificate.record for certificate in certificates}
        public = [certificate.host for certificate in certificates if certificate.public]
        job = {"job": "local", "hosts": hosts, "public": public, "records": records, "key": self._acme["key"]}

        def heard(message: ipc.Message) -> None:
            if message.get("type") == "got":
                self._got(message)
            elif message.get("type") == "failed":
                problems.append(str(message.get("problem")))

        def over(errand: Errand, reason: str) -> None:
            self._end(errand, certificates)
            problem = reason or "; ".join(problems)
            if problem:
                log.error("no certificate of the local CA for %s: %s", ", ".join(hosts), problem)
                self._local_pause = min(2 * self._local_pause, LOCAL_PAUSE[1])
            else:
                self._local_pause = LOCAL_PAUSE[0]
            self._local_from = time.time() + (self._local_pause if problem else 0.0)
            self._ca = ca_fingerprint(self._lib)

        problems: list[str] = []
        self._start(job, heard, over, certificates)

    def _order(self, certificate: Certificate, now: float) -> None:
        directories = [directory["url"] for directory in self._acme["directories"]]
        job = {"job": "order", "host": certificate.host, "record": dict(certificate.record), "acme": self._acme}
        outcome: list[ipc.Message] = []

        def heard(message: ipc.Message) -> None:
            if message.get("type") == "got":
                self._got(message)
                issuer, end = certificate.record.get("issuer"), certificate.value("not_after")
                log.info("%s has a certificate of %s", certificate.host, issuer)
                day = time.strftime("%Y-%m-%d", time.gmtime(end))
                text = f"{certificate.host} has a certificate of {issuer}, until {day}"
                self.tell("certificate.issued", certificate.host, text, issuer=issuer, not_after=end)
            elif message.get("type") == "failed":
                outcome.append(message)

        def over(errand: Errand, reason: str) -> None:
            self._end(errand, [certificate])
            if reason or outcome:
                problem = reason or str(outcome[0].get("problem"))
                blocked = outcome[0].get("blocked") if outcome else {}
                certificate.failed(problem, blocked if isinstance(blocked, dict) else {}, directories, time.time())
                self._keep_record(certificate)
                wait = certificate.value("next_try") - time.time()
                shown = "the old one" if certificate.record.get("source") == ACME else "one of the local CA"
                log.warning("no new certificate for %s: %s; %s is served, next try in %d s", certificate.host, problem, shown, wait)
                if certificate.number("failures") == 1:
                    text = f"no new certificate for {certificate.host}: {problem}; {shown} is served, and it is tried again"
                    self.tell("certificate.failed", certificate.host, text, problem=problem)

        certificate.begin(now)
        self._keep_record(certificate)
        self._start(job, heard, over, [certificate])

    def _ask_when_to_renew(self, certificates: list[Certificate]) -> None:
        asked = [
            {"host": item.host, "directory": item.record.get("directory"), "file": item.file, "id": item.record.get("id")}
            for item in certificates
        ]
        found: dict[str, Any] = {}

        def heard(message: ipc.Message) -> None:
            if message.get("type") == "renewals" and isinstance(message.get("found"), dict):
                found.update(message["found"])

        def over(errand: Errand, reason: str) -> None:
            self._end(errand, [])
            now = time.time()
            otherwise, least, most = LOOK_AGAIN
            for item, was in zip(certificates, asked, strict=True):
                if item.record.get("id") != was["id"]:
                    continue  # it was replaced meanwhile
                renew_at, again = found.get(item.host, (0.0, now + otherwise))
                item.record["look_at"] = min(max(again, now + least), now + most)
                if renew_at:
                    item.record["renew_at"] = renew_at
                self._keep_record(item)

        self._start({"job": "renewal", "acme": self._acme, "certificates": asked}, heard, over, [])

    # -- errands --------------------------------------------------------------------------------------------------------------

    def _start(
        self,
        job: dict[str, Any],
        heard: Callable[[ipc.Message], None],
        over: Callable[[Errand, str], None],
        certificates: list[Certificate],
    ) -> None:
        try:
            self._errands.append(Errand(self._loop, job, heard, self._relay, over))
        except OSError as error:
            log.error("the process that gets certificates cannot be started: %s", error.strerror)
            self._local_from = time.time() + LOCAL_PAUSE[0]
            for certificate in certificates:
                certificate.record["next_try"] = time.time() + LOCAL_PAUSE[0]
            return
        for certificate in certificates:
            certificate.busy = job["job"]

    def _end(self, errand: Errand, certificates: list[Certificate]) -> None:
        if errand in self._errands:
            self._errands.remove(errand)
        self._asked = {number: asked for number, asked in self._asked.items() if asked[0] is not errand}
        for certificate in certificates:
            certificate.busy = ""

    def _relay(self, errand: Errand, message: ipc.Message, fds: list[int]) -> None:
        self._number += 1
        if message.get("type") != "forget":
            self._asked[self._number] = (errand, message.get("id"))
        self._send({**message, "id": self._number}, tuple(fds))

    def _got(self, message: ipc.Message) -> None:
        certificate, record = self.hosts.get(str(message.get("host"))), message.get("record")
        if certificate is not None and isinstance(record, dict):
            certificate.got(record)

    def _keep_record(self, certificate: Certificate) -> None:
        self._number += 1
        name = os.path.basename(certificate.folder)
        self._send({"type": "keep", "id": self._number, "kind": "record", "name": name, "record": certificate.record}, ())

    def _tell(self) -> None:
        """Tell the master what people may want to know, when it has changed."""
        rows = [certificate.row() for _, certificate in sorted(self.hosts.items())]
        if rows != self._told:
            self._told = rows
            self._send({"type": "certificates", "rows": rows}, ())


def wanted(plan: Plan) -> dict[str, bool]:
    """The hosts that need a certificate of ours, each with whether an authority shall vouch for it."""
    found: dict[str, bool] = {}
    for site in plan["sites"]:
        tls = site["tls"]
        if tls and tls["auto"]:
            for host in tls["names"]:
                found[host] = not (tls["local"] or is_local(host))
    return found


def ca_fingerprint(lib: str) -> str | None:
    """SHA-256 of the local CA's certificate file, "" when there is none, None when it may not be read."""
    try:
        with open(os.path.join(lib, "ca", "root.pem"), "rb") as stream:
            return hashlib.sha256(stream.read(1 << 16)).hexdigest()
    except FileNotFoundError:
        return ""
    except OSError:
        return None
