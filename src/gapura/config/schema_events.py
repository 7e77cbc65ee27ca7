"""`[events]`: whom is told what happens: a log, webhooks, a command."""

from __future__ import annotations

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, WithJsonSchema

from ..events import SEVERITIES, WORDS
from .plan_events import ERROR_SHARE, FORMATS
from .quantities import positive_seconds
from .schema_log import Rotate, rotate_form
from .section import Also, Among, OneOfMany, Section, Text, short
from .words import did_you_mean, shown, wrong

LONGEST_TIME: Final = 600.0
"""Seconds that a command or an attempt to post may take at most."""
_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)
_OURS: Final = frozenset(("host", "content-type", "content-length", "transfer-encoding", "connection", "expect"))
_HINT: Final = 'write url = "https://hooks.example.com/…"'


def _only(value: object) -> object:
    words = [value] if isinstance(value, str) else value
    for word in words if isinstance(words, list) else ():
        if isinstance(word, str) and word not in WORDS:
            hint = did_you_mean(word, WORDS)
            if hint.startswith("known"):
                hint = (
                    f"a severity ({', '.join(SEVERITIES)}), a group (app, server, …) or a type (app.crashed): `gapura events types`"
                )
            raise wrong(f'there is no event "{shown(word)}"', hint)
    return words


def _url(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        parts = urlsplit(value)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        known = False
    if not known or not value.isascii() or any(c in value for c in ' \t"<>\\'):
        raise wrong(f'"{shown(value)}" is no URL', _HINT)
    if parts.username is not None:
        raise wrong("a URL holds no user and password here", 'write headers = { Authorization = "Basic …" }')
    if parts.fragment:
        raise wrong("what follows # in a URL is never sent", "leave it out")
    return value


def _headers(value: object) -> object:
    for name, text in value.items() if isinstance(value, dict) else ():
        if not _NAME.fullmatch(name):
            raise wrong(f'"{shown(name)}" is not the name of a header', 'write headers = { Authorization = "Bearer …" }')
        if name.lower() in _OURS or name.lower().startswith("webhook-"):
            raise wrong(f"{name} is set by Gapura", "leave it out")
        if isinstance(text, str) and not text.isascii():
            raise wrong(f"the value of {name} has characters outside ASCII", "a key has none")
    return value


def _share(value: object) -> object:
    if value is False:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise wrong(f"a share is a number from 0 to 1: {shown(value)}", "0.05 is one answer in twenty; false: no watch")
    return float(value)


def _time(value: object) -> object:
    seconds = positive_seconds(value)
    if seconds > LONGEST_TIME:
        raise wrong("at most ten minutes", "what takes longer is better begun in the background")
    return seconds


def _log(value: object) -> object:
    return "" if value is False else None if value is True else value


Only = Annotated[
    list[str],
    BeforeValidator(_only),
    WithJsonSchema({"anyOf": [{"type": "string", "enum": list(WORDS)}, {"type": "array", "items": {"enum": list(WORDS)}}]}),
]
Time = Annotated[float, BeforeValidator(_time), WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}]})]


class Webhook(Section):
    """A URL that events are posted to, each once it has happened."""

    url: Annotated[Text, BeforeValidator(_url)] | None = None
    """Where to: "https://hooks.example.com/…"."""
    url_file: Annotated[Text, Field(min_length=1)] | None = None
    """A file whose first line is the URL, for one that is a secret (Slack, Discord, Telegram): in place of `url`."""
    format: Annotated[str, Among("format", FORMATS)] = "json"
    """What is sent: `json`, the event as it is; `slack` (Mattermost, Rocket.Chat, Google Chat too), `discord`, `telegram`: a
    message for people; `plain`: its sentence as text (ntfy)."""
    chat: Annotated[Text, Field(min_length=1, max_length=100)] | None = None
    """Of `telegram`: the chat's number or @name."""
    headers: Annotated[dict[str, Text], BeforeValidator(_headers)] = Field(default_factory=dict)
    """Sent with each: { Authorization = "Bearer …" }."""
    secret_file: Annotated[Text, Field(min_length=1)] | None = None
    """A file with the key that each body is signed with, so that the receiver can tell that it comes from here (header
    webhook-signature, see docs/events.md)."""
    only: Only = Field(default_factory=list)
    """Which events: severities and above ("warning"), groups ("app") and types ("app.crashed"). Left out: all."""
    timeout: Time = Field(default=10.0, json_schema_extra={"default": "10s"})
    """How long one attempt may take. It is tried again for an hour."""
    ca: Annotated[Text, Field(min_length=1)] | None = None
    """PEM file with the CAs to trust. Left out: those of the system."""


class OnEvent(Section):
    """A command that is run for each event, as the user of the workers. A text alone is the command."""

    command: Annotated[Text, Field(min_length=1)]
    """For /bin/sh. The event comes as JSON on standard input, and in variables: $GAPURA_EVENT_TYPE, _SEVERITY, _SUBJECT, _TEXT."""
    only: Only = Field(default_factory=list)
    """Which events, as in webhooks. Left out: all."""
    timeout: Time = Field(default=30.0, json_schema_extra={"default": "30s"})
    """After this time it is killed, with all that it has started."""


class Events(Section):
    """Whom is told what happens: app crashed, server out, certificate soon expires, reload, …"""

    log: Annotated[Text | None, BeforeValidator(_log), WithJsonSchema({"type": ["string", "boolean"]})] = None
    """File with one JSON object a line; false: none. Left out: events.log in the logs folder. The last 1,000 events are read from
    it after a restart."""
    rotate: Annotated[Rotate, BeforeValidator(rotate_form), Also({"type": "boolean"})] | None = None
    """When the file makes place for a new one; false: never, or by another program."""
    on_event: Annotated[OnEvent, short("command"), Also({"type": "string"})] | None = None
    """A command for each event: desktop notes, e-mail."""
    webhooks: Annotated[list[Webhook], OneOfMany()] = Field(default_factory=list)
    """URLs that events are posted to."""
    error_share: Annotated[float, BeforeValidator(_share), WithJsonSchema({"type": ["number", "boolean"], "minimum": 0})] = (
        ERROR_SHARE
    )
    """More errors (5xx) than this share of a site's answers within a minute are an event; false: none."""
