"""Balancing played through on a clock of its own: the real policies over a real board, with simulated servers behind.

What decides is Gapura's own code: `balance.upstream` chooses, counts failures and benches servers, exactly as in a worker.
Simulated are only the visitors, the servers and the time. Like `edge.forward`, a request that failed goes on to the next
server, and one that finds none waits up to `hold`; like `control.watch`, a server is checked every second and is out after two
misses. The same scenario with the same seed gives the same result to the last digit.
"""

from __future__ import annotations

import heapq
import os
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Final

from gapura.balance.random_two import RandomTwo
from gapura.balance.server import Server
from gapura.balance.upstream import Upstream, upstream_of
from gapura.board import DOWN_AT, H_USED, HEALTH, HEALTHY, HIT_AT, READY, READY_AT, REFUSED, STATE, UNHEALTHY, Board
from gapura.learn.scenario import Fault, Scenario

SECOND: Final = 1_000_000_000
BEGIN: Final = 1_000 * SECOND
"""Where the clock begins; 0 would mean "never" on the board."""
HOLD_STEP: Final = SECOND // 50
"""How often waiting requests look for a server (edge/hold.py: 20 ms)."""
CHECK_EVERY: Final = SECOND
CHECK_AGAIN: Final = SECOND // 5
"""From one check to the next of a server that is out."""
CHECK_TIMEOUT: Final = SECOND
MISSES: Final = 2
PARTS: Final = 48
"""Parts that the time is cut into for the course of a server's share."""


@dataclass(slots=True)
class Request:
    """One visitor's request. Times in ns; `work` is what it takes a server of ordinary speed."""

    arrived: int
    key: bytes
    work: int
    tried: list[Server]
    slot: int = 0
    sent: int = 0
    at: Machine | None = None
    moved: bool = False
    failed: bool = False
    held_until: int = 0


class Machine:
    """A simulated server: works on `cores` requests at a time, the rest stands in line."""

    __slots__ = ("cores", "slower", "fault", "line", "working", "misses", "answered", "failed", "course")

    def __init__(self, cores: int, slower: float) -> None:
        self.cores = cores
        self.slower = slower
        self.fault: Fault | None = None
        self.line: deque[Request] = deque()
        self.working: list[Request] = []
        self.misses = 0
        self.answered = 0
        self.failed = 0
        self.course = [0] * PARTS

    @property
    def taken(self) -> list[Request]:
        return [*self.working, *self.line]


@dataclass(frozen=True, slots=True)
class Part:
    """What became of one server: `share` of all answers, `course` what it was given over the time, in `PARTS` parts."""

    weight: int
    answered: int
    failed: int
    share: float
    course: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What one policy made of a scenario. Times are seconds from a request's arrival to its answer.

    `retried` requests were answered after a failure that the visitor did not see, `errors` got no answer.
    """

    policy: str
    servers: tuple[Part, ...]
    p50: float
    p90: float
    p99: float
    longest: float
    retried: int
    errors: int
    seconds: float


class Simulation:
    """One run of a scenario under one policy; `play` gives its result."""

    def __init__(self, scenario: Scenario, policy: str) -> None:
        self.scenario = scenario
        self.policy = policy
        self.now = BEGIN
        self.board = Board.create(BEGIN)
        self.board.cells[H_USED] = 1
        for number in range(scenario.servers):
            slot = self.board.slot(number)
            self.board.cells[slot + STATE], self.board.cells[slot + READY_AT] = READY, BEGIN - SECOND
        self.upstream: Upstream = upstream_of(scenario.upstream(policy), self.board, 0)
        if policy == "random":
            self.upstream.policy = RandomTwo(self.upstream.servers, random.Random(f"{scenario.seed} draws").random)
        self.machines = [Machine(cores, scenario.slow.get(number, 1.0)) for number, cores in enumerate(scenario.cores)]
        self.events: list[tuple[int, int, Callable[[], None]]] = []
        self.numbers = count()
        self.held: deque[Request] = deque()
        self.times: list[int] = []
        self.retried = 0
        self.errors = 0
        self.span = int(scenario.requests / scenario.rate * SECOND) or 1

    # -- the clock ------------------------------------------------------------------------------------------------------------

    def at(self, when: int, what: Callable[[], None]) -> None:
        heapq.heappush(self.events, (when, next(self.numbers), what))

    def play(self) -> Result:
        """Let the time pass until every request has its answer or its error."""
        try:
            self._arrange()
            while len(self.times) + self.errors < self.scenario.requests:
                self.now, _, happen = heapq.heappop(self.events)
                happen()
            return self._result()
        finally:
            self.board.close()
            os.close(self.board.fd)

    def _arrange(self) -> None:
        """Arrivals by chance (a Poisson process), the same ones for every policy; failures; the first health checks."""
        scenario = self.scenario
        chance = random.Random(scenario.seed)
        # Neighbouring networks would fall on the same server by ip_hash: visitors come from all over.
        where = random.Random(f"{scenario.seed} addresses")
        addresses = [where.randbytes(4) for _ in range(scenario.clients)]
        when = float(BEGIN)
        for _ in range(scenario.requests):
            when += chance.expovariate(scenario.rate) * SECOND
            key = addresses[chance.randrange(scenario.clients)]
            work = int(chance.expovariate(1 / scenario.work) * SECOND) + 1
            self.at(int(when), partial(self._try, Request(int(when), key, work, [])))
        for fault in scenario.faults:
            self.at(BEGIN + int(fault.begin * SECOND), partial(self._break, fault))
            if fault.end is not None:
                self.at(BEGIN + int(fault.end * SECOND), partial(self._mend, fault))
        if scenario.checks:
            for number in range(scenario.servers):
                self.at(BEGIN + (number + 1) * CHECK_EVERY // scenario.servers, partial(self._check, number))

    # -- a request --------------------------------------------------------------------------------------------------------------

    def _try(self, request: Request) -> None:
        """Go to the server that the policy claims, and on to the next where nobody listens."""
        while request.at is None:
            if len(request.tried) >= self.upstream.tries or (server := self._claim(request)) is None:
                self._wait(request)
                return
            machine = self.machines[server.index]
            if machine.fault is None or machine.fault.hung:
                request.at = machine
                machine.line.append(request)
                machine.course[min(PARTS - 1, (self.now - BEGIN) * PARTS // self.span)] += 1
                self.at(self.now + int(self.upstream.read_timeout * SECOND), partial(self._late, request, self.now))
                self._serve(machine)
            else:
                self._fail(request, server, refused=True)

    def _claim(self, request: Request) -> Server | None:
        """The policy's choice; here it is asked and nowhere else."""
        server = self.upstream.claim(self.now, request.key, request.tried)
        if server is not None:
            request.slot, request.sent = server.slot, self.now
        return server

    def _serve(self, machine: Machine) -> None:
        while machine.line and len(machine.working) < machine.cores and machine.fault is None:
            request = machine.line.popleft()
            machine.working.append(request)
            self.at(self.now + int(request.work * machine.slower), partial(self._done, request, machine, request.sent))

    def _done(self, request: Request, machine: Machine, sent: int) -> None:
        if request.at is not machine or request.sent != sent or machine.fault is not None:
            return  # it broke off meanwhile
        server = self._server(machine)
        machine.working.remove(request)
        machine.answered += 1
        self.upstream.answered(server, request.slot, sent, self.now, self.now - sent)
        self.upstream.release(server, request.slot)
        self.times.append(self.now - request.arrived)
        self.retried += request.failed
        request.at = None
        self._serve(machine)

    def _fail(self, request: Request, server: Server, refused: bool) -> None:
        """This attempt is over; the server is left out of the next."""
        self.machines[server.index].failed += 1
        self.upstream.failed(server, request.slot, request.sent, self.now, refused)
        self.upstream.release(server, request.slot)
        request.tried.append(server)
        request.failed = True
        request.at = None

    def _leave(self, request: Request, machine: Machine) -> None:
        """Take a request from a server that broke off or hangs, and try the next."""
        machine.working = [other for other in machine.working if other is not request]
        if request in machine.line:
            machine.line.remove(request)
        self._fail(request, self._server(machine), refused=False)
        self._try(request)

    def _late(self, request: Request, sent: int) -> None:
        if request.at is not None and request.sent == sent:
            self._leave(request, request.at)

    def _wait(self, request: Request) -> None:
        """No server is left: wait in line while one may return, as long as `hold` allows; then it is an error (edge/hold.py)."""
        waited = bool(request.held_until) and self.now >= request.held_until
        if waited or (request.tried and not self.scenario.retries) or not self.upstream.may_return(self.now):
            self.errors += 1
            return
        request.held_until = request.held_until or self.now + self.upstream.hold_ns
        request.tried = []
        self.held.append(request)
        if len(self.held) == 1:
            self.at(self.now + HOLD_STEP, self._look)

    def _look(self) -> None:
        """Let those who wait go on, the first first, as soon as some server may be picked."""
        waiting, self.held = self.held, deque()
        while waiting and self.upstream.reason(self.now) == "up":
            self._try(waiting.popleft())
        late = sum(request.held_until <= self.now for request in waiting)
        self.errors += late
        waiting = deque(request for request in waiting if request.held_until > self.now)
        self.held = deque([*waiting, *self.held])
        if self.held:
            self.at(self.now + HOLD_STEP, self._look)

    def _server(self, machine: Machine) -> Server:
        return self.upstream.servers[self.machines.index(machine)]

    # -- failures and checks ----------------------------------------------------------------------------------------------------

    def _break(self, fault: Fault) -> None:
        machine = self.machines[fault.server]
        machine.fault = fault
        if not fault.hung:
            for request in machine.taken:
                self._leave(request, machine)

    def _mend(self, fault: Fault) -> None:
        """The server answers again; what a hung one had taken it does now."""
        machine = self.machines[fault.server]
        machine.fault = None
        machine.line = deque(machine.taken)
        machine.working = []
        self._serve(machine)

    def _check(self, number: int) -> None:
        """One health check: an answer proves a server that was out, or that had refused, alive again (control/watch.py)."""
        machine = self.machines[number]
        cells, slot = self.board.cells, self.board.slot(number)
        out = cells[slot + HEALTH] == UNHEALTHY
        if machine.fault is None:
            if machine.misses or out or cells[slot + DOWN_AT] & REFUSED:
                cells[slot + HIT_AT] = self.now
            cells[slot + HEALTH], machine.misses = HEALTHY, 0
        elif machine.fault.hung:
            self.at(self.now + CHECK_TIMEOUT, partial(self._miss, number))
        else:
            self._miss(number)
        self.at(self.now + (CHECK_AGAIN if out else CHECK_EVERY), partial(self._check, number))

    def _miss(self, number: int) -> None:
        machine = self.machines[number]
        machine.misses += 1
        cells, slot = self.board.cells, self.board.slot(number)
        if machine.misses < MISSES or machine.fault is None or cells[slot + HEALTH] == UNHEALTHY:
            return
        cells[slot + HEALTH] = UNHEALTHY
        for request in machine.taken if self.scenario.retries else ():
            if not request.moved:  # once, never again (ARCHITECTURE, "What follows a failure")
                request.moved = True
                self._leave(request, machine)

    # -- the end ----------------------------------------------------------------------------------------------------------------

    def _result(self) -> Result:
        times = sorted(self.times)
        answered = max(1, len(times))
        parts = [
            Part(weight, machine.answered, machine.failed, machine.answered / answered, tuple(machine.course))
            for weight, machine in zip(self.scenario.weights, self.machines, strict=True)
        ]
        p50, p90, p99, longest = (quantile(times, part) for part in (0.5, 0.9, 0.99, 1.0))
        return Result(self.policy, tuple(parts), p50, p90, p99, longest, self.retried, self.errors, self.span / SECOND)


def quantile(times: list[int], part: float) -> float:
    """The time that `part` of the sorted `times` (ns) do not exceed, in seconds; 0 of none (nearest rank)."""
    if not times:
        return 0.0
    rank = -(-len(times) * round(part * 1000) // 1000)
    return times[max(0, rank - 1)] / SECOND


def play(scenario: Scenario, policies: tuple[str, ...]) -> list[Result]:
    """What each policy makes of the same visitors and the same failures."""
    return [Simulation(scenario, policy).play() for policy in policies]
