"""The TXT record that proves a name (dns-01, RFC 8555 §8.4): set by a command of the user's, or by RFC 2136."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Final

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update

from gapura.config.plan_acme import AcmePlan, UpdatePlan
from gapura.control.relay import Relay
from gapura.control.trouble import Trouble, printable

HOOK: Final = 180.0
"""Seconds that the user's command may take: it waits until the record can be seen."""
PATIENCE: Final = 10.0
"""Seconds that a name server may be silent."""
SEEN: Final = 60.0
"""Seconds until the record must be seen at the server that took it."""
LIFETIME: Final = 60
"""Time to live of the record, in seconds."""


@contextlib.contextmanager
def published(relay: Relay, acme: AcmePlan, name: str, value: str) -> Iterator[None]:
    """While this lasts, `name` has a TXT record with `value`. Raises Trouble."""
    update = acme["update"]
    if update is not None:
        secret = relay.lend("file", update["key_file"])
        if secret is None:
            raise Trouble(f"the TSIG key {update['key_file']} cannot be read")
        server = Server(update, secret)
        server.change(name, value, present=True)
        try:
            server.await_record(name, value)
            yield
        finally:
            with contextlib.suppress(Trouble):
                server.change(name, value, present=False)
        return
    run_hook(acme["exec"], "present", name, value)
    try:
        yield
    finally:
        with contextlib.suppress(Trouble):
            run_hook(acme["exec"], "cleanup", name, value)


def run_hook(command: str, verb: str, name: str, value: str) -> None:
    """Run the user's command with `present` or `cleanup`, the name and the value behind it. Raises Trouble."""
    kept = ("PATH", "HOME", "LANG", "TZ")
    environment = {word: os.environ[word] for word in kept if word in os.environ}
    try:
        done = subprocess.run(
            [*shlex.split(command), verb, name, value],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=HOOK,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Trouble(f"the command {command} has not ended within {HOOK:.0f} s") from None
    except (OSError, ValueError) as error:
        raise Trouble(f"the command {command} cannot be run: {getattr(error, 'strerror', None) or error}") from None
    if done.returncode:
        said = printable((done.stderr or done.stdout).decode("utf-8", "replace")[-400:])
        raise Trouble(f"the command {command} {verb} ended with {done.returncode}{f': {said}' if said else ''}")


class Server:
    """A name server that takes updates signed with our key. Raises Trouble everywhere."""

    def __init__(self, plan: UpdatePlan, secret: bytes) -> None:
        self._plan = plan
        self._label = f"the name server {plan['server']}"
        self._key = dns.tsig.Key(plan["key_name"], _secret(secret, plan["key_file"]), f"{plan['algorithm']}.")
        try:
            found = socket.getaddrinfo(plan["server"], plan["port"], type=socket.SOCK_STREAM)
        except OSError as error:
            raise Trouble(f"{self._label} is not found: {error.strerror}") from None
        self._address = str(found[0][4][0])

    def change(self, name: str, value: str, present: bool) -> None:
        """Add a TXT record, or take it away: other records of the name stay."""
        zone = dns.name.from_text(self._plan["zone"]) if self._plan["zone"] else self._zone(dns.name.from_text(name))
        update = dns.update.UpdateMessage(zone, keyring=self._key)
        owner = dns.name.from_text(name)
        if present:
            update.add(owner, LIFETIME, "TXT", f'"{value}"')
        else:
            update.delete(owner, "TXT", f'"{value}"')
        answer = self._ask(update)
        if answer.rcode() != dns.rcode.NOERROR:
            raise Trouble(f"{self._label} does not change {name}: {dns.rcode.to_text(answer.rcode())}")

    def await_record(self, name: str, value: str) -> None:
        """Wait until the server itself answers with the record."""
        deadline = time.monotonic() + SEEN
        delay = 0.1
        while time.monotonic() < deadline:
            answer = self._ask(dns.message.make_query(name, "TXT"))
            for found in answer.answer:
                if found.rdtype == dns.rdatatype.TXT and any(value.encode() in record.strings for record in found):
                    return
            time.sleep(delay)
            delay = min(2 * delay, 2.0)
        raise Trouble(f"{self._label} took the record of {name} but does not show it")

    def _zone(self, name: dns.name.Name) -> dns.name.Name:
        """The zone that a name belongs to: the nearest name above with an SOA record."""
        while name != dns.name.root:
            answer = self._ask(dns.message.make_query(name, "SOA"))
            for found in answer.answer:
                if found.rdtype == dns.rdatatype.SOA and found.name == name:
                    return name
            name = name.parent()
        raise Trouble(f"{self._label} has no zone for it: write zone in [edge.acme.dns.rfc2136]")

    def _ask(self, message: dns.message.Message) -> dns.message.Message:
        try:
            return dns.query.tcp(message, self._address, timeout=PATIENCE, port=self._plan["port"])
        except dns.tsig.PeerError as error:
            raise Trouble(f"{self._label} does not know our key {self._plan['key_name']}: {error}") from None
        except dns.exception.Timeout:
            raise Trouble(f"{self._label} does not answer") from None
        except (dns.exception.DNSException, EOFError, ValueError) as error:
            if "requires a TSIG" in str(error):
                known = f"it seems not to know our key {self._plan['key_name']}"
                raise Trouble(f"{self._label} answers without a signature: {known}") from None
            raise Trouble(f"{self._label} answers something that makes no sense: {printable(str(error))}") from None
        except OSError as error:
            raise Trouble(f"{self._label} cannot be reached: {(error.strerror or str(error)).lower()}") from None


def _secret(raw: bytes, file: str) -> bytes:
    """The secret in a key file: base64 alone, or what tsig-keygen writes."""
    text = raw.decode("ascii", "replace")
    match = re.search(r'secret\s+"([^"]+)"', text)
    try:
        return base64.b64decode(match[1] if match else text.strip(), validate=True)
    except ValueError:
        raise Trouble(f"{file} holds no TSIG secret: write it in base64, or the file of tsig-keygen") from None
