"""For all tests: property tests draw the same examples every time, so that a red run can be repeated."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("gapura", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gapura")
