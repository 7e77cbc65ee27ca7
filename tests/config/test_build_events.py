from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gapura.config.load import examine, load
from gapura.config.plan_events import default, files_of, name_of

SITE = '[sites."a.b"]\nrespond = "x"\n'
Configure = Callable[..., str]


def logs(file: str) -> list[str]:
    return [Path(item["path"]).name for item in load(file)["edge"]["log_files"]]


def test_left_out_there_is_the_log(configure: Configure) -> None:
    plan = load(configure(SITE))
    assert plan["events"] is None
    assert default(plan["paths"]["logs"])["log"] in [item["path"] for item in plan["edge"]["log_files"]]


@pytest.mark.parametrize(
    ("text", "log", "rotated"),
    [
        ("", "events.log", True),
        ("log = true", "events.log", True),
        ('log = "told.log"', "told.log", True),
        ("log = false", "", False),
        ('log = ""', "", False),
    ],
)
def test_the_log(configure: Configure, text: str, log: str, rotated: bool) -> None:
    file = configure(f"{SITE}[events]\n{text}\n")
    plan = load(file)["events"]
    assert plan is not None
    assert Path(plan["log"]).name == log
    assert (log in logs(file)) is rotated


def test_rotation_may_be_turned_off(configure: Configure) -> None:
    [file] = [
        item for item in load(configure(f"{SITE}[events]\nrotate = false\n"))["edge"]["log_files"] if "events" in item["path"]
    ]
    assert file["rotate"] is None


def test_short_forms(configure: Configure) -> None:
    text = '[events]\non_event = "notify-send x"\nerror_share = false\nwebhooks = { url = "https://a.b/x", only = "error" }\n'
    plan = load(configure(SITE + text))["events"]
    assert plan is not None
    assert plan["on_event"] == {"command": "notify-send x", "only": [], "timeout": 30.0}
    assert plan["error_share"] == 0.0
    assert plan["webhooks"][0]["only"] == ["error"]
    assert plan["webhooks"][0]["timeout"] == 10.0
    assert name_of(plan["webhooks"][0]) == "a.b"


def test_files_are_seen_from_the_configuration(configure: Configure, tmp_path: Path) -> None:
    plan = load(configure(f'{SITE}[[events.webhooks]]\nurl_file = "slack.url"\nsecret_file = "key"\nca = "ca.pem"\n'))["events"]
    assert plan is not None
    assert files_of(plan) == [str(tmp_path / "slack.url"), str(tmp_path / "key")]
    assert plan["webhooks"][0]["ca"] == str(tmp_path / "ca.pem")
    assert name_of(plan["webhooks"][0]) == "slack.url"
    assert files_of(None) == []


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://hooks.example.com/x", True),
        ("http://127.0.0.1:9/x", False),
        ("http://[::1]/x", False),
        ("http://10.1.2.3/x", False),
        ("http://alerts.internal/x", False),
        ("https://hooks.example.com/x", False),
        ("http://8.8.8.8/x", True),
    ],
)
def test_events_in_clear_text_are_warned_of(configure: Configure, url: str, warned: bool) -> None:
    warnings = examine(configure(f'{SITE}[[events.webhooks]]\nurl = "{url}"\n'), lambda names: {}).warnings
    assert ["for everybody to read" in warning.message for warning in warnings] == ([True] if warned else [])


def test_too_many_webhooks(configure: Configure) -> None:
    from gapura.errors import ConfigError

    with pytest.raises(ConfigError, match="more than 20"):
        load(configure(SITE + '[[events.webhooks]]\nurl = "https://a.b/x"\n' * 21))
