"""What /metrics tells: all that the shared memories, the plan and the master know, at one moment.

Names follow Prometheus' conventions: base units, `_total` for what only grows, one meaning for each name. How many series there may
be is bounded: rows (1,024), slots (1,024), instances and certificates of the configuration; nothing that a visitor sends becomes a
label.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from operator import add
from typing import Any, Final, NamedTuple

from gapura import __version__
from gapura import metrics as m
from gapura.balance import facts
from gapura.board import COLUMNS, CONNS, CONTROL_ROW, ERRORS, MASTER_ROW, P_CONNECTIONS, P_PID, WORKER_ROW, Board
from gapura.control import process_figures
from gapura.control.expiry import Dates
from gapura.control.exposition import Exposition, labels
from gapura.control.names import Names, pair, row_of
from gapura.control.process_figures import Figures
from gapura.control.processes import Processes
from gapura.metrics import Metrics

Document = dict[str, Any]
NS: Final = 1e9
INSTANCE_STATES: Final = ("starting", "ready", "stopping", "stopped", "backoff", "crashed")


class Reload(NamedTuple):
    """How the last change of the configuration went. `at`: seconds since 1970 of the last that was taken up."""

    successful: bool
    at: float


class Scene(NamedTuple):
    """What a scrape looks at. `status`: the master's document, None when it did not answer; `told`: counters of other parts."""

    names: Names
    board: Board
    metrics: Metrics
    generation: int
    reload: Reload
    status: Document | None
    certificates: Sequence[Dates]
    lost_traces: dict[str, int]
    sent_traces: int


class Scraper:
    """Makes the text. It remembers how long instances have computed so far, since their processes come and go."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._now = clock()
        self._processes = Processes(lambda: self._now)
        self._cpu: dict[tuple[str, int], float] = {}

    def render(self, scene: Scene, openmetrics: bool = False) -> bytes:
        """One scrape."""
        out = Exposition(openmetrics)
        _about(out, scene)
        _routes(out, scene)
        _servers(out, scene)
        _connections(out, scene)
        if scene.status is not None:
            self._apps(out, scene.status)
            _logs(out, scene.status)
        _processes(out, scene.board)
        _certificates(out, scene.certificates)
        _traces(out, scene)
        return out.text()

    def _apps(self, out: Exposition, status: Document) -> None:
        found = [(app["name"], one) for app in status["apps"] for one in app["instances"]]
        said = [labels(app=name, index=one["index"]) for name, one in found]
        out.family("gapura_app_instance_state", "gauge", "1 for the state that an instance of an app is in, 0 for the others.")
        for label, (_, one) in zip(said, found, strict=True):
            for state in INSTANCE_STATES:
                out.add(int(one["state"] == state), f'{label},state="{state}"')
        gauges: tuple[tuple[str, str, str, Callable[[Document], float]], ...] = (
            ("up", "gauge", "1 when the instance is ready.", lambda one: int(one["state"] == "ready")),
            ("restarts", "counter", "Restarts since Gapura started the app.", lambda one: one["restarts"]),
            ("crash_looping", "gauge", "1 when it failed three times within two minutes.", lambda one: int(one["looping"])),
            ("memory_bytes", "gauge", "Memory of its whole process tree.", lambda one: one["memory_bytes"]),
            ("uptime_seconds", "gauge", "How long its process runs; 0 without one.", lambda one: round(one["uptime_seconds"], 3)),
        )
        for name, kind, meaning, read in gauges:
            out.family(f"gapura_app_instance_{name}", kind, meaning)
            for label, (_, one) in zip(said, found, strict=True):
                out.add(read(one), label)
        out.family("gapura_app_instance_cpu_seconds", "counter", "Processor time of its process tree since the first scrape.")
        for label, value in zip(said, self._computed(found), strict=True):
            out.add(round(value, 2), label)

    def _computed(self, found: list[tuple[str, Document]]) -> list[float]:
        """Seconds of processor time of each instance so far."""
        before, self._now = self._now, self._clock()
        used = self._processes.sample([one["pid"] for _, one in found if one["pid"]], [])
        known = {(name, one["index"]): one["pid"] for name, one in found}
        self._cpu = {
            key: self._cpu.get(key, 0.0) + (used[pid].cpu * (self._now - before) if pid in used else 0.0)
            for key, pid in known.items()
        }
        return list(self._cpu.values())


def _about(out: Exposition, scene: Scene) -> None:
    out.family("gapura_build", "info", "The running version.")
    out.add(1, labels(version=__version__))
    out.family("gapura_config_generation", "gauge", "Number of the configuration that serves.")
    out.add(scene.generation)
    out.family("gapura_config_last_reload_successful", "gauge", "1 unless the last change of the configuration was refused.")
    out.add(int(scene.reload.successful))
    out.family("gapura_config_last_reload_success_timestamp_seconds", "gauge", "When the running configuration was taken up.")
    out.add(round(scene.reload.at, 3))
    out.family("gapura_master_up", "gauge", "1 when the master answers; without it apps are not restarted.")
    out.add(int(scene.status is not None))


# -- requests --------------------------------------------------------------------------------------------------------------

_CODES: Final = tuple(
    f'code="{status}"' if place < len(m.STATUSES) else f'code="{status // 100}xx"' for place, status in enumerate(m.COUNTED)
)
"""Labels of what the cells count: statuses, and classes for those that are not counted one by one."""


def _routes(out: Exposition, scene: Scene) -> None:
    rows = _by_route(scene)
    out.family("gapura_http_requests", "counter", "Requests that have ended, by status; 499: the client left before the answer.")
    for said, row in rows.items():
        for code, count in zip(_CODES, row.statuses, strict=True):
            if count or code == 'code="200"':
                out.add(count, f"{said},{code}")
    out.family("gapura_http_request_duration_seconds", "histogram", "From the first byte of a request to the last of its answer.")
    for said, row in rows.items():
        out.histogram(row.durations, row.duration_sum / NS, said)
    counters: tuple[tuple[str, str, Callable[[m.Row], int]], ...] = (
        ("request_body_bytes", "Bytes of bodies that clients sent.", lambda row: row.received),
        ("response_body_bytes", "Bytes of bodies that clients got.", lambda row: row.sent),
        ("responses_aborted", "Answers that were broken off after they had begun.", lambda row: row.broken),
    )
    for name, meaning, read in counters:
        out.family(f"gapura_http_{name}", "counter", meaning)
        for said, row in rows.items():
            out.add(read(row), said)


def _by_route(scene: Scene) -> dict[str, m.Row]:
    """What was counted, by labels. Routes of a site that are called the same (they differ in conditions) are one."""
    names, metrics = scene.names, scene.metrics
    called: list[tuple[int, str, str]] = [(0, "", "")]
    called += [(row, name, "") for name, site in names.sites.items() if (row := row_of(site))]
    called += [(row, names.site_of[row], route["name"]) for row, route in names.routes.items()]
    found: dict[str, m.Row] = {}
    for number, site, route in called:
        if number not in names.ours:
            said, counted = labels(site=site, route=route), metrics.row(number)
            found[said] = _together(found[said], counted) if said in found else counted
    return found


def _together(one: m.Row, other: m.Row) -> m.Row:
    return m.Row(
        one.duration_sum + other.duration_sum,
        one.sent + other.sent,
        one.received + other.received,
        one.broken + other.broken,
        list(map(add, one.statuses, other.statuses)),
        list(map(add, one.durations, other.durations)),
    )


# -- servers ---------------------------------------------------------------------------------------------------------------


class _Server(NamedTuple):
    said: str  # labels
    weight: int
    state: str
    active: int
    failures: int
    counted: m.Server


def _servers(out: Exposition, scene: Scene) -> None:
    now = time.monotonic_ns()
    found = [_server(scene, key, now) for key in scene.names.servers]
    out.family("gapura_upstream_requests", "counter", "Answers of a server, by class of their status.")
    for one in found:
        for status, count in zip(m.CLASSES, one.counted.classes, strict=True):
            if count or status == 200:
                out.add(count, f'{one.said},code="{status // 100}xx"')
    out.family("gapura_upstream_response_seconds", "histogram", "From a request to the head of the server's answer.")
    for one in found:
        out.histogram(one.counted.answers, one.counted.answer_sum / NS, one.said)
    families: tuple[tuple[str, str, str, Callable[[_Server], int]], ...] = (
        ("upstream_response_body_bytes", "counter", "Bytes of its bodies that clients got.", lambda one: one.counted.sent),
        ("server_failures", "counter", "Attempts that failed.", lambda one: one.failures),
        ("server_active_requests", "gauge", "Requests and WebSockets under way.", lambda one: one.active),
        ("server_up", "gauge", "1 when it gets requests.", lambda one: int(one.state == "up")),
        ("server_healthy", "gauge", "0 when its health checks fail.", lambda one: int(one.state != "unhealthy")),
        ("server_benched", "gauge", "1 when it rests after max_fails failures.", lambda one: int(one.state == "benched")),
        ("server_draining", "gauge", "1 when it gets no new visitors.", lambda one: int(one.state in ("draining", "disabled"))),
        ("server_weight", "gauge", "Its share of the requests.", lambda one: one.weight),
    )
    for name, kind, meaning, read in families:
        out.family(f"gapura_{name}", kind, meaning)
        for one in found:
            out.add(read(one), one.said)


def _server(scene: Scene, key: str, now: int) -> _Server:
    _, plan = scene.names.servers[key]
    upstream, server = pair(key)
    board = scene.board
    slots = [board.slot(slot) for slot in plan["slots"]]
    return _Server(
        labels(upstream=upstream, server=server),
        plan["weight"],
        facts.server_state(board, plan, now),
        sum(board.total(slot, CONNS) for slot in slots),
        sum(board.total(slot, ERRORS) for slot in slots),
        scene.metrics.server(*plan["slots"]),
    )


# -- the rest --------------------------------------------------------------------------------------------------------------


def _connections(out: Exposition, scene: Scene) -> None:
    counted = scene.metrics.workers()
    out.family("gapura_connections", "gauge", "Connections of clients, by what they do.")
    for state in ("reading", "writing", "waiting"):
        out.add(getattr(counted, state), f'state="{state}"')
    out.family("gapura_connections_accepted", "counter", "Connections of clients that were accepted.")
    out.add(counted.accepted)
    out.family("gapura_connections_handled", "counter", "Of these, those that were not refused because there were too many.")
    out.add(counted.handled)
    out.family("gapura_worker_connections", "gauge", "Connections of clients, by worker.")
    for column, _ in workers(scene.board):
        out.add(scene.board.cells[scene.board.process(WORKER_ROW + column) + P_CONNECTIONS], f'worker="{column}"')


def workers(board: Board) -> Iterable[tuple[int, int]]:
    """Column and pid of every living worker."""
    for column in range(COLUMNS):
        pid = board.cells[board.process(WORKER_ROW + column) + P_PID]
        if pid:
            yield column, pid


def _processes(out: Exposition, board: Board) -> None:
    pids = [(name, "", board.cells[board.process(row) + P_PID]) for name, row in (("master", MASTER_ROW), ("control", CONTROL_ROW))]
    pids += [("worker", str(column), pid) for column, pid in workers(board)]
    found = [
        (labels(process=name, worker=worker), figures)
        for name, worker, pid in pids
        if pid and (figures := process_figures.read(pid)) is not None
    ]
    families: tuple[tuple[str, str, str, Callable[[Figures], float | None]], ...] = (
        ("cpu_seconds", "counter", "Processor time, user and system.", lambda one: one.cpu),
        ("resident_memory_bytes", "gauge", "Resident memory.", lambda one: one.resident),
        ("start_time_seconds", "gauge", "When it was started, in seconds since 1970.", lambda one: one.started),
        ("open_fds", "gauge", "Open file descriptors, where control may count them.", lambda one: one.descriptors),
        ("max_fds", "gauge", "How many it may open.", lambda one: one.most),
    )
    for name, kind, meaning, read in families:
        out.family(f"gapura_process_{name}", kind, meaning)
        for said, figures in found:
            if (value := read(figures)) is not None:
                out.add(value, said)


def _certificates(out: Exposition, dates: Sequence[Dates]) -> None:
    out.family("gapura_certificate_expiry_timestamp_seconds", "gauge", "When a certificate ends; `name` is its host, or its file.")
    for one in dates:
        out.add(int(one.not_after), labels(name=one.name))


def _logs(out: Exposition, status: Document) -> None:
    out.family("gapura_log_lines_lost", "counter", "Lines that could not be written to a log.")
    for one in status["logs"]:
        out.add(one["lost"], labels(path=one["path"]))


def _traces(out: Exposition, scene: Scene) -> None:
    out.family("gapura_traces_sent", "counter", "Requests that were told to the collector of traces.")
    out.add(scene.sent_traces)
    out.family("gapura_traces_lost", "counter", "Sampled requests that it was not told of, by reason.")
    for reason, count in scene.lost_traces.items():
        out.add(count, labels(reason=reason))
