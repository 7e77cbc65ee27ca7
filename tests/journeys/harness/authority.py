"""A real certificate authority for tests: Debian's pebble, which validates for real, and a name server that knows all names."""

from __future__ import annotations

import base64
import datetime
import json
import os
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.update

from gapura.control import local_ca

SECRET = b"a secret of the tests, and only of them"
KEY_NAME = "gapura-test."


def free_port() -> int:
    """A port of 127.0.0.1 that the kernel has just given out."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class NameServer:
    """Answers every A question with 127.0.0.1 (names in `unknown` excepted), and TXT with what updates (RFC 2136) have set.

    `updates` lists what came as (verb, name, value).
    """

    def __init__(self, zone: str = "example.net.") -> None:
        self.zone = dns.name.from_text(zone)
        self.unknown: set[str] = set()
        self.texts: dict[str, list[str]] = {}
        self.updates: list[tuple[str, str, str]] = []
        while True:
            self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._udp.bind(("127.0.0.1", 0))
            self.port: int = self._udp.getsockname()[1]
            try:
                self._tcp = socket.create_server(("127.0.0.1", self.port))
                break
            except OSError:
                self._udp.close()
        self._keys = {dns.name.from_text(KEY_NAME): dns.tsig.Key(KEY_NAME, SECRET, "hmac-sha256.")}
        self.address = f"127.0.0.1:{self.port}"
        for work in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=work, daemon=True).start()

    def close(self) -> None:
        """Serve no more."""
        self._tcp.shutdown(socket.SHUT_RDWR)
        self._tcp.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"end", ("127.0.0.1", self.port))

    def _serve_udp(self) -> None:
        with self._udp:
            while True:
                wire, peer = self._udp.recvfrom(65535)
                if wire == b"end":
                    return
                if answer := self._answer(wire):
                    self._udp.sendto(answer, peer)

    def _serve_tcp(self) -> None:
        while True:
            try:
                client, _ = self._tcp.accept()
            except OSError:
                return
            with client, client.makefile("rb") as stream:
                client.settimeout(60)
                length = int.from_bytes(stream.read(2), "big")
                answer = self._answer(stream.read(length))
                client.sendall(len(answer).to_bytes(2, "big") + answer)

    def _answer(self, wire: bytes) -> bytes:
        try:
            message = dns.message.from_wire(wire, keyring=self._keys)
        except dns.message.UnknownTSIGKey:
            refused = dns.message.make_response(dns.message.from_wire(wire, keyring=None, continue_on_error=True))
            refused.set_rcode(dns.rcode.NOTAUTH)
            return refused.to_wire()
        except dns.exception.DNSException:
            return b""
        if message.opcode() == dns.opcode.UPDATE:
            return self._update(message)
        question = message.question[0]
        response = dns.message.make_response(message)
        response.flags |= dns.flags.AA
        name = question.name.to_text().lower()
        if name.rstrip(".") in self.unknown:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif question.rdtype == dns.rdatatype.A:
            response.answer.append(dns.rrset.from_text(question.name, 1, "IN", "A", "127.0.0.1"))
        elif question.rdtype == dns.rdatatype.TXT and self.texts.get(name):
            response.answer.append(dns.rrset.from_text(question.name, 1, "IN", "TXT", *self.texts[name]))
        elif question.rdtype == dns.rdatatype.SOA and question.name == self.zone:
            response.answer.append(dns.rrset.from_text(question.name, 1, "IN", "SOA", f"ns.{self.zone} me.{self.zone} 1 1 1 1 1"))
        return response.to_wire()

    def _update(self, message: dns.message.Message) -> bytes:
        response = dns.message.make_response(message)
        if not message.had_tsig or message.question[0].name != self.zone:
            response.set_rcode(dns.rcode.REFUSED)
            return response.to_wire()
        for found in message.sections[2]:
            name = found.name.to_text().lower()
            for record in found:
                value = record.to_text()
                if found.deleting is None:
                    self.texts.setdefault(name, []).append(value)
                else:
                    self.texts[name].remove(value)
                self.updates.append(("add" if found.deleting is None else "delete", name, value))
        return response.to_wire()


class Pebble:
    """One pebble. `http_port`: where it looks for http-01 proofs. `root` is a file with what its directory is verified with."""

    def __init__(self, program: str, folder: Path, names: NameServer, http_port: int, **environment: str) -> None:
        self.folder = folder
        folder.mkdir()
        now = datetime.datetime.now(datetime.UTC)
        ca = local_ca.make_root(now)
        pair = local_ca.issue(ca, "127.0.0.1", "ecdsa", now)
        self.root = folder / "root.pem"
        self.root.write_text(ca.certificate)
        (folder / "cert.pem").write_text(pair.certificate)
        (folder / "key.pem").write_text(pair.key)
        self.port, self.management = free_port(), free_port()
        self.url = f"https://127.0.0.1:{self.port}/dir"
        self._program, self._names = program, names
        self._http_port = http_port
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **changes: Any) -> None:
        """Run it; returns when it answers. `changes` are words of its configuration."""
        config = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": str(self.folder / "cert.pem"),
            "privateKey": str(self.folder / "key.pem"),
            "httpPort": self._http_port,
            "tlsPort": 1,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
            **changes,
        }
        (self.folder / "config.json").write_text(json.dumps({"pebble": config}))
        environment = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "20", **self._environment}
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-config", str(self.folder / "config.json"), "-dnsserver", self._names.address],
                env=environment,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + 60
        while True:
            try:
                self.get(self.url)
                return
            except OSError:
                assert time.monotonic() < end, self.log()
                assert self._process.poll() is None, self.log()
                time.sleep(0.02)

    def get(self, url: str) -> bytes:
        """What it answers."""
        context = ssl.create_default_context(cafile=str(self.root))
        with urllib.request.urlopen(url, timeout=60, context=context) as answer:
            body: bytes = answer.read()
            return body

    def issuer(self) -> str:
        """The root certificate of what it issues, as PEM."""
        return self.get(f"https://127.0.0.1:{self.management}/roots/0").decode()

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def stop(self) -> None:
        """End it. What it knew, accounts included, is forgotten."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def key_file(folder: Path) -> Path:
    """A file with the TSIG secret of the name server."""
    path = folder / "tsig.key"
    path.write_text(base64.b64encode(SECRET).decode() + "\n")
    return path
