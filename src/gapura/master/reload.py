"""The one door by which a configuration enters: start, reload, scale and DNS all come through here, one after the other.

Bind new listeners, give slots, have everybody *prepare*, then *commit*; start, roll or stop what changed; close old listeners and
free old slots. Any error before the commit leaves the running generation as it is.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

from gapura.board import H_GENERATION, Board
from gapura.config.change import diff, sentences
from gapura.config.plan import Plan, expand, listens
from gapura.errors import CommandError
from gapura.ipc import Message
from gapura.master.children import Children
from gapura.master.copies import Copies
from gapura.master.fleet import Fleet
from gapura.master.loop import Loop, Steps, Task, Timer, until
from gapura.master.maintenance import Maintenance, meant
from gapura.master.slots import Slots
from gapura.master.sockets import Sockets, key

log = logging.getLogger(__name__)
Loading = Callable[[], Steps[Plan]]
LONGEST_WAIT = 60.0
"""Seconds after which the clock on the wall is looked at again: it may have been set meanwhile."""


class Door:
    """What is running, and the way to change it. `loading` makes a plan out of the user's file."""

    def __init__(
        self, loop: Loop, board: Board, sockets: Sockets, slots: Slots, children: Children, fleet: Fleet, loading: Loading
    ) -> None:
        self.loop = loop
        self.board = board
        self.sockets = sockets
        self.slots = slots
        self.children = children
        self.copies = Copies()
        self.fleet = fleet
        self.loading = loading
        self.plan: Plan | None = None
        self.generation = 0
        self.scaled: dict[str, tuple[int, int]] = {}
        self.maintenance = Maintenance("")
        self._opening: Timer | None = None
        self.operations: list[Task] = []
        self.changed: Callable[[], None] = lambda: None
        self._queue: list[Task] = []

    @property
    def running(self) -> Plan:
        """The committed plan. Raises `CommandError` before the first one."""
        if self.plan is None:
            raise CommandError("Gapura is still starting", "Try again in a moment.")
        return self.plan

    def remember(self, generation: object, scaled: object) -> None:
        """Go on where an earlier master stopped: its generation, and what `gapura scale` had said."""
        before = generation if isinstance(generation, int) else 0
        self.generation = max(before, self.board.cells[H_GENERATION])
        if isinstance(scaled, dict):
            self.scaled = {name: (int(pair[0]), int(pair[1])) for name, pair in scaled.items() if _is_pair(pair)}

    def scale_again(self, plan: Plan) -> Plan:
        """Keep what `gapura scale` said, unless the file now says something else than it did then."""
        for app, (written, instances) in list(self.scaled.items()):
            if app in plan["apps"] and plan["apps"][app]["instances"] == written:
                plan = with_instances(plan, app, instances)
            else:
                del self.scaled[app]
        return plan

    def as_said(self, plan: Plan) -> Plan:
        """What the file says, with what commands have said since."""
        return self.maintenance.marked(self.scale_again(plan))

    def enter(self, name: str, steps: Steps[list[str]], then: Callable[[Task], None]) -> Task:
        """Run a change after those that came before it. The task's result: what changed, in sentences."""
        before = [task for task in self._queue if not task.done]

        def in_turn() -> Steps[list[str]]:
            yield from until(lambda: all(task.done for task in before), math.inf)
            return (yield from steps)

        task = self.loop.start(name, in_turn(), then)
        self._queue = [*before, task]
        return task

    def close(self) -> None:
        """Drop the changes under way; nothing more is started."""
        for task in self._queue:
            task.cancel()

    def reload(self) -> Steps[list[str]]:
        """Load the file again and apply it. Raises `ConfigError`, `CommandError`; the running generation stays then."""
        plan = yield from self.loading()
        if self.plan and (self.plan["sites"] or self.plan["apps"]) and not (plan["sites"] or plan["apps"]):
            # an editor or a full disk in the middle of writing: taken at its word it would end every app and close every port
            raise CommandError(f"{plan['file']} has neither sites nor apps any more", "`gapura down` ends everything.")
        after = plan["edge"]["user"]
        before = self.plan["edge"]["user"] if self.plan else after
        said = yield from self.apply(self.as_said({**plan, "edge": {**plan["edge"], "user": before}}))
        if before != after:
            said = [*said, f"workers will run as {after or 'root'} from the next `gapura up` on, which loses no request"]
        return said

    def scale(self, app: str, instances: int) -> Steps[list[str]]:
        """Run an app in another number of instances, until the file's own number changes."""
        plan = self.running
        if app not in plan["apps"]:
            self.fleet.pick(app, None)
        if instances < 1:
            raise CommandError("an app has at least one instance", f"`gapura stop {app}` stops it.")
        written = self.scaled.get(app, (plan["apps"][app]["instances"], 0))[0]
        said = yield from self.apply(with_instances(plan, app, instances))
        self.scaled[app] = (written, instances)
        if written == instances:
            del self.scaled[app]
        self.changed()
        return said

    def close_sites(self, hosts: list[str], until: float, message: str) -> Steps[list[str]]:
        """Have sites in maintenance: `until` this time (wall clock, s; 0: until it is ended), with a `message` for visitors."""
        names = meant(self.running, hosts)
        return (yield from self._maintain(lambda: self.maintenance.close(names, until, message)))

    def open_sites(self, hosts: list[str]) -> Steps[list[str]]:
        """End the maintenance of sites."""
        names = meant(self.running, hosts)
        return (yield from self._maintain(lambda: self.maintenance.open(names)))

    def _maintain(self, change: Callable[[], None]) -> Steps[list[str]]:
        before = self.maintenance.closed.copy()
        change()
        try:
            said = yield from self.apply(self.maintenance.marked(self.running))
        except BaseException:
            self.maintenance.closed = before
            raise
        self.maintenance.write()
        self.await_opening()
        return said

    def await_opening(self) -> None:
        """Open the next site when its time has come. Workers do so by themselves at that moment; this makes it known."""
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        end = self.maintenance.next_end()
        if end:
            delay = min(max(0.0, end - time.time()) + 0.05, LONGEST_WAIT)
            self._opening = self.loop.after(delay, lambda: self._open_in_time(end))

    def _open_in_time(self, end: float) -> None:
        if time.time() < end:
            self.await_opening()
        else:
            self.enter("end of maintenance", self._maintain(lambda: None), _told)

    def resolve(self, message: Message) -> Steps[list[str]]:
        """A DNS name has other addresses: a new generation with them."""
        plan = self.running
        try:
            name, host, port = str(message["upstream"]), str(message["host"]), int(message["port"])
            upstream = plan["upstreams"][name]
            servers = expand(upstream, host, port, [str(item) for item in message["addresses"]])
        except (KeyError, TypeError, ValueError, StopIteration):
            return []  # the name left the configuration while it was being resolved
        if [server["id"] for server in servers] == [server["id"] for server in upstream["servers"]]:
            return []
        upstream = {**upstream, "servers": servers}
        return (yield from self.apply({**plan, "upstreams": {**plan["upstreams"], name: upstream}}))

    def apply(self, plan: Plan) -> Steps[list[str]]:
        """The transaction: prepare everywhere, commit, then let the rest follow."""
        edge = plan["edge"]
        said = sentences(diff(self.plan, plan)) if self.plan else []
        generation = self.generation + 1
        self.sockets.bind(listens(edge), edge["workers"], plan["file"])
        fresh: list[int] = []
        try:
            fresh = self.slots.give(plan, time.monotonic_ns())
            failure = yield from self.children.prepare(generation, plan)
            if failure:
                raise CommandError("the new configuration was not taken up", failure)
            self.copies.settle(plan)
        except BaseException:
            self.children.abort(generation)
            self.slots.give_back(fresh)
            if self.plan:
                self.slots.settle(self.plan, time.monotonic_ns())
            self.sockets.abort()
            raise
        self.sockets.open(edge["backlog"])
        self.plan, self.generation = plan, generation
        yield from self.children.commit(generation, plan)
        self._follow(plan)
        return said

    def _follow(self, plan: Plan) -> None:
        """What is done after a commit: apps, old listeners, old slots, orphans."""
        self.operations = self.fleet.settle(plan)
        wanted = {key(listen) for listen in listens(plan["edge"])}
        gone = [address for address in self.sockets.addresses if address not in wanted]
        self.children.unlisten(gone)
        self.sockets.close(gone)
        self.slots.settle(plan, time.monotonic_ns())
        self.children.forsake()
        self.changed()


def _told(task: Task) -> None:
    """What became of a change that nobody waits for."""
    if task.error is not None:
        log.error("a site cannot be opened: %s", task.error)
    for sentence in task.result or ():
        log.info("%s", sentence)


def with_instances(plan: Plan, app: str, instances: int) -> Plan:
    """The same plan with another number of instances of an app."""
    upstream = plan["upstreams"][app]
    template = upstream["servers"][0]
    servers = list(upstream["servers"][:instances])
    for index in range(len(servers), instances):
        server = template.copy()
        server.update({"id": f"{app}:{index}", "slots": []})
        servers.append(server)
    changed = plan["apps"][app].copy()
    changed["instances"] = instances
    return {
        **plan,
        "apps": {**plan["apps"], app: changed},
        "upstreams": {**plan["upstreams"], app: {**upstream, "servers": servers}},
    }


def _is_pair(value: object) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(number, int) for number in value)
