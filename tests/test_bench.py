"""The benchmark's arithmetic: what it reads, counts and concludes. Its figures are `make bench`'s business."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import idle, load, loglines, machine, micro, process, programs, proxies, report, scenarios, web  # noqa: E402
from bench.__main__ import options, order, save  # noqa: E402

RESULT = (
    '@result {"requests": 900, "bytes": 7, "seconds": 2.0, "p50_us": 1500, "p99_us": 9000, '
    '"errors": {"connect": 0, "read": 1, "write": 0, "status": 2, "timeout": 0}}'
)


def make_report(*figures: tuple[str, str, dict[str, float]]) -> report.Report:
    made = report.Report(
        machine={
            "cpu": "A CPU",
            "cores": 2,
            "memory_gb": 8,
            "system": "Debian",
            "kernel": "6.1",
            "python": "3.11",
            "load_average": 0.1,
        },
        versions={"nginx": "1.22"},
        commit="0123456789",
        changed=False,
        date="2026-11-22",
        windows={"warm_up": 1, "measured": 4},
        rounds=1,
        direct={"small": 40000.0},
    )
    made.samples = [scenarios.Sample(proxy, scenario, 1, values) for scenario, proxy, values in figures]
    return made


def rate(value: float, idle: float = 0.01, others: float = 0.0) -> dict[str, float]:
    return {"requests_per_second": value, "cpu_us": 20.0, "idle": idle, "others": others}


def test_the_line_of_the_wrk_script_is_read_among_what_wrk_prints() -> None:
    result = load.parse(f"Running 2s test\n  Latency 1.2ms\n\n{RESULT}\n")
    assert (result.requests, result.seconds, result.p50_us, result.failed) == (900, 2.0, 1500, 3)


@pytest.mark.parametrize(
    "output", ["", "unable to connect to 127.0.0.1:1", "@result ", "@result {}", '@result {"requests": 1}', "@result ["]
)
def test_output_without_a_result_is_an_error(output: str) -> None:
    with pytest.raises(ValueError, match=r"wrk|Expecting"):
        load.parse(output)


def test_lines_are_counted_as_the_file_grows_and_halves_of_lines_are_not(tmp_path: Path) -> None:
    path = tmp_path / "log"
    lines = loglines.LogLines(path)
    assert lines.update() == 0
    path.write_bytes(b"one\ntwo\nthr")
    assert lines.update() == 2
    with path.open("ab") as file:
        file.write(b"ee\nfour\n")
    assert lines.update() == 4


def test_waiting_for_lines_ends_when_they_are_there(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writer = threading.Thread(target=path.write_bytes, args=(b"x\n" * 50,))
    lines = loglines.LogLines(path)
    writer.start()
    assert lines.wait_for(50, timeout=20) == 50
    writer.join()
    assert lines.wait_for(51, timeout=0) == 50


@pytest.mark.parametrize(
    ("lines", "right"),
    [(99, False), (100, True), (164, True), (165, False), (0, False)],
)
def test_lines_are_compared_with_requests(lines: int, right: bool) -> None:
    assert (loglines.mismatch(lines, requests=100, unfinished=64) == "") is right


@pytest.mark.parametrize(
    ("answer", "complete"),
    [
        (b"", False),
        (b"HTTP/1.1 200 OK\r\nContent-Le", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\naliv", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nalive", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nalive\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nalive\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", None),
        (b"garbage\r\n\r\n", None),
    ],
)
def test_an_idle_connection_has_had_its_whole_answer(answer: bytes, complete: bool | None) -> None:
    assert idle.body_complete(answer) is complete


def test_idle_connections_are_opened_counted_and_refused_ones_too() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        port = listener.getsockname()[1]
        answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"] * 7 + [b"HTTP/1.1 500 No\r\n\r\n"] * 2
        held: list[socket.socket] = []

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                connection.recv(4096)
                connection.sendall(answer)
                held.append(connection)

        server = threading.Thread(target=serve)
        server.start()
        crowd = idle.Crowd("bench.test", port, len(answers))
        server.join()
    assert (len(crowd.open), crowd.failed) == (7, 2)
    refused = idle.Crowd("bench.test", port, 3)
    assert (len(refused.open), refused.failed) == (0, 3)
    for connection in (*held, *crowd.open):
        connection.close()


def test_the_median_is_over_the_rounds() -> None:
    made = make_report(*(("small", "nginx", rate(value)) for value in (10.0, 30.0, 20.0)))
    assert made.median("small", "nginx", "requests_per_second") == 20.0
    assert made.median("small", "gapura", "requests_per_second") is None


def test_targets_are_said_plainly() -> None:
    made = make_report(
        ("small", "nginx", rate(1000)),
        ("small", "caddy", rate(240)),
        ("small", "gapura", rate(599)),
        ("1m", "nginx", rate(100)),
        ("1m", "gapura", rate(90)),
        ("stack", "gapura", {"memory_mb": 120.4}),
    )
    assert made.verdicts() == [
        "NOT MET: small answers, 64 connections: Gapura ÷ nginx = 0.599 (requests/s), target ≥ 0.6",
        "NOT MET: small answers, 64 connections: Gapura ÷ Caddy = 2.496 (requests/s), target ≥ 2.5",
        "met: 1 MB, 16 connections: Gapura ÷ nginx = 0.900 (requests/s), target ≥ 0.9",
        "NOT MET: whole stack with 2 workers, idle: Gapura 120.4 MB, target ≤ 120 MB",
    ]


@pytest.mark.parametrize(
    ("nginx", "reason"),
    [(rate(1000, idle=0.2), "the load was the limit"), (rate(1000, others=0.3), "other programs disturbed the run")],
)
def test_where_requests_per_second_say_nothing_cpu_decides(nginx: dict[str, float], reason: str) -> None:
    made = make_report(("small", "nginx", {**nginx, "cpu_us": 20.0}), ("small", "gapura", {**rate(1000), "cpu_us": 40.0}))
    assert made.throughput_ratio("small", "gapura", "nginx") == (0.5, f"by CPU per request, as {reason}")


def test_the_report_has_ratios_values_and_failures() -> None:
    made = make_report(("small", "nginx", rate(20000)), ("small", "gapura", rate(15000, idle=0.5)))
    made.samples[1].failures.append("errors of 5 requests: 2 status")
    text = made.markdown()
    assert "| small answers, 64 connections | requests/s         |  1.00 | 0.75 † |" in text
    assert "| 20,000 | 15,000 † |" in text
    assert "† The proxy's core was idle" in text
    assert "small 40,000" in text
    assert "- gapura, small, round 1: errors of 5 requests: 2 status" in text


def test_ratios_need_the_reference() -> None:
    assert "Ratios" not in make_report(("small", "caddy", rate(1)), ("small", "gapura", rate(2))).markdown()


def test_results_are_written_as_json_and_markdown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make_report(("small", "nginx", rate(20000)))
    save(made, tmp_path / "results")
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == [
        "2026-11-22-0123456789.json",
        "2026-11-22-0123456789.md",
    ]
    assert str(tmp_path) not in capsys.readouterr().out


def test_every_round_begins_with_another_proxy_and_memory_is_taken_once() -> None:
    small, stack = scenarios.SCENARIOS["small"], scenarios.STACK
    taken = [(number, scenario.name, proxy) for number, scenario, proxy in order(["nginx", "gapura"], [small, stack], 2)]
    assert taken == [
        (1, "small", "nginx"),
        (1, "small", "gapura"),
        (1, "stack", "nginx"),
        (1, "stack", "gapura"),
        (2, "small", "gapura"),
        (2, "small", "nginx"),
    ]


def test_a_server_takes_part_in_what_it_is_set_up_for() -> None:
    names = list(proxies.PROXIES)
    taken = {(scenario.kind, proxy) for _, scenario, proxy in order(names, list(scenarios.LOADS), 1)}
    assert {proxy for kind, proxy in taken if kind == "proxy"} == {"nginx", "haproxy", "caddy", "gapura", "compiled"}
    assert {proxy for kind, proxy in taken if kind == web.FILES} == {"nginx", "caddy", "lighttpd", "apache", "gapura", "compiled"}
    assert {proxy for kind, proxy in taken if kind == web.GZIP} == {"nginx", "caddy", "gapura", "compiled"}


@pytest.mark.parametrize("kind", [web.FILES, web.TLS, web.GZIP])
@pytest.mark.parametrize("name", proxies.PROXIES)
def test_each_web_server_is_told_where_its_files_and_log_are(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = proxies.PROXIES[name]
    if kind not in server.kinds:
        return
    for module in (proxies, web):
        monkeypatch.setattr(module, "find", lambda program: f"/bin/{program}")
    folder = tmp_path / "run"
    folder.mkdir()
    command, _ = server.command(proxies.Setting(4001, (4002, 4003), folder, 1, kind))
    written = "".join(path.read_text() for path in folder.iterdir()) + " ".join(map(str, command))
    needed = ["4001", str(folder / "access.log")]
    needed += {web.FILES: [str(tmp_path / "www")], web.TLS: [str(tmp_path / "key.pem")], web.GZIP: ["127.0.0.1:4002", "gzip"]}[kind]
    for word in needed:
        assert word in written


def test_the_page_is_the_same_each_time_and_text() -> None:
    assert web.page(5000) == web.page(5000)
    assert 5000 <= len(web.page(5000)) < 6000


@pytest.mark.parametrize("wrong", [["--only", "big"], ["--proxy", "iis"], ["--rounds", "0"], ["--rounds", "x"], ["small"]])
def test_wrong_options_are_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        options(wrong)
    assert caught.value.code == 2
    assert "usage: bench/run" in capsys.readouterr().err


@pytest.mark.parametrize("name", [name for name, proxy in proxies.PROXIES.items() if "proxy" in proxy.kinds])
def test_each_proxy_is_told_the_same_addresses_and_log(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies, "find", lambda program: f"/bin/{program}")
    setting = proxies.Setting(port=4001, servers=(4002, 4003), folder=tmp_path)
    command, _ = proxies.PROXIES[name].command(setting)
    written = "".join(path.read_text() for path in tmp_path.iterdir()) + " ".join(map(str, command))
    for needed in ("4001", "127.0.0.1:4002", "127.0.0.1:4003", str(tmp_path / "access.log")):
        assert needed in written


def test_a_missing_program_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_PATH", "/nonexistent")
    with pytest.raises(programs.Missing, match="apt-get install nginx-light"):
        programs.find("nginx")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(programs.Missing, match=r"As root: apt-get install -y .*haproxy wrk"):
        programs.install(["haproxy", "wrk"])


@pytest.mark.parametrize("before", [None, b"#!/bin/sh\nexit 0\n"])
def test_services_stay_down_while_packages_are_installed(
    before: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy-rc.d"
    if before is not None:
        policy.write_bytes(before)
    seen = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        seen.append((command[1], subprocess.call([policy])))
        return subprocess.CompletedProcess(command, 0 if command[1] == "update" else 100)

    monkeypatch.setattr(programs, "_POLICY", policy)
    monkeypatch.setattr(programs, "_PATH", "/nonexistent")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda program, path=None: None if path else f"/usr/bin/{program}")
    monkeypatch.setattr("subprocess.run", run)
    with pytest.raises(programs.Missing, match=r"apt-get install .* failed; the benchmark needs wrk"):
        programs.install(["wrk"])
    assert seen == [("update", 101), ("install", 101)]
    assert (policy.read_bytes() if policy.exists() else None) == before


def test_one_core_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {3})
    with pytest.raises(ValueError, match="two cores"):
        machine.cores()
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1})
    assert machine.cores() == (1, 0, 0)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2, 3})
    assert machine.cores() == (3, 0, 1)


def test_a_tree_is_pinned_measured_and_ended_with_its_grandchildren(tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    script = "trap '' TERM; (trap '' TERM; while :; do sleep 0.1; done) & echo started; while :; do :; done"
    tree = process.Tree(["/bin/sh", "-c", script], core, tmp_path / "output")
    try:
        wait_until(lambda: tree.last_output() == "started" and tree.cpu() > 0)
        pids = process.descendants(tree.pid)
        assert len(pids) >= 2
        assert tree.settled_cores() == {core}
        assert tree.memory() > 100_000
    finally:
        tree.stop(grace=0.1)
    assert not tree.running()
    wait_until(lambda: all(process.cpu_seconds(pid) == 0 or gone(pid) for pid in pids))


def test_what_is_gone_has_no_figures() -> None:
    child = subprocess.Popen(["/bin/true"])
    child.wait()
    assert (process.cpu_seconds(child.pid), process.proportional_set_size(child.pid), process.descendants(child.pid)) == (
        0.0,
        0,
        [],
    )


def test_time_of_a_core_passes() -> None:
    core = min(os.sched_getaffinity(0))
    before = sum(process.core_seconds(core))
    wait_until(lambda: sum(process.core_seconds(core)) > before)
    with pytest.raises(ValueError, match="no core 9999"):
        process.core_seconds(9999)


def test_everything_is_ended_after_a_signal(tmp_path: Path) -> None:
    script = (
        "import os, signal, subprocess, sys, time\n"
        "from bench import process\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        "process.adopt_orphans()\n"
        "try:\n"
        "    subprocess.run(['/bin/sh', '-c', 'setsid sleep 300 & echo $!'], stdout=open(sys.argv[1], 'w'))\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(300)\n"
        "except KeyboardInterrupt:\n"
        "    pass\n"
        "finally:\n"
        "    process.end_all()\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "pid")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        orphan = int((tmp_path / "pid").read_text())
        os.kill(orphan, 0)
        child.send_signal(signal.SIGTERM)
        child.wait(timeout=20)
    assert gone(orphan)


def test_the_hot_functions_are_still_called_as_they_want_to_be() -> None:
    for call in micro.cases().values():
        call()


def test_one_call_takes_some_time() -> None:
    assert 0.01 < micro.microseconds(lambda: sum(range(1000))) < 10_000


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_until(condition: Callable[[], object], timeout: float = 60.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
