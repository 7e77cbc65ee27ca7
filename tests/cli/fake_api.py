"""The admin API's socket, with answers that a test chooses."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer
from typing import Any

from gapura import ipc


class FakeApi:
    """Answers each path with what `says` holds for it: a document, a pair of status and document, or bytes as they are."""

    def __init__(self, run: Path) -> None:
        run.mkdir(parents=True, exist_ok=True)
        self.says: dict[str, Any] = {}
        self.asked: list[str] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api.asked.append(self.path)
                said = api.says.get(
                    self.path, (404, {"title": "Not Found", "status": 404, "detail": "no such thing", "hint": "look"})
                )
                if isinstance(said, bytes):
                    self.wfile.write(said)
                    return
                status, document = said if isinstance(said, tuple) else (200, said)
                text = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *arguments: object) -> None: ...

            def address_string(self) -> str:
                return "unix"

        self._server = UnixStreamServer(ipc.socket_path(str(run), "admin.sock"), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def refusing(run: Path) -> socket.socket:
    """A socket at the place of the API's on which nobody listens."""
    run.mkdir(parents=True, exist_ok=True)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(ipc.socket_path(str(run), "admin.sock"))
    return sock
