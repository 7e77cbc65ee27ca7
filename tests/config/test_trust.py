"""Files that root must not believe."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gapura.config.load import examine
from gapura.config.trust import untrusted

Configure = Callable[..., str]
APP = '[apps.a]\ncommand = "true"\n'

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")


def messages(file: str) -> list[str]:
    loaded = examine(file)
    problems = untrusted(loaded.sources, loaded.plan)
    assert all(problem.hint for problem in problems)
    return [f"{os.path.basename(problem.file)}: {problem.message}" for problem in problems]


@pytest.mark.parametrize(
    ("owner", "group", "mode", "words"),
    [
        (0, 0, 0o644, ""),
        (0, 0, 0o664, ""),
        (65534, 0, 0o644, "belongs to nobody"),
        (54321, 0, 0o600, "belongs to user 54321"),
        (0, 0, 0o646, "others may write"),
        (0, 1, 0o664, "others may write"),
    ],
)
@pytest.mark.parametrize("name", ["gapura.toml", "secrets"])
def test_whose_commands_root_executes(name: str, owner: int, group: int, mode: int, words: str, configure: Configure) -> None:
    folder = Path(configure(APP + 'env_file = ["secrets"]\n', secrets="A=1\n")).parent
    os.chown(folder / name, owner, group)
    (folder / name).chmod(mode)
    told = messages(str(folder / "gapura.toml"))
    assert len(told) == bool(words)
    assert all(words in line and line.startswith(f"{name}: ") for line in told)


def test_a_file_without_apps_executes_nothing(configure: Configure) -> None:
    file = configure('[sites."a.b"]\nrespond = "hello"\n')
    os.chown(file, 65534, -1)
    assert messages(file) == []


def test_the_variables_of_an_app_with_a_user_are_that_users_matter(configure: Configure) -> None:
    file = configure(APP + 'user = "nobody"\nenv_file = "secrets"\n', secrets="A=1\n")
    os.chown(Path(file).parent / "secrets", 65534, -1)
    assert messages(file) == []


def test_the_file_that_was_read_counts_not_what_lies_there_now(configure: Configure) -> None:
    file = configure(APP)
    os.chown(file, 65534, -1)
    loaded = examine(file)
    os.chown(file, 0, -1)
    assert len(untrusted(loaded.sources, loaded.plan)) == 1


def test_a_command_that_sets_dns_records_is_a_command(configure: Configure) -> None:
    site = '[sites."*.example.com"]\nrespond = "hello"\ntls = "auto"\n'
    file = configure('[edge.acme]\ndns = { exec = "hook" }\n' + site)
    os.chown(file, 65534, 0)
    assert "belongs to nobody" in messages(file)[0]
    os.chown(configure("[edge.acme]\n" + site), 65534, 0)
    assert messages(file) == []
