"""A plan for people's eyes."""

from __future__ import annotations

from typing import Any

from gapura.control.shown import HIDDEN, shown


def test_what_may_be_a_secret_is_hidden() -> None:
    plan: Any = {
        "apps": {"a": {"command": "x", "env": {"PASSWORD": "hush"}}},
        "sites": [
            {
                "routes": [
                    {
                        "access": {"basic_auth": {"file": "/etc/passwords", "users": {"bob": "$2b$hash"}}},
                        "edit": {
                            "request": {"remove": ["x"], "add": [["Authorization", "Bearer hush"], ["Cache-Control", "no-store"]]}
                        },
                    }
                ]
            }
        ],
        "events": {"webhooks": [{"url": "https://u:hush@hooks.test/T/hush", "headers": {"X-Key": "hush"}}]},
        "tracing": {"endpoint": "http://c.test/v1/traces?key=hush", "headers": {"Authorization": "hush"}},
    }
    found = shown(plan)
    assert "hush" not in str(found)
    assert "$2b$" not in str(found)
    assert found["apps"]["a"] == {"command": "x", "env": {"PASSWORD": HIDDEN}}
    assert found["sites"][0]["routes"][0]["edit"]["request"]["add"][1] == ["Cache-Control", "no-store"]
    assert found["events"]["webhooks"][0]["url"] == f"https://hooks.test/{HIDDEN}"
    assert plan["apps"]["a"]["env"]["PASSWORD"] == "hush"
