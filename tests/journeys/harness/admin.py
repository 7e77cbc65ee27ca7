"""Visitors of the admin API: through the edge, at its sockets, as other users of the machine, and with answers that go on."""

from __future__ import annotations

import contextlib
import http.client
import json
import pwd
import socket
import subprocess
import sys
from typing import Any

from .site import Site

HERE = "gapura.localhost"
OTHER = "daemon"
"""Somebody else on the machine."""


class Said:
    """What the API answered."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.fields = {name.lower(): value for name, value in response.getheaders()}
        self.text = response.read().decode()

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def ask(site: Site, path: str = "/v1/me", method: str = "GET", body: Any = None, port: Any = 0, **fields: str) -> Said:
    """A request to the dashboard's site, through the edge."""
    connection = http.client.HTTPConnection("127.0.0.1", port or site.port, timeout=60)
    try:
        headers = {"Host": HERE, **{name.replace("_", "-"): value for name, value in fields.items()}}
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {**headers, **({"Content-Type": "application/json"} if data else {})})
        return Said(connection.getresponse())
    finally:
        connection.close()


def knock(site: Site, path: str = "/v1/me", door: str = "admin") -> Said:
    """A request to a socket of the run folder."""
    connection = http.client.HTTPConnection("localhost", timeout=60)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(60)
    connection.sock.connect(str(site.folder / ".gapura" / f"{door}.sock"))
    with contextlib.closing(connection):
        connection.request("GET", path)
        return Said(connection.getresponse())


def as_user(name: str, program: str, *words: str) -> str:
    """What a program of another user of this machine prints."""
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", program, *words], user=name, group=pwd.getpwnam(name).pw_gid, extra_groups=[],
        cwd="/", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


BY_TCP = """
import http.client, sys
c = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]), timeout=60)
c.request(sys.argv[2], sys.argv[3], headers={'Host': 'gapura.localhost'})
print(c.getresponse().status)
"""
BY_SOCKET = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
try:
    s.connect(sys.argv[1])
except PermissionError:
    print('refused')
else:
    s.sendall(b'GET /v1/me HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n')
    print(s.recv(100))
"""


class Stream:
    """An answer that goes on."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._begin()

    def _begin(self) -> None:
        self._sock = socket.create_connection(("127.0.0.1", self._site.port), timeout=60)
        self._sock.sendall(b"GET /v1/live HTTP/1.1\r\nHost: gapura.localhost\r\nAccept: text/event-stream\r\n\r\n")
        self._seen = b""

    def served(self) -> bool:
        """Whether there is room for it; if not, it is told so."""
        while b"\r\n" not in self._seen:
            data = self._sock.recv(1 << 16)
            assert data
            self._seen += data
        status = int(self._seen.split()[1])
        assert status in (200, 429, 503)
        return status == 200

    def once_more(self) -> bool:
        """Try once more; whether there is room is still to be seen."""
        self.close()
        self._begin()
        return False

    def until(self, text: bytes) -> None:
        """Read until it has said this."""
        while text not in self._seen:
            data = self._sock.recv(1 << 16)
            assert data, self._seen[-500:]
            self._seen = self._seen[-100:] + data

    def ends(self) -> bool:
        """Read to its end, whichever way it ends."""
        try:
            while self._sock.recv(1 << 16):
                pass
        except ConnectionResetError:
            pass
        self._sock.close()
        return True

    def close(self) -> None:
        self._sock.close()
