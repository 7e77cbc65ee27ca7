"""Asking the admin API on the machine itself, over `admin.sock` in the run folder: who may open it has all rights."""

from __future__ import annotations

import http.client
import json
import os
import socket
from typing import Any, Final
from urllib.parse import quote

from gapura import ipc
from gapura.cli.place import Place, short
from gapura.errors import CommandError

PATIENCE: Final = 30.0
"""Seconds: the first question of all makes control import what answers it."""
SOCKET: Final = "admin.sock"


class _Connection(http.client.HTTPConnection):
    """A connection over a UNIX socket."""

    def __init__(self, folder: str) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._folder = folder

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        path, opened = ipc.shortened(self._folder, SOCKET)
        try:
            self.sock.connect(path)
        finally:
            if opened >= 0:
                os.close(opened)


class NotFound(CommandError):
    """The API knows nothing of the kind."""


def get(place: Place, *parts: str) -> dict[str, Any]:
    """The document at these parts of a path, `/v1/` before them. Raises `NotFound`, `CommandError`."""
    status, text = fetch(place, "/v1/" + "/".join(quote(part, safe="") for part in parts), "application/json")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"the admin API broke off ({error})", "see `gapura status`") from None
    if not isinstance(document, dict):
        raise CommandError("the admin API gave an answer of another version", "`gapura version` shows both")
    if status != 200:
        kind = NotFound if status == 404 else CommandError
        raise kind(str(document.get("detail") or document.get("title") or status), str(document.get("hint") or ""))
    return document


def fetch(place: Place, target: str, accept: str) -> tuple[int, bytes]:
    """Status and body of what the API answers. Raises `CommandError`."""
    path = os.path.join(place.run, SOCKET)
    connection = _Connection(place.run)
    try:
        connection.request("GET", target, headers={"Accept": accept})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        raise CommandError(f"Gapura is not running here (nobody answers on {short(path)})", "start it with `gapura up`") from None
    except PermissionError:
        raise CommandError(f"{short(path)} belongs to another user", "use the account that started Gapura, or sudo") from None
    except TimeoutError:
        raise CommandError(f"the admin API has not answered for {PATIENCE:.0f} s", "see `gapura status`") from None
    except (OSError, http.client.HTTPException) as error:
        raise CommandError(f"the admin API broke off ({error})", "see `gapura status`") from None
    finally:
        connection.close()
