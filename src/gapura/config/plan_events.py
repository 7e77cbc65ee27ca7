"""The part of a plan that says whom events are told to. Secrets of files are named, never held."""

from __future__ import annotations

import os
from typing import Final, TypedDict

FORMATS: Final = ("json", "slack", "discord", "telegram", "plain")
ERROR_SHARE: Final = 0.05


class WebhookPlan(TypedDict):
    """A URL that events are posted to."""

    url: str  # "" with url_file
    url_file: str  # absolute path of a file that holds the URL, or ""
    format: str  # one of FORMATS
    chat: str  # of telegram, else ""
    headers: dict[str, str]
    secret_file: str  # absolute path of a file with the key that bodies are signed with, or ""
    only: list[str]  # words of events.WORDS; [] = every event
    timeout: float  # of one attempt
    ca: str  # absolute path of a PEM file, "" = those that the system trusts


class CommandPlan(TypedDict):
    """A command that is run for each event."""

    command: str  # for /bin/sh -c
    only: list[str]
    timeout: float


class EventsPlan(TypedDict):
    log: str  # path, "" = none
    error_share: float  # 0 = no watch over answers of 5xx
    on_event: CommandPlan | None
    webhooks: list[WebhookPlan]


def default(logs: str) -> EventsPlan:
    """What holds when nothing is said. `logs`: the logs folder."""
    return {"log": os.path.join(logs, "events.log"), "error_share": ERROR_SHARE, "on_event": None, "webhooks": []}


def files_of(events: EventsPlan | None) -> list[str]:
    """Files with secrets that the master lends control."""
    found = [path for hook in events["webhooks"] for path in (hook["url_file"], hook["secret_file"])] if events else []
    return [path for path in dict.fromkeys(found) if path]


def name_of(hook: WebhookPlan) -> str:
    """What a webhook is called in logs: its host, because the path of the URL is often the secret."""
    if hook["url_file"]:
        return os.path.basename(hook["url_file"])
    return hook["url"].partition("://")[2].partition("/")[0].rpartition("@")[2]
