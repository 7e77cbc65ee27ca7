from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gapura.config.check_events import check_events
from gapura.config.findings import Findings
from gapura.config.load import load
from gapura.config.source import Sources

SITE = '[sites."a.b"]\nrespond = "x"\n[[events.webhooks]]\n'


@pytest.mark.parametrize(
    ("keys", "content", "mode", "problem", "warning"),
    [
        ('url_file = "f"', "https://a.b/x\n", 0o600, "", ""),
        ('url_file = "f"', "https://a.b/x\n", 0o644, "", "everybody on this machine can read"),
        ('url_file = "f"', "", 0o600, "is empty", ""),
        ('url_file = "g"', "x", 0o600, "there is no file", ""),
        ('url_file = "."', "x", 0o600, "cannot be read: Is a directory", ""),
        ('url = "https://a.b/"\nsecret_file = "g"', "x", 0o600, "there is no file", ""),
        ('url = "https://a.b/"\nca = "f"', "x", 0o644, "", ""),
    ],
)
def test_files(
    configure: Callable[..., str], tmp_path: Path, keys: str, content: str, mode: int, problem: str, warning: str
) -> None:
    file = configure(SITE + keys, f=content)
    (tmp_path / "f").chmod(mode)
    findings = Findings(Sources(file))
    check_events(findings, load(file))
    assert [problem in found.message for found in findings.problems] == ([True] if problem else [])
    assert [warning in found.message for found in findings.warnings] == ([True] if warning else [])
    for found in [*findings.problems, *findings.warnings]:
        assert found.line >= 4
