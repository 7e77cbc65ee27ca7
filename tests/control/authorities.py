"""What an authority and the master are to the child that issues: authorities that misbehave, and a relay in this process."""

from __future__ import annotations

import datetime
import http.server
import json
import os
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gapura.control import local_ca
from gapura.control.relay import RelayError

Answer = tuple[int, dict[str, str], bytes]


class Relayed:
    """Stands in for `Relay`: what is kept is in `kept`, what can be lent in `files`; `said` is what control would hear."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Any] = {}
        self.files: dict[str, bytes] = {}
        self.said: list[dict[str, Any]] = []
        self.challenges: dict[str, str] = {}
        self.forgotten: list[str] = []
        self.before_keeping: Callable[[str], None] = lambda kind: None

    def keep(self, kind: str, name: str = "", secret: dict[str, str] | None = None, **fields: Any) -> None:
        self.before_keeping(kind)
        if kind == "challenge":
            self.challenges[name] = fields["text"]
        self.kept[kind, name] = {"secret": secret, **fields}

    def lend(self, kind: str, name: str = "") -> bytes | None:
        if kind == "file":
            return self.files.get(name)
        if kind in ("ca", "ca-key"):
            found = self.kept.get(("ca", ""))
            return found["secret"]["certificate" if kind == "ca" else "key"].encode() if found else None
        found = self.kept.get((kind, name))
        return json.dumps(found["secret"]).encode() if found else None

    def forget(self, name: str) -> None:
        self.forgotten.append(name)
        self.challenges.pop(name, None)

    def say(self, kind: str, **fields: Any) -> None:
        self.said.append({"type": kind, **fields})

    def last(self, kind: str) -> dict[str, Any]:
        """The last message of this kind."""
        return next(message for message in reversed(self.said) if message["type"] == kind)


class BrokenRelay(Relayed):
    """A master that keeps nothing."""

    def keep(self, kind: str, name: str = "", secret: dict[str, str] | None = None, **fields: Any) -> None:
        raise RelayError(f"the {kind} could not be kept: no space")


class Proofs:
    """The site that an authority looks at: answers with the challenges of a relay, on a port of its own."""

    def __init__(self, relay: Relayed) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                text = relay.challenges.get(self.path.rpartition("/")[2])
                self.send_response(200 if text else 404)
                self.end_headers()
                self.wfile.write((text or "no such page").encode())

            def log_message(self, *_: object) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Misbehaving:
    """An authority over TLS that answers every request as `answer(method, path)` says. `asked` lists what was asked."""

    def __init__(self, folder: Path, answer: Callable[[str, str], Answer]) -> None:
        asked: list[str] = []
        self.asked = asked
        now = datetime.datetime.now(datetime.UTC)
        ca = local_ca.make_root(now)
        pair = local_ca.issue(ca, "127.0.0.1", "ecdsa", now)
        folder.mkdir()
        self.root = folder / "root.pem"
        self.root.write_text(ca.certificate)
        (folder / "pair.pem").write_text(pair.certificate + pair.key)

        class Handler(http.server.BaseHTTPRequestHandler):
            def _answer(self) -> None:
                asked.append(f"{self.command} {self.path}")
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, body = answer(self.command, self.path)
                self.send_response(status)
                for name, value in {"Replay-Nonce": "bm9uY2U", "Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_POST = do_HEAD = _answer

            def log_message(self, *_: object) -> None: ...

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                """Clients that leave are no news."""

        self._server = Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "pair.pem")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}/dir"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def directory(self, **more: Any) -> bytes:
        """A directory (RFC 8555 §7.1.1) of this authority."""
        top = os.path.dirname(self.url)
        names = ("newNonce", "newAccount", "newOrder", "revokeCert", "keyChange")
        return json.dumps({**{name: f"{top}/{name}" for name in names}, "meta": {}, **more}).encode()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def plan(*urls: str, ca: Path | None = None, **changes: Any) -> dict[str, Any]:
    """The plan of `[edge.acme]` with these directories."""
    directories = [{"url": url, "key_id": "", "key_file": ""} for url in urls]
    words = {"email": "", "directories": directories, "key": "ecdsa", "ca": str(ca or ""), "exec": "", "update": None}
    return {**words, "renew_before": None, **changes}
