from __future__ import annotations

from collections.abc import Callable

import pytest

from gapura.config import check_tracing
from gapura.config.check import check
from gapura.config.load import load

TEXT = '[sites."a.localhost"]\nrespond = "x"\n[tracing]\nendpoint = "http://127.0.0.1:4318"\n'


def told(file: str) -> list[tuple[int, str, str]]:
    return [(problem.line, problem.message, problem.hint) for problem in check(load(file), file) if "OpenT" in problem.message]


def test_with_opentelemetry(configure: Callable[..., str]) -> None:
    assert told(configure(TEXT)) == []


@pytest.mark.parametrize("missing", [("opentelemetry.sdk_that_is_not_there",), ("nothing.of.this.kind",)])
def test_without_opentelemetry(configure: Callable[..., str], monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...]) -> None:
    monkeypatch.setattr(check_tracing, "NEEDED", missing)
    expected = (3, "traces need OpenTelemetry, which is not installed", 'install it beside Gapura: pip install "gapura[otel]"')
    assert told(configure(TEXT)) == [expected]


def test_it_is_not_needed_without_tracing(configure: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_tracing, "NEEDED", ("nothing.of.this.kind",))
    assert told(configure('[sites."a.localhost"]\nrespond = "x"\n')) == []
