from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

import pytest

from gapura.config.check_dashboard import check_dashboards
from gapura.config.findings import Findings
from gapura.config.load import examine

Configure = Callable[..., str]
TLS = 'tls = "auto"\n'


def warnings_of(file: str) -> list[str]:
    loaded = examine(file)
    findings = Findings(loaded.sources)
    check_dashboards(findings, loaded.plan)
    return [problem.message for problem in findings.warnings]


def keep(file: str, *expires: float) -> None:
    folder = os.path.join(os.path.dirname(file), ".gapura", "lib")
    os.makedirs(folder)
    with open(os.path.join(folder, "tokens.json"), "w", encoding="utf-8") as stream:
        json.dump({"tokens": [{"expires": moment} for moment in expires]}, stream)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[sites."gapura.localhost"]\ndashboard = true\n', []),
        ('[sites."shop.test"]\nrespond = "x"\n', []),
        ('[sites."admin.test"]\ndashboard = true\n', ["nobody can log in to admin.test from elsewhere: it has no TLS"]),
        (
            f'[sites."admin.example.com"]\ndashboard = true\n{TLS}',
            ["nobody can log in to admin.example.com from elsewhere: there is no token"],
        ),
        ('[sites."*"]\ndashboard = true\n', ["nobody can log in to * from elsewhere: it has no TLS"]),
    ],
)
def test_who_can_log_in(configure: Configure, text: str, said: list[str]) -> None:
    assert warnings_of(configure(text)) == said


@pytest.mark.parametrize(("expires", "warned"), [((0,), False), ((time.time() + 9999,), False), ((1.0,), True), ((), True)])
def test_tokens_that_hold(configure: Configure, expires: tuple[float, ...], warned: bool) -> None:
    file = configure(f'[sites."admin.example.com"]\ndashboard = true\n{TLS}')
    keep(file, *expires)
    assert bool(warnings_of(file)) == warned
