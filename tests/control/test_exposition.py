"""What Prometheus reads, read by prometheus-client's own parsers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from gapura.control.exposition import SHOWN, Exposition, labels, wants_openmetrics
from gapura.metrics import BUCKETS, bucket


def samples(text: bytes, as_openmetrics: bool) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    parse = openmetrics.text_string_to_metric_families if as_openmetrics else parse_plain
    found = [sample for family in parse(text.decode()) for sample in family.samples]
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in found}


def example(as_openmetrics: bool, value: str = "x") -> bytes:
    out = Exposition(as_openmetrics)
    out.family("a_requests", "counter", "What it counts, with a \\ and a\nbreak.")
    out.add(3, labels(site=value))
    out.family("a_now", "gauge", "Now.")
    out.add(1.5)
    out.family("a_build", "info", "About.")
    out.add(1, labels(version="1"))
    out.family("a_took_seconds", "histogram", "How long.")
    counts = [0] * BUCKETS
    for seconds in (0.0001, 0.005, 0.0051, 100.0):
        counts[bucket(int(seconds * 1e9))] += 1
    out.histogram(counts, 100.0102, labels(site=value))
    return out.text()


@pytest.mark.parametrize("as_openmetrics", [False, True])
def test_both_parsers_read_the_same(as_openmetrics: bool) -> None:
    found = samples(example(as_openmetrics), as_openmetrics)
    site = (("site", "x"),)
    assert found["a_requests_total", site] == 3
    assert found["a_now", ()] == 1.5
    assert found["a_build_info", (("version", "1"),)] == 1
    assert found["a_took_seconds_sum", site] == 100.0102
    assert found["a_took_seconds_count", site] == 4
    below = {bound: found["a_took_seconds_bucket", (("le", str(bound)), *site)] for bound in SHOWN}
    assert (below[0.0005], below[0.002], below[0.005], below[0.01], below[30.0]) == (1, 1, 2, 3, 3)
    assert found["a_took_seconds_bucket", (("le", "+Inf"), *site)] == 4


def test_types_are_those_of_each_format() -> None:
    plain, opened = example(False).decode(), example(True).decode()
    assert "# TYPE a_requests_total counter\n" in plain
    assert "# TYPE a_requests counter\n" in opened
    assert "# TYPE a_build_info gauge\n" in plain
    assert "# TYPE a_build info\n" in opened
    assert opened.endswith("\n# EOF\n")
    assert "EOF" not in plain
    assert "# HELP a_requests_total What it counts, with a \\\\ and a\\nbreak.\n" in plain


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_may_be_a_label(value: str) -> None:
    # the parser of the plain format splits lines at what Unicode calls a line break, Prometheus does not
    for as_openmetrics in (False, True):
        text = example(as_openmetrics, value)
        assert text.count(b"\n") == example(as_openmetrics).count(b"\n")
    assert (("site", value),) in [said for _, said in samples(example(True, value), True)]


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2", True),
        ("Application/OpenMetrics-Text; version=1.0.0", True),
        ("text/plain;q=0.9,application/openmetrics-text;q=0.5", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=x,text/plain;q=0.5", True),
        ("application/openmetrics-texts", False),
        (",,;q=,", False),
    ],
)
def test_who_asks_for_which(accept: str, wanted: bool) -> None:
    assert wants_openmetrics(accept) is wanted
