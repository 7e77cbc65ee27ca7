"""Prometheus' text formats: 0.0.4, and OpenMetrics 1.0 for whoever asks for it.

Written here and not by prometheus-client, which keeps registries and locks that shared memory needs not, and takes 5 µs for a line
where this takes 0.4: with a thousand routes that is the difference between a scrape that nobody notices and one that holds up
health checks (docs/decisions/024).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final

from gapura.metrics import BOUNDS

PLAIN: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

SHOWN: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the buckets (s) that are told: of those that are counted, as many as dashboards and alerts ask for."""
_PLACES: Final = tuple(BOUNDS.index(bound) for bound in SHOWN)
_BUCKETS: Final = tuple(f'le="{bound}"' for bound in SHOWN)
_ESCAPES: Final = {"\\": r"\\", "\n": r"\n", '"': r"\""}
_ESCAPED: Final = re.compile(r'[\\\n"]')
_WANTS_OPENMETRICS: Final = re.compile(r"\s*application/openmetrics-text\s*(;|$)", re.IGNORECASE)

Value = int | float


def labels(**pairs: object) -> str:
    """Labels as they stand between braces."""
    return ",".join(f'{name}="{escape(str(value))}"' for name, value in pairs.items())


def escape(value: str) -> str:
    """A label's value between quotes: any text is allowed, on one line."""
    return _ESCAPED.sub(lambda found: _ESCAPES[found[0]], value)


def wants_openmetrics(accept: str) -> bool:
    """Whether an Accept header asks for OpenMetrics at least as much as for the plain format, as Prometheus' does."""
    best = {True: 0.0, False: 0.0}
    for part in accept.split(","):
        wanted = _WANTS_OPENMETRICS.match(part) is not None
        quality = re.search(r";\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*(?:;|$)", part)
        best[wanted] = max(best[wanted], float(quality[1]) if quality else 1.0)
    return best[True] > 0 and best[True] >= best[False]


class Exposition:
    """Collects families of samples. All samples of a family must follow its head."""

    def __init__(self, openmetrics: bool = False) -> None:
        self._openmetrics = openmetrics
        self._lines: list[str] = []
        self._name = ""

    def family(self, name: str, kind: str, meaning: str) -> None:
        """Begin a family of kind counter, gauge, histogram or info; a counter's name is written without `_total`."""
        self._name = name + {"counter": "_total", "info": "_info"}.get(kind, "")
        shown = name if self._openmetrics else self._name
        said = "gauge" if kind == "info" and not self._openmetrics else kind
        meaning = meaning.replace("\\", r"\\").replace("\n", r"\n")
        self._lines += (f"# HELP {shown} {meaning}", f"# TYPE {shown} {said}")

    def add(self, value: Value, said: str = "") -> None:
        """A sample; `said` are its `labels`."""
        self._lines.append(f"{self._name}{{{said}}} {value}" if said else f"{self._name} {value}")

    def histogram(self, counts: Sequence[int], total: float, said: str) -> None:
        """The samples of one histogram: `counts` by `BOUNDS` of the metrics, `total` is the sum of what was measured (s)."""
        name = self._name
        below = list(accumulate(counts))
        start = f"{name}_bucket{{{said},"
        self._lines += [f"{start}{bucket}}} {below[place]}" for bucket, place in zip(_BUCKETS, _PLACES, strict=True)]
        self._lines += (
            f'{start}le="+Inf"}} {below[-1]}',
            f"{name}_sum{{{said}}} {total}",
            f"{name}_count{{{said}}} {below[-1]}",
        )

    def lines(self, ready: Iterable[str]) -> None:
        """Samples that are written already."""
        self._lines += ready

    def text(self) -> bytes:
        """All of it."""
        end = "\n# EOF\n" if self._openmetrics else "\n"
        return ("\n".join(self._lines) + end).encode("utf-8", "replace")
