"""What is posted about an event, in the form that the receiver knows, and how it is signed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any, Final

from gapura.config.plan_events import WebhookPlan
from gapura.events import ERROR, WARNING, Event

LONGEST: Final = 1800
"""Characters of a message for people; Discord takes 2,000."""
_SIGNS: Final = {ERROR: "🔴", WARNING: "🟠"}


def sentence(event: Event, sign: bool = True) -> str:
    """An event as one line for people."""
    mark = f"{_SIGNS.get(event['severity'], '🟢')} " if sign else ""
    text = f"{mark}{event['text']}"
    hint = event["data"].get("hint")
    return f"{text}\n{hint}"[:LONGEST] if isinstance(hint, str) and hint else text[:LONGEST]


def _json(event: Event, hook: WebhookPlan) -> Any:
    return event


def _slack(event: Event, hook: WebhookPlan) -> Any:
    """What apps print must not call a channel together: Slack reads commands between < and >."""
    return {"text": sentence(event).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}


def _discord(event: Event, hook: WebhookPlan) -> Any:
    return {"content": sentence(event), "allowed_mentions": {"parse": []}}


def _telegram(event: Event, hook: WebhookPlan) -> Any:
    return {"chat_id": hook["chat"], "text": sentence(event), "disable_web_page_preview": True}


_FORMS: Final[dict[str, Callable[[Event, WebhookPlan], Any]]] = {
    "json": _json,
    "slack": _slack,
    "discord": _discord,
    "telegram": _telegram,
}


def body(event: Event, hook: WebhookPlan) -> tuple[str, bytes]:
    """Content type and bytes of what is posted."""
    if hook["format"] == "plain":
        return "text/plain; charset=utf-8", sentence(event, sign=False).encode("utf-8", "replace")
    form = _FORMS[hook["format"]](event, hook)
    return "application/json", json.dumps(form, default=str).encode("ascii")


def headers(event: Event, hook: WebhookPlan, secret: str, data: bytes, kind: str, now: float) -> dict[str, str]:
    """The header fields of a post. With a secret they sign it as https://www.standardwebhooks.com says: HMAC-SHA256 over id, time
    and body. `now` is in seconds since 1970; the id is the same in each attempt.
    """
    number = f"evt_{event['id']}_{hashlib.sha256(event['at'].encode()).hexdigest()[:12]}"
    found = {"Content-Type": kind, **hook["headers"], "webhook-id": number, "webhook-timestamp": str(int(now))}
    if secret:
        signed = b".".join((number.encode(), str(int(now)).encode(), data))
        found["webhook-signature"] = "v1," + base64.b64encode(hmac.digest(_key(secret), signed, "sha256")).decode()
    return found


def _key(secret: str) -> bytes:
    """The bytes of a secret: base64 behind `whsec_`, else the text itself."""
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            pass
    return secret.encode()
