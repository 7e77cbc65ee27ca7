from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from gapura.config.load import load

Configure = Callable[..., str]


def plan(configure: Configure, text: str) -> object:
    return load(configure(f'[sites."a.b"]\nrespond = "x"\n[tracing]\n{text}'))["edge"].get("tracing")


def test_what_is_left_out(configure: Configure) -> None:
    assert plan(configure, 'endpoint = "http://127.0.0.1:4318"') == {
        "endpoint": "http://127.0.0.1:4318/v1/traces",
        "ratio": 1.0,
        "parent": True,
        "headers": {},
        "service": "gapura",
        "most": 200,
    }


def test_all_that_can_be_said(configure: Configure) -> None:
    text = """
    endpoint = "https://otel.example.com/api/v1/traces"
    ratio = 1
    parent = false
    headers = { "x-api-key" = "secret", Authorization = "Basic QQ==" }
    service = "tepi"
    most = 10
    """
    assert json.dumps(plan(configure, text)) == json.dumps(
        {
            "endpoint": "https://otel.example.com/api/v1/traces",
            "ratio": 1.0,
            "parent": False,
            "headers": {"x-api-key": "secret", "Authorization": "Basic QQ=="},
            "service": "tepi",
            "most": 10,
        }
    )


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("http://localhost:4318", "http://localhost:4318/v1/traces"),
        ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
        ("http://[::1]:4318", "http://[::1]:4318/v1/traces"),
        ("https://collector", "https://collector/v1/traces"),
        ("https://collector/v1/traces", "https://collector/v1/traces"),
        ("https://collector/otlp/", "https://collector/otlp/"),
    ],
)
def test_where_spans_are_posted_to(configure: Configure, written: str, url: str) -> None:
    found = plan(configure, f'endpoint = "{written}"')
    assert isinstance(found, dict)
    assert found["endpoint"] == url


def test_without_tracing_the_plan_says_none(configure: Configure) -> None:
    assert load(configure('[sites."a.b"]\nrespond = "x"\n'))["edge"].get("tracing") is None
