"""The result: medians over the rounds, ratios against nginx, targets met or not, as Markdown and JSON."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field

from .scenarios import SCENARIOS, Sample

REFERENCE = "nginx"
WAITING = 0.07
"""Above this idle share of its core a proxy was waiting for the load, so that its requests/s say little about it."""
DISTURBED = 0.05
"""Above this share of the proxy's core used by others the figures are a trial's."""

MEASURES = {
    "requests_per_second": "requests/s",
    "cpu_us": "CPU µs per request",
    "answer_kb": "bytes of an answer, kB",
    "p50_ms": "latency p50, ms",
    "p99_ms": "latency p99, ms",
    "busy": "share of its core used",
    "others": "share used by others",
    "memory_mb": "memory (PSS), MB",
    "connection_kb": "memory per connection, kB",
    "with_pm2_mb": "memory (PSS) with pm2, MB",
}
RATIOS = ("requests_per_second", "cpu_us", "answer_kb", "memory_mb")


@dataclass(frozen=True)
class Target:
    """What Gapura has to reach: a ratio of throughput against `rival`, or, without one, a limit of memory in MB."""

    scenario: str
    rival: str
    limit: float


OURS = ("gapura", "compiled")
TARGETS = (
    Target("small", "nginx", 0.6),
    Target("small", "caddy", 2.5),
    Target("1m", "nginx", 0.9),
    Target("file-1k", "nginx", 1.5),
    Target("file-10k", "nginx", 1.5),
    Target("file-100k", "nginx", 1.0),
    Target("file-10m", "nginx", 0.9),
    Target("tls", "nginx", 0.7),
    Target("handshake", "nginx", 0.8),
    Target("gzip", "nginx", 3.0),
    Target("stack", "", 120),
)


@dataclass
class Report:
    """All samples of a run and what is needed to understand them."""

    machine: dict[str, object]
    versions: dict[str, str]
    commit: str
    changed: bool
    date: str
    windows: dict[str, int]
    rounds: int
    direct: dict[str, float] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def median(self, scenario: str, proxy: str, measure: str) -> float | None:
        """Median over the rounds; None when it was not measured."""
        values = [s.figures[measure] for s in self.samples if (s.scenario, s.proxy) == (scenario, proxy) and measure in s.figures]
        return statistics.median(values) if values else None

    def failures(self) -> list[str]:
        """Everything that went wrong, as sentences."""
        return [f"{s.proxy}, {s.scenario}, round {s.round}: {text}" for s in self.samples for text in s.failures]

    def limited_by_load(self, scenario: str, proxy: str) -> bool:
        """Whether the load or the servers behind, not the proxy, set the pace."""
        idle = self.median(scenario, proxy, "idle")
        return idle is not None and idle > WAITING

    def disturbed(self, scenario: str, proxy: str) -> bool:
        """Whether other programs took a part of the proxy's core."""
        others = self.median(scenario, proxy, "others")
        return others is not None and others > DISTURBED

    def throughput_ratio(self, scenario: str, proxy: str, rival: str) -> tuple[float, str] | None:
        """`proxy` ÷ `rival`, and what was compared. None when one was not measured.

        Requests/s where both had all of their core and all of it to do; else the inverse CPU time per request, which is what
        the ratio of requests/s would be then.
        """
        pair = (proxy, rival)
        reason = ""
        if any(self.limited_by_load(scenario, name) for name in pair):
            reason = "as the load was the limit"
        elif any(self.disturbed(scenario, name) for name in pair):
            reason = "as other programs disturbed the run"
        measure = "cpu_us" if reason else "requests_per_second"
        ours, theirs = (self.median(scenario, name, measure) for name in pair)
        if not ours or not theirs:
            return None
        return (theirs / ours, f"by CPU per request, {reason}") if reason else (ours / theirs, "requests/s")

    def verdicts(self) -> list[str]:
        """One plain sentence for each target that could be judged."""
        return [sentence for target in TARGETS for proxy in OURS if (sentence := self._verdict(target, proxy))]

    def _verdict(self, target: Target, proxy: str) -> str:
        if target.rival:
            found = self.throughput_ratio(target.scenario, proxy, target.rival)
            if found is None:
                return ""
            value, how = found
            met = value >= target.limit
            what = f"{_NAMES[proxy]} ÷ {_NAMES[target.rival]} = {value:.3f} ({how}), target ≥ {target.limit:g}"
        else:
            memory = self.median(target.scenario, proxy, "memory_mb")
            if memory is None:
                return ""
            met = memory <= target.limit
            what = f"{_NAMES[proxy]} {memory:.1f} MB, target ≤ {target.limit:g} MB"
        return f"{'met' if met else 'NOT MET'}: {SCENARIOS[target.scenario].title}: {what}"

    def markdown(self) -> str:
        """The whole report for people."""
        return "\n".join(self._lines()) + "\n"

    def document(self) -> dict[str, object]:
        """The whole report for programs: every sample, the medians, the ratios."""
        proxies, scenarios = self._proxies(), self._scenarios()
        medians = {
            scenario: {
                proxy: {key: value for key in MEASURES if (value := self.median(scenario, proxy, key)) is not None}
                for proxy in proxies
            }
            for scenario in scenarios
        }
        return {**asdict(self), "medians": medians, "verdicts": self.verdicts(), "failures": self.failures()}

    def _lines(self) -> Iterator[str]:
        machine, proxies = self.machine, self._proxies()
        changed = " with changes not committed" if self.changed else ""
        yield f"# Benchmark of {self.date}, commit {self.commit}{changed}"
        yield ""
        yield f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB."
        yield f"{machine['system']}, Linux {machine['kernel']}, Python {machine['python']}."
        yield "Versions: " + ", ".join(f"{name} {version}" for name, version in self.versions.items()) + "."
        yield (
            f"Every proxy on one core with one worker; {self.rounds} round(s) of {self.windows['measured']} s after "
            f"{self.windows['warm_up']} s of warm-up, interleaved; medians. Load average before: {machine['load_average']}."
        )
        yield ""
        if REFERENCE in proxies and len(proxies) > 1:
            yield f"## Ratios ({_NAMES[REFERENCE]} = 1.0)"
            yield ""
            yield from _table(proxies, self._rows(RATIOS, ratio=True))
            yield ""
        yield "## Absolute values"
        yield ""
        yield from _table(proxies, self._rows(MEASURES, ratio=False))
        yield ""
        if any(self.limited_by_load(scenario, proxy) for scenario in self.direct for proxy in proxies):
            yield f"† The proxy's core was idle for more than {WAITING:.0%}: the load was the limit. Compare CPU per request there."
        if self.direct:
            rates = ", ".join(f"{name} {_number(rate)}" for name, rate in self.direct.items())
            yield f"The load without any proxy, requests/s: {rates}."
        others = max((value for s in self.samples if (value := s.figures.get("others"))), default=0.0)
        if others > DISTURBED:
            yield f"Others (programs here, guests of the hypervisor) took up to {others:.0%} of the proxy's core: only a trial."
        for title, entries in (("Targets", self.verdicts()), ("Failures", self.failures()), ("Notes", self.notes)):
            if entries:
                yield from ("", f"## {title}", "", *(f"- {entry}" for entry in entries))

    def _rows(self, measures: Iterable[str], ratio: bool) -> Iterator[list[str]]:
        for scenario in self._scenarios():
            for measure in measures:
                row = [self._cell(scenario, proxy, measure, ratio) for proxy in self._proxies()]
                if any(row):
                    yield [SCENARIOS[scenario].title, MEASURES[measure], *row]

    def _cell(self, scenario: str, proxy: str, measure: str, ratio: bool) -> str:
        value = self.median(scenario, proxy, measure)
        reference = self.median(scenario, REFERENCE, measure)
        if value is None or (ratio and not reference):
            return ""
        text = f"{value / reference:.2f}" if ratio and reference else _number(value)
        return text + (" †" if measure == "requests_per_second" and self.limited_by_load(scenario, proxy) else "")

    def _proxies(self) -> list[str]:
        measured = {sample.proxy for sample in self.samples}
        return [name for name in _NAMES if name in measured]

    def _scenarios(self) -> list[str]:
        measured = {sample.scenario for sample in self.samples}
        return [name for name in SCENARIOS if name in measured]


_NAMES = {
    "nginx": "nginx",
    "haproxy": "HAProxy",
    "caddy": "Caddy",
    "lighttpd": "lighttpd",
    "apache": "Apache",
    "gapura": "Gapura",
    "compiled": "Gapura compiled",
}


def _table(proxies: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    """A Markdown table whose columns also line up in a terminal."""
    lines = [["scenario", "measure", *(_NAMES[proxy] for proxy in proxies)], *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]

    def aligned(cells: list[str]) -> str:
        padded = [
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |"

    yield aligned(lines[0])
    yield "|" + "|".join("-" * (width + 1) + ("-" if place < 2 else ":") for place, width in enumerate(widths)) + "|"
    yield from map(aligned, lines[1:])


def _number(value: float) -> str:
    """Three significant figures, thousands apart."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
