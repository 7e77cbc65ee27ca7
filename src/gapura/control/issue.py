"""`python -P -m gapura.control.issue FD`: gets certificates for one job and ends. FD is the channel to control.

A process of its own, because cryptography and an ACME client take 40 MB and block: control stays small and its loop free. The job
is the first message; ours are `got` for each certificate, `renewals`, and as the last one `done` or `failed`.
"""

from __future__ import annotations

import datetime
import hashlib
import random
import socket
import sys
import time
from typing import Any

from gapura import ipc
from gapura.config.local_names import is_address
from gapura.config.plan_acme import AcmePlan
from gapura.config.plan_tls import folder_of
from gapura.control import acme_client, acme_order, local_ca, trouble
from gapura.control.local_ca import Pair
from gapura.control.relay import Relay, RelayError, go_with_parent

Job = dict[str, Any]


def run(relay: Relay, job: Job) -> None:
    """Carry out a job and tell what came of it."""
    try:
        {"local": _local, "order": _order, "renewal": _renewal}[job["job"]](relay, job)
    except trouble.Trouble as error:
        relay.say("failed", problem=error.text, blocked={})
    except RelayError as error:
        relay.say("failed", problem=str(error), blocked={})


def _local(relay: Relay, job: Job) -> None:
    """Certificates of the local CA, which is made at the first time, or when the old one cannot be used any more."""
    now = datetime.datetime.now(datetime.UTC)
    root = _root(relay, now)
    for host in job["hosts"]:
        pair = local_ca.issue(root, host, job["key"], now)
        found = acme_order.facts(pair.certificate)
        span = found["not_after"] - found["not_before"]
        record = {
            **job["records"].get(host, {}),
            **found,
            "source": "local",
            "provisional": host in job["public"],
            "ca": hashlib.sha256(root.certificate.encode()).hexdigest(),
            "renew_at": found["not_after"] - span / 3,
            "look_at": 0.0,
            "directory": "",
            "id": "",
        }
        relay.keep("certificate", folder_of(host), secret=pair._asdict(), record=record)
        relay.say("got", host=host, record=record)
    relay.say("done")


def _root(relay: Relay, now: datetime.datetime) -> Pair:
    """The local CA. A new one when there is none, or it would end before what it signs."""
    certificate, key = relay.lend("ca"), relay.lend("ca-key")
    if certificate and key:
        root = Pair(certificate.decode("ascii", "replace"), key.decode("ascii", "replace"))
        try:
            local_ca.issue(root, "localhost", "ecdsa", now)
            if local_ca.expires(root.certificate) - now > datetime.timedelta(days=local_ca.LEAF_DAYS):
                return root
        except ValueError:
            pass
    root = local_ca.make_root(now)
    relay.keep("ca", secret=root._asdict())
    return root


def _order(relay: Relay, job: Job) -> None:
    """A certificate of the first authority that gives one."""
    acme: AcmePlan = job["acme"]
    host, record = str(job["host"]), job["record"]
    problems, blocked = [], dict(record.get("blocked") or {})
    if problem := _hopeless(acme, host):
        relay.say("failed", problem=problem, blocked=blocked)
        return
    for directory in acme_client.directories(acme, blocked, time.time()):
        url = directory["url"]
        replaces = record.get("id", "") if record.get("directory") == url else ""
        try:
            pair = acme_order.Order(relay, acme, directory, host, replaces).run()
        except trouble.Trouble as error:
            problems.append(error.text)
            if error.retry_after:
                blocked[url] = time.time() + error.retry_after
            continue
        found = acme_order.facts(pair.certificate)
        fresh = {**found, "source": "acme", "directory": url, "id": acme_order.certificate_id(pair.certificate), "ca": ""}
        fresh |= {"renew_at": _renew_at(acme, found), "look_at": 0.0, "key": acme["key"]}
        # Whatever is suggested: a certificate is not replaced at once by the next one, and again.
        fresh["next_try"] = time.time() + min(3600.0, (found["not_after"] - found["not_before"]) / 10)
        relay.keep("certificate", folder_of(host), secret=pair._asdict(), record=fresh)
        relay.say("got", host=host, record=fresh)
        relay.say("done")
        return
    relay.say("failed", problem="; ".join(problems) or "no authority may be asked yet", blocked=blocked)


def _hopeless(acme: AcmePlan, host: str) -> str:
    """Why no authority needs to be bothered, or "". One of the user's own may know names that this machine does not."""
    if acme["exec"] or acme["update"]:
        return ""
    if host.startswith("*."):
        return "a wildcard is proved by DNS only: write dns in [edge.acme]"
    if acme["ca"] or is_address(host) or trouble.addresses(host) is not None:
        return ""
    return f"no DNS server knows {host}: let its A or AAAA record lead to this server"


def _renew_at(acme: AcmePlan, found: dict[str, float]) -> float:
    """When to renew, if the authority suggests nothing: a little earlier or later than others that came at the same time."""
    span = found["not_after"] - found["not_before"]
    before = acme["renew_before"] if acme["renew_before"] is not None else span / 3
    before = min(before, span * 0.9)
    return found["not_after"] - before * random.uniform(1.0, 1.05)


def _renewal(relay: Relay, job: Job) -> None:
    """What the authorities suggest for certificates that are there (RFC 9773)."""
    clients: dict[str, acme_client.Client] = {}
    found: dict[str, list[float]] = {}
    for item in job["certificates"]:
        url = str(item["directory"])
        plan = next((directory for directory in job["acme"]["directories"] if directory["url"] == url), None)
        if plan is None:
            continue
        try:
            with trouble.told(item["host"], url):
                if url not in clients:
                    clients[url] = acme_client.Client(plan, acme_client.Network(url, job["acme"]["ca"]), relay)
                with open(item["file"], encoding="ascii") as stream:
                    found[item["host"]] = list(acme_order.renewal(clients[url], stream.read(acme_client.LARGEST)))
        except trouble.Trouble:
            continue  # asked again later; the certificate's own end counts meanwhile
    relay.say("renewals", found=found)
    relay.say("done")


def main(fd: int) -> None:
    """Wait for the job, do it, end."""
    go_with_parent()
    relay = Relay(socket.socket(fileno=fd))
    try:
        run(relay, relay.wait())
    except ipc.ChannelClosed:
        pass  # nobody waits for it any more


if __name__ == "__main__":
    main(int(sys.argv[1]))
