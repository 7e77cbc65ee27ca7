"""What is measured, and how one sample of it is taken: a fresh proxy each time, started, loaded, counted, ended."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from . import backend, web
from .load import CLOSE, HOST, KEEP, SAME, Load, fire
from .loglines import LogLines, mismatch
from .machine import ROOT
from .process import Tree, core_seconds, pinned
from .proxies import Proxy, Running, start

IDLE_CONNECTIONS = 10_000


@dataclass(frozen=True)
class Scenario:
    """A load. `mode`: how requests and connections are made (bench/load.py); `kind`: what the servers are set up for."""

    name: str
    title: str
    path: str = ""
    connections: int = 0
    mode: str = KEEP
    kind: str = "proxy"


LOADS = (
    Scenario("small", "small answers, 64 connections", backend.SMALL, 64),
    Scenario("64k", "64 KB, 64 connections", backend.MIDDLE, 64),
    Scenario("1m", "1 MB, 16 connections", backend.LARGE, 16),
    Scenario("connect", "small, a new connection per request", backend.SMALL, 64, CLOSE),
    Scenario("many", "small, 1,000 connections", backend.SMALL, 1000),
    Scenario("file-1k", "file of 1 KB", "/1k.bin", 64, SAME, web.FILES),
    Scenario("file-10k", "file of 10 KB", "/10k.bin", 64, SAME, web.FILES),
    Scenario("file-100k", "file of 100 KB", "/100k.bin", 64, SAME, web.FILES),
    Scenario("file-10m", "file of 10 MB", "/10m.bin", 8, SAME, web.FILES),
    Scenario("browser-1k", "file of 1 KB, browsers", "/1k.bin", 64, KEEP, web.FILES),
    Scenario("browser-10k", "file of 10 KB, browsers", "/10k.bin", 64, KEEP, web.FILES),
    Scenario("tls", "file of 1 KB over TLS", "/1k.bin", 64, SAME, web.TLS),
    Scenario("handshake", "a TLS handshake per request", "/1k.bin", 64, CLOSE, web.TLS),
    Scenario("gzip", "page of 100 KB, proxied and compressed", web.PAGE, 16, KEEP, web.GZIP),
)
IDLE = Scenario("idle", f"{IDLE_CONNECTIONS:,} idle connections")
STACK = Scenario("stack", "whole stack with 2 workers, idle")
SCENARIOS = {scenario.name: scenario for scenario in (*LOADS, IDLE, STACK)}


@dataclass(frozen=True)
class Place:
    """Where a run happens: its folder, the cores of the proxy and of the load, the ports of the servers behind."""

    folder: Path
    proxy_core: int
    load_core: int
    servers: tuple[int, int]


@dataclass(frozen=True)
class Windows:
    """Seconds of load: before the measured window (0: none) and in it."""

    warm_up: int
    measured: int


@dataclass
class Sample:
    """The figures of one proxy in one scenario and round; `failures` says in sentences what went wrong."""

    proxy: str
    scenario: str
    round: int
    figures: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


class _Watch:
    """What the proxy and its core did between creation and `stop`, in seconds."""

    def __init__(self, tree: Tree, core: int) -> None:
        self._tree, self._core = tree, core
        self._before = self._read()
        self.cpu = self.used = self.idle = self.elapsed = 0.0

    def stop(self) -> None:
        self.cpu, self.used, self.idle, self.elapsed = (b - a for a, b in zip(self._before, self._read(), strict=True))

    def _read(self) -> tuple[float, float, float, float]:
        return (self._tree.cpu(), *core_seconds(self._core), time.monotonic())


def take(proxy: Proxy, scenario: Scenario, number: int, place: Place, windows: Windows) -> Sample:
    """Start the proxy, take one sample, end it. Whatever goes wrong with the proxy is in the sample's failures.

    Failures name no folder of this machine, because they are published with the figures.
    """
    sample = Sample(proxy.name, scenario.name, number)
    folder = place.folder / f"{proxy.name}-{scenario.name}-{number}"
    try:
        running = start(proxy, place.servers, folder, place.proxy_core, 2 if scenario is STACK else 1, scenario.kind)
        try:
            time.sleep(proxy.settle)
            if scenario is STACK:
                _measure_stack(sample, running)
            elif scenario is IDLE:
                _measure_idle(sample, running, place)
            else:
                _measure_load(sample, scenario, running, place, windows)
        finally:
            running.tree.stop()
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        sample.failures.append(str(error).replace(f"{ROOT}/", ""))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return sample


def direct(scenario: Scenario, place: Place) -> float:
    """Requests per second that the load gets from a server behind without a proxy: the most that can be measured."""
    load = fire(place.servers[0], scenario.path, scenario.connections, 1, place.load_core, scenario.mode)
    return load.requests / load.seconds


def _measure_load(sample: Sample, scenario: Scenario, running: Running, place: Place, windows: Windows) -> None:
    def fire_for(seconds: int) -> Load:
        port, tls = running.setting.port, scenario.kind == web.TLS
        return fire(port, scenario.path, scenario.connections, seconds, place.load_core, scenario.mode, tls)

    log = LogLines(running.setting.log)
    requests, unfinished = running.probes, 0
    if windows.warm_up:
        requests += fire_for(windows.warm_up).requests
        unfinished += scenario.connections
    watch = _Watch(running.tree, place.proxy_core)
    load = fire_for(windows.measured)
    watch.stop()
    requests += load.requests
    unfinished += scenario.connections
    log.wait_for(requests)
    running.tree.stop()
    if wrong := mismatch(log.update(), requests, unfinished):
        sample.failures.append(wrong)
    if load.failed:
        counts = ", ".join(f"{count} {kind}" for kind, count in load.errors.items() if count)
        sample.failures.append(f"errors of {load.requests} requests: {counts}")
    if load.requests and watch.cpu:
        sample.figures = {
            "requests_per_second": load.requests / load.seconds,
            "cpu_us": watch.cpu / load.requests * 1e6,
            "answer_kb": load.bytes / load.requests / 1000,
            "p50_ms": load.p50_us / 1000,
            "p99_ms": load.p99_us / 1000,
            "busy": watch.cpu / load.seconds,
            "others": max(0.0, watch.used - watch.cpu) / load.seconds,
            # wrk's own start and end are no part of its window, and the core is idle then.
            "idle": max(0.0, watch.idle - (watch.elapsed - load.seconds)) / load.seconds,
        }
    else:
        sample.failures.append("no request was answered")


def _measure_idle(sample: Sample, running: Running, place: Place) -> None:
    before = running.tree.memory()
    port = str(running.setting.port)
    with subprocess.Popen(
        [sys.executable, "-m", "bench.idle", HOST, port, str(IDLE_CONNECTIONS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=pinned(place.load_core),
    ) as opener:
        assert opener.stdout is not None
        line = opener.stdout.readline()
        after = _settled_memory(running.tree)
        opener.communicate("")
    counts = json.loads(line or '{"open": 0, "failed": 0}')
    if counts["open"] < IDLE_CONNECTIONS:
        sample.failures.append(f"only {counts['open']} of {IDLE_CONNECTIONS} connections were answered")
    if counts["open"]:
        sample.figures = {"memory_mb": after / 1e6, "connection_kb": (after - before) / counts["open"] / 1000}


def _measure_stack(sample: Sample, running: Running) -> None:
    sample.figures = {"memory_mb": _settled_memory(running.tree) / 1e6}
    if sample.proxy == "nginx" and (program := shutil.which("pm2")):
        home = running.setting.folder / "pm2"
        environment = {**os.environ, "PM2_HOME": str(home)}
        core = next(iter(running.tree.settled_cores()))
        # `--no-daemon` keeps pm2's daemon in our tree, so that it is measured and ended with it.
        pm2 = Tree([program, "start", "--no-daemon", "sleep", "--", "3600"], core, running.setting.folder / "pm2.out", environment)
        try:
            time.sleep(3)
            sample.figures["with_pm2_mb"] = sample.figures["memory_mb"] + _settled_memory(pm2) / 1e6
        finally:
            pm2.stop()


def _settled_memory(tree: Tree, timeout: float = 4.0) -> int:
    """Memory in bytes once it changes by less than 0.5 % in 0.5 s, or after `timeout` seconds."""
    deadline, last = time.monotonic() + timeout, 0
    while abs((now := tree.memory()) - last) > 0.005 * now and time.monotonic() < deadline:
        last = now
        time.sleep(0.5)
    return now
