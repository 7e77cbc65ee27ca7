"""Files of passwords that a site would give to anybody."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gapura.config.findings import Findings
from gapura.config.load import examine
from gapura.config.secrets import check_secrets

Configure = Callable[..., str]


def told(file: str) -> list[tuple[int, str]]:
    loaded = examine(file)
    findings = Findings(loaded.sources)
    check_secrets(findings, loaded.plan)
    return [(problem.line, problem.message) for problem in findings.problems]


@pytest.mark.parametrize(
    ("folder", "name", "count"),
    [(".", "people", 1), (".", ".people", 0), ("www", "people", 0), ("www", "www/people", 1), ("www", "www/.private/people", 0)],
)
def test_a_file_of_passwords_that_everybody_can_read(
    configure: Configure, tmp_path: Path, folder: str, name: str, count: int
) -> None:
    (tmp_path / "www" / ".private").mkdir(parents=True)
    (tmp_path / name).write_text("")
    file = configure(
        f'[sites."a.example"]\nfiles = "{folder}"\n'
        f'[sites."b.example"]\nrespond = "x"\nbasic_auth = "{name}"\n'
        f'[[sites."b.example".routes]]\npath = "/c"\nrespond = "y"\n'
    )
    found = told(file)
    assert len(found) == count
    assert all(line == 5 and "whose files everybody can read" in message for line, message in found)


def test_a_link_does_not_hide_it(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "key").write_text("x" * 40)
    (tmp_path / "link").symlink_to("www/key")
    text = '[sites."a.example"]\nfiles = "www"\njwt = { keys = "link" }\n'
    assert [line for line, _ in told(configure(text))] == [3]


def test_public_keys_are_no_secret(configure: Configure, tmp_path: Path) -> None:
    text = '[sites."a.example"]\nfiles = "."\njwt = { jwks = "set" }\n'
    assert told(configure(text, set='{"keys": [{"kty": "RSA"}]}')) == []
