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
from gapura.config.dashboards import written
from gapura.config.overrides import Overrides, applied, resolved
from gapura.config.plan import Plan, expand, join_address, listens, without_twins
from gapura.errors import CommandError, ConfigError
from gapura.ipc import Message
from gapura.master import told
from gapura.master.children import Children
from gapura.master.copies import Copies
from gapura.master.fleet import Fleet
from gapura.master.loop import Loop, Steps, Task, Timer, until
from gapura.master.maintenance import Maintenance, meant
from gapura.master.overrides import KeptOverrides
from gapura.master.rows import Rows
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
        self.rows = Rows(children.metrics, children.columns)
        self.children = children
        self.copies = Copies()
        self.fleet = fleet
        self.loading = loading
        self.plan: Plan | None = None
        self.written: Plan | None = None
        """What the file said when it was loaded last, without what commands have said since."""
        self.texts: dict[str, str] = {}
        """The files as they were read for that, by path."""
        self.read: dict[str, str] = {}
        """The files as `loading` read them just now."""
        self.since = 0
        """The generation since which the files are as they are."""
        self.generation = 0
        self.scaled: dict[str, tuple[int, int]] = {}
        self.maintenance = Maintenance("")
        self.overrides = KeptOverrides("")
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
        for app, (said, instances) in list(self.scaled.items()):
            if app in plan["apps"] and plan["apps"][app]["instances"] == said:
                plan = with_instances(plan, app, instances)
            else:
                del self.scaled[app]
        return plan

    def begin(self, written: Plan) -> Steps[list[str]]:
        """The first generation of a master: what the file says, with what commands said before."""
        said = yield from self.take(written)
        self.texts, self.since = self.read, self.generation
        return said

    def as_said(self, written: Plan, overrides: Overrides | None = None) -> tuple[Plan, Overrides, list[str]]:
        """What the file says with what commands have said since; what of that holds, and what not any more. Changes nothing but
        `scaled`.
        """
        plan, left, dropped = applied(self.scale_again(written), self.overrides.said if overrides is None else overrides)
        return self.maintenance.marked(plan), left, dropped

    def take(self, written: Plan, overrides: Overrides | None = None) -> Steps[list[str]]:
        """Apply what the file says, with `overrides` of single servers (None: those that hold), and keep both once it serves."""
        scaled = self.scaled.copy()
        plan, left, dropped = self.as_said(written, overrides)
        try:
            said = yield from self.apply(plan)
        except BaseException:
            self.scaled = scaled
            raise
        self.written = written
        self.overrides.keep(left)
        return [*said, *dropped]

    def preview(self, written: Plan) -> list[str]:
        """What `replace` would change, in sentences."""
        scaled = self.scaled.copy()
        written, later = self._for_now(written)
        plan, _, dropped = self.as_said(written)
        self.scaled = scaled
        return [*(sentences(diff(self.plan, plan)) if self.plan else []), *dropped, *later]

    def expect(self, generation: int | None) -> None:
        """Raise `CommandError` unless this generation serves; None: whichever."""
        if generation is not None and generation != self.generation:
            said = f"generation {self.generation} serves by now, not {generation}"
            raise CommandError(said, "Look at it again, then say it once more.", code="conflict")

    def enter(self, name: str, steps: Steps[list[str]], then: Callable[[Task], None], by: str = "") -> Task:
        """Run a change after those that came before it. The task's result: what changed, in sentences. `by`: who asked for it."""
        before = [task for task in self._queue if not task.done]

        def in_turn() -> Steps[list[str]]:
            yield from until(lambda: all(task.done for task in before), math.inf)
            tell, whole = self.children.events.tell, name in ("reload", "configuration")
            closed = self.maintenance.closed.copy()
            try:
                said = yield from steps
            except (ConfigError, CommandError) as error:
                if whole:
                    told.tell_refusal(tell, self.generation, error, by)
                raise
            if whole:
                told.tell_change(tell, self.generation, said, by)
            told.tell_maintenance(tell, closed, self.maintenance.closed, by)
            return said

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
        return (yield from self.replace(plan, self.read))

    def replace(self, plan: Plan, texts: dict[str, str]) -> Steps[list[str]]:
        """Apply another file, or the same one with another text."""
        if self.plan and (written(self.plan) or self.plan["apps"]) and not (written(plan) or plan["apps"]):
            # an editor or a full disk in the middle of writing: taken at its word it would end every app and close every port
            raise CommandError(f"{plan['file']} has neither sites nor apps any more", "`gapura down` ends everything.")
        plan, later = self._for_now(plan)
        said = yield from self.take(plan)
        if texts != self.texts:
            self.texts, self.since = texts, self.generation
        return [*said, *later]

    def _for_now(self, plan: Plan) -> tuple[Plan, list[str]]:
        """What of a file can be taken up while Gapura runs, and a sentence about what has to wait."""
        after = plan["edge"]["user"]
        before = self.plan["edge"]["user"] if self.plan else after
        if before == after:
            return plan, []
        later = f"workers will run as {after or 'root'} from the next `gapura up` on, which loses no request"
        return {**plan, "edge": {**plan["edge"], "user": before}}, [later]

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
        plan, written, overrides = self.running, self.written, self.overrides.said
        try:
            name, host, port = str(message["upstream"]), str(message["host"]), int(message["port"])
            addresses = [str(item) for item in message["addresses"]]
            servers = without_twins(expand(plan["upstreams"][name], host, port, addresses))
        except (KeyError, TypeError, ValueError, StopIteration):
            return []  # the name left the configuration while it was being resolved
        if written is None or [server["id"] for server in servers] == [item["id"] for item in plan["upstreams"][name]["servers"]]:
            return []
        label, upstream = join_address(host, port), written["upstreams"][name]
        if any(item["host"] == host and item["port"] == port for item in upstream["names"]):
            upstream = {**upstream, "servers": without_twins(expand(upstream, host, port, addresses))}
            written = {**written, "upstreams": {**written["upstreams"], name: upstream}}
        else:
            overrides = resolved(overrides, name, label, addresses)
        return (yield from self.take(written, overrides))

    def apply(self, plan: Plan) -> Steps[list[str]]:
        """The transaction: prepare everywhere, commit, then let the rest follow."""
        edge = plan["edge"]
        said = sentences(diff(self.plan, plan)) if self.plan else []
        generation = self.generation + 1
        self.sockets.bind(listens(edge), edge["workers"], plan["file"])
        fresh: list[int] = []
        try:
            fresh = self.slots.give(plan, time.monotonic_ns())
            self.rows.give(plan)
            failure = yield from self.children.prepare(generation, plan)
            if failure:
                raise CommandError("the new configuration was not taken up", failure)
            self.copies.settle(plan)
        except BaseException:
            self.children.abort(generation)
            self.slots.give_back(fresh)
            if self.plan:
                self.slots.settle(self.plan, time.monotonic_ns())
                self.rows.settle(self.plan, self.generation)
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
        self.rows.settle(plan, self.generation)
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
