from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from gapura.config.plan_events import WebhookPlan
from gapura.control.event_body import body, headers
from gapura.events import Event, draft


def hook(**words: Any) -> WebhookPlan:
    plan: dict[str, Any] = {"url": "https://a.b/x", "url_file": "", "format": "json", "chat": "", "headers": {}, "secret_file": ""}
    return {**plan, "only": [], "timeout": 1.0, "ca": "", **words}  # type: ignore[typeddict-item,return-value]


def event(text: str = "web:0: out of memory", **data: Any) -> Event:
    return {"id": 7, **draft("app.crashed", "web:0", text, "", data, now=1.0)}


def test_json_is_the_event_itself() -> None:
    kind, data = body(event(status=-9), hook())
    assert kind == "application/json"
    assert json.loads(data) == event(status=-9)


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        ("slack", {"text": "🔴 &lt;!channel&gt; a &amp; b"}),
        ("discord", {"content": "🔴 <!channel> a & b", "allowed_mentions": {"parse": []}}),
        ("telegram", {"chat_id": "-1", "text": "🔴 <!channel> a & b", "disable_web_page_preview": True}),
    ],
)
def test_what_an_app_prints_calls_nobody_together(format: str, expected: dict[str, Any]) -> None:
    _, data = body(event("<!channel> a & b"), hook(format=format, chat="-1"))
    assert json.loads(data) == expected


def test_plain_is_the_sentence_and_the_hint() -> None:
    assert body(event(hint="see `dmesg`"), hook(format="plain")) == (
        "text/plain; charset=utf-8",
        b"web:0: out of memory\nsee `dmesg`",
    )


def test_a_message_is_short_enough_for_all() -> None:
    _, data = body(event("é" * 900, hint="x" * 5000), hook(format="discord"))
    assert len(json.loads(data)["content"]) <= 2000


@pytest.mark.parametrize("secret", ["plain words", "whsec_" + base64.b64encode(b"\x00\xff key").decode(), "whsec_not base64"])
def test_the_signature_is_that_of_standard_webhooks(secret: str) -> None:
    """Made again here as https://www.standardwebhooks.com says."""
    found = headers(event(), hook(headers={"X-A": "b"}), secret, b"body", "text/plain", 1_700_000_000.9)
    key = base64.b64decode(secret[6:]) if secret.endswith("=") or secret.startswith("whsec_AP") else secret.encode()
    signed = f"{found['webhook-id']}.{found['webhook-timestamp']}.".encode() + b"body"
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert found["webhook-signature"] == f"v1,{expected}"
    assert found["webhook-timestamp"] == "1700000000"
    assert found["X-A"] == "b"
    assert "." not in found["webhook-id"]


def test_without_a_secret_nothing_is_signed_but_each_event_has_its_number() -> None:
    first = headers(event(), hook(), "", b"", "text/plain", 1.0)
    again = headers(event(), hook(), "", b"", "text/plain", 2.0)
    assert "webhook-signature" not in first
    assert first["webhook-id"] == again["webhook-id"]
