"""Talking to the master over its control socket (`docs/ARCHITECTURE.md`, commands → master)."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from gapura import ipc
from gapura.cli.place import Place, short
from gapura.errors import EXIT_FAILURE, CommandError, Problem

PATIENCE = 10.0
"""Seconds within which a master answers a question that needs no work."""


def ask(
    place: Place,
    name: str,
    progress: Callable[[str], None] | None = None,
    timeout: float | None = None,
    until_gone: bool = False,
    **arguments: Any,
) -> dict[str, Any]:
    """Have the master carry out command `name`; the result's fields.

    `progress` gets each sentence about work under way. `timeout` is the longest silence in seconds. `until_gone` waits until
    the master has ended as well. Raises `CommandError`: nobody runs here, or the master's own error.
    """
    channel = _connect(place)
    try:
        message = channel.ask({"type": "command", "name": name, **arguments}, timeout)
        while message.get("type") == "progress":
            if progress is not None:
                progress(str(message.get("text", "")))
            message = channel.wait(timeout)
        if until_gone and message.get("ok"):
            _await_end(channel)
    except ipc.ChannelClosed:
        raise CommandError("Gapura ended before it answered", "see `gapura status`") from None
    except TimeoutError:
        raise CommandError(f"Gapura has not answered for {timeout:.0f} s", f"its log is {short(_log(place))}") from None
    finally:
        channel.close()
    return _result(message)


def running_status(place: Place) -> dict[str, Any] | None:
    """The status document, or None when no Gapura runs here."""
    try:
        channel = _connect(place)
    except CommandError:
        return None
    channel.close()
    return ask(place, "status", timeout=PATIENCE)


def _connect(place: Place) -> ipc.Channel:
    path = os.path.join(place.run, "control.sock")
    try:
        return ipc.connect(place.run)
    except (FileNotFoundError, NotADirectoryError):
        raise CommandError(f"Gapura is not running here (no {short(path)})", "start it with `gapura up`") from None
    except ConnectionRefusedError:
        raise CommandError(
            f"Gapura is not running here any more (nobody answers on {short(path)})",
            "`gapura up` starts it; apps and workers that are still alive are taken over",
        ) from None
    except PermissionError:
        raise CommandError(f"{short(path)} belongs to another user", "use the account that started Gapura, or sudo") from None


def _await_end(channel: ipc.Channel) -> None:
    try:
        while True:
            channel.wait(PATIENCE)
    except (ipc.ChannelClosed, TimeoutError):
        return


def _result(message: ipc.Message) -> dict[str, Any]:
    if not message.get("ok"):
        problems = [Problem(**problem) for problem in message.get("problems") or []]
        error = str(message.get("error") or ("" if problems else "the master gave no reason"))
        raise CommandError(error, str(message.get("hint") or ""), int(message.get("status") or EXIT_FAILURE), problems)
    return {key: value for key, value in message.items() if key not in ("type", "ok")}


def _log(place: Place) -> str:
    return os.path.join(place.logs, "gapura.log")
