"""Whether what `[tracing]` needs is installed. Asks the machine."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from .findings import Findings
from .plan import Plan

NEEDED: Final = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
"""What the extra `otel` brings."""


def check_tracing(findings: Findings, plan: Plan) -> None:
    """Report that traces cannot be sent."""
    if plan["edge"].get("tracing") and not all(map(_installed, NEEDED)):
        message = "traces need OpenTelemetry, which is not installed"
        findings.error(("tracing",), message, 'install it beside Gapura: pip install "gapura[otel]"', at_key=True)


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even what it is part of
        return False
