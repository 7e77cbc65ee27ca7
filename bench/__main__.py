"""`bench/run`: options, the order of the samples, and the certainty that nothing is left running."""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

from . import machine, process, programs, web
from .backend import Backend
from .proxies import PROXIES
from .report import Report
from .scenarios import LOADS, SCENARIOS, STACK, Place, Sample, Scenario, Windows, direct, take

LIMIT = 14 * 60
"""Seconds after which no further sample is begun."""
FULL, QUICK = Windows(warm_up=1, measured=4), Windows(warm_up=0, measured=2)
ROUNDS = 5
FOLDER = machine.ROOT / "bench"


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line. Raises SystemExit(2) when it is wrong."""
    parser = argparse.ArgumentParser(prog="bench/run", description="Gapura beside nginx, HAProxy and Caddy, each on one core.")
    parser.add_argument("--quick", action="store_true", help="one short round, 1-2 minutes; prints, writes no files")
    parser.add_argument("--only", action="append", choices=SCENARIOS, metavar="SCENARIO", help=f"one of {', '.join(SCENARIOS)}")
    parser.add_argument("--proxy", action="append", choices=PROXIES, metavar="NAME", help=f"one of {', '.join(PROXIES)}")
    parser.add_argument("--rounds", type=_positive, help=f"rounds of each load (default {ROUNDS}, quick 1)")
    parser.add_argument("--save", action="store_true", help="write bench/results/ also after a quick or partial run")
    return parser.parse_args(arguments)


def main() -> int:
    """Measure, print, save. Exit status 0; 1 when something failed, 2 when it cannot begin, 130 when interrupted."""
    chosen = options()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    process.adopt_orphans()
    folder = FOLDER / ".work" / str(os.getpid())
    try:
        programs.install(list(programs.PACKAGES))
        folder.mkdir(parents=True)
        report = measure(chosen, folder)
    except (programs.Missing, ValueError, OSError) as error:
        print(f"bench/run: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nbench/run: interrupted, everything is ended", file=sys.stderr)
        return 130
    finally:
        process.end_all()
        shutil.rmtree(folder, ignore_errors=True)
    print("\n" + report.markdown(), end="")
    if chosen.save or not (chosen.quick or chosen.only or chosen.proxy):
        save(report, FOLDER / "results")
    return 1 if report.failures() else 0


def measure(chosen: argparse.Namespace, folder: Path) -> Report:
    """Take all samples. Raises OSError, ValueError, `programs.Missing` when the benchmark cannot begin."""
    windows = QUICK if chosen.quick else FULL
    rounds = chosen.rounds or (1 if chosen.quick else ROUNDS)
    proxies = [name for name, proxy in PROXIES.items() if (name in chosen.proxy if chosen.proxy else proxy.available())]
    scenarios = [scenario for name, scenario in SCENARIOS.items() if name in (chosen.only or SCENARIOS)]
    name, changed = machine.commit()
    versions = {proxy: PROXIES[proxy].version() for proxy in proxies}
    report = Report(machine.facts(), versions, name, changed, time.strftime("%Y-%m-%d"), asdict(windows), rounds)
    proxy_core, load_core, server_core = machine.cores()
    web.prepare(folder)
    backend = Backend(folder, server_core)
    try:
        place = Place(folder, proxy_core, load_core, backend.ports)
        for scenario in scenarios:
            if scenario in LOADS and scenario.kind == "proxy":
                report.direct[scenario.name] = direct(scenario, place)
        _take_all(report, order(proxies, scenarios, rounds), place, windows)
    finally:
        backend.stop()
    if STACK in scenarios and "nginx" in proxies and shutil.which("pm2") is None:
        report.notes.append("nginx + pm2 was not measured: pm2 is not installed.")
    return report


def order(proxies: list[str], scenarios: list[Scenario], rounds: int) -> list[tuple[int, Scenario, str]]:
    """Rounds, scenarios, proxies: each round begins with another proxy, so that no one profits from its place.

    Memory is the same each time, so that it is measured in the first round only.
    """
    samples = []
    for number in range(1, rounds + 1):
        turned = [proxies[(number - 1 + step) % len(proxies)] for step in range(len(proxies))]
        for scenario in scenarios:
            if scenario in LOADS or number == 1:
                samples += [(number, scenario, proxy) for proxy in turned if scenario.kind in PROXIES[proxy].kinds]
    return samples


def save(report: Report, folder: Path) -> None:
    """Write `<date>-<commit>.json` and `.md`; figures of an earlier run of the same commit and day are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{report.date}-{report.commit}"
    (folder / f"{stem}.json").write_text(json.dumps(report.document(), indent=1, ensure_ascii=False) + "\n")
    (folder / f"{stem}.md").write_text(report.markdown())
    print(f"\nwritten: bench/results/{stem}.json and .md")


def _take_all(report: Report, samples: list[tuple[int, Scenario, str]], place: Place, windows: Windows) -> None:
    begun = time.monotonic()
    for count, (number, scenario, proxy) in enumerate(samples, 1):
        if time.monotonic() - begun > LIMIT:
            report.notes.append(f"Ended after {LIMIT // 60} minutes: {len(samples) - count + 1} samples were not taken.")
            return
        sample = take(PROXIES[proxy], scenario, number, place, windows)
        report.samples.append(sample)
        print(f"{count}/{len(samples)} {_progress(sample)}", flush=True)


def _progress(sample: Sample) -> str:
    figures = ", ".join(f"{name} {value:,.2f}" for name, value in sample.figures.items())
    failed = "".join(f"\n    FAILED: {text}" for text in sample.failures)
    return f"{sample.scenario:8} {sample.proxy:8} {figures}{failed}"


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
