"""All apps with their instances: what a plan wants of them, and what people ask for."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

from gapura.config.change import must_roll
from gapura.config.plan import AppPlan, Plan
from gapura.errors import CommandError
from gapura.master.instance import Ground, Instance
from gapura.master.loop import Steps, Task, until
from gapura.master.run import Run
from gapura.procs import tree
from gapura.procs.lifecycle import READY, STARTING, STOPPED, STOPPING
from gapura.procs.output import delete_pipes, paths_of_pipes

log = logging.getLogger(__name__)
Progress = Callable[[str], None]
Saved = dict[str, Any]


class Fleet:
    """The apps. Operations on one app happen one after the other; `stop` does not wait but ends what is under way."""

    def __init__(self, ground: Ground, saved: list[Saved]) -> None:
        self.ground = ground
        self.apps: dict[str, list[Instance]] = {}
        self.plans: dict[str, AppPlan] = {}
        self._saved = {(entry.get("app"), entry.get("index")): entry for entry in saved}
        self._operations: dict[str, list[Task]] = {}
        self._removals: list[Task] = []
        self._leaving: list[Instance] = []
        self._strays: list[Run] = []
        self._endings: list[tuple[Run, Task]] = []

    @property
    def instances(self) -> list[Instance]:
        """Every instance, those of removed apps that still end included."""
        return [*(instance for group in self.apps.values() for instance in group), *self._leaving]

    def busy_slots(self) -> set[int]:
        """Slots whose instance still has a process."""
        return {run.slot for instance in self.instances for run in instance.runs}

    # -- a committed plan -----------------------------------------------------------------------------------------------------

    def settle(self, plan: Plan) -> list[Task]:
        """Start, roll, scale and stop until the apps are what the plan says; the operations, for who wants to wait."""
        gone = [name for name in self.apps if name not in plan["apps"]]
        tasks = [self._remove(name, self.apps.pop(name)) for name in gone]
        for name, app in plan["apps"].items():
            slots = [server["slots"] for server in plan["upstreams"][name]["servers"]]
            group = self.apps.setdefault(name, [])
            extra = group[app["instances"] :]
            del group[app["instances"] :]
            if extra:
                tasks.append(self._remove(name, extra))
            changed = [instance for instance in group if self._must_roll(instance, app)]
            for instance in group:
                if instance.lifecycle.state != READY or instance not in changed:
                    instance.follow(app)
            for index in range(len(group), app["instances"]):
                group.append(self._create(app, index, slots[index]))
            if changed:
                tasks.append(self.operate(name, self._roll(changed, app, log.info)))
        self.plans = dict(plan["apps"])
        self._end_strays()
        return tasks

    def _must_roll(self, instance: Instance, app: AppPlan) -> bool:
        """Whether only another process can do what a plan wants now. (One that is stopped or stopping needs none.)"""
        before = instance.run.app if instance.run is not None else instance.app
        return instance.lifecycle.state not in (STOPPED, STOPPING) and must_roll(before, app)

    def _create(self, app: AppPlan, index: int, slots: list[int]) -> Instance:
        instance = Instance(self.ground, app, index, slots)
        saved = self._saved.pop((app["name"], index), None)
        if saved is None or not self._resume(instance, saved):
            # One that leaves under the same name still has the slots and the pipes.
            instance.start(when=lambda: all(leaving.name != instance.name for leaving in self._leaving))
        return instance

    def _resume(self, instance: Instance, saved: Saved) -> bool:
        """Go on with what an earlier master knew of this instance; False: it is to be launched."""
        runs = [run for entry in saved.get("runs", []) if (run := _run(entry)) is not None]
        state, restarts = saved.get("state"), saved.get("restarts")
        adopted = False
        for run in runs:
            if run.slot not in instance.slots:
                run.slot = instance.slots[0]
            known = not adopted and state in (READY, STARTING)
            if known and instance.adopt(run, str(state), restarts if isinstance(restarts, int) else 0):
                adopted = True
                log.info("%s goes on: pid %d, port %d", instance.name, run.pid, run.port)
            else:
                self._strays.append(run)
        port = saved.get("port")
        if not adopted and isinstance(port, int):
            instance.port = port
        if not adopted and state in (STOPPED, STOPPING):
            instance.rest()
            return True
        return adopted

    def _end_strays(self) -> None:
        """Processes of an earlier master that nobody wants any more."""
        for (app, index), entry in self._saved.items():
            delete_pipes(*paths_of_pipes(f"{app}-{index}", self.ground.pipes))
            self._strays += [run for item in entry.get("runs", []) if (run := _run(item)) is not None]
        self._saved.clear()
        for run in self._strays:
            if not run.adopt(self.ground.loop):
                run.ended = True
            task = self.ground.loop.start(f"end of pid {run.pid}", run.end(None, 0.0, run.app["stop_timeout"]))
            self._endings.append((run, task))
        self._strays.clear()

    def _remove(self, name: str, gone: list[Instance]) -> Task:
        self._leaving += gone

        def steps() -> Steps[str]:
            yield from self._together([instance.stop() for instance in gone])
            for instance in gone:
                instance.close(remove=True)
                self.ground.ports.give_back(instance.port)
                self._leaving.remove(instance)
            return ""

        task = self.operate(name, steps())
        self._removals = [*(other for other in self._removals if not other.done), task]
        return task

    # -- what people ask for --------------------------------------------------------------------------------------------------

    def pick(self, name: str, index: int | None) -> list[Instance]:
        """The instances that a command means. Raises `CommandError` for one that is not there."""
        if name not in self.apps:
            known = ", ".join(sorted(self.apps)) or "none"
            raise CommandError(f"there is no app {name}", f"Apps of this configuration: {known}.")
        group = self.apps[name]
        if index is None:
            return list(group)
        if not 0 <= index < len(group):
            raise CommandError(f"{name} has no instance {index}", f"Its instances are 0 to {len(group) - 1}.")
        return [group[index]]

    def start(self, name: str, index: int | None, progress: Progress) -> Task:
        """Launch those that do not run, and wait until they are ready or fail."""
        chosen = self.pick(name, index)

        def steps() -> Steps[str]:
            for instance in chosen:
                if instance.run is None:
                    instance.follow(self.plans[name])
                instance.start()
            patience = max(instance.app["start_timeout"] for instance in chosen) + 5.0
            yield from until(lambda: all(instance.settled for instance in chosen), patience)
            for instance in chosen:
                if instance.lifecycle.state != READY:
                    return _failure(instance)
                progress(f"{instance.name} is ready")
            return ""

        return self.operate(name, steps())

    def stop(self, name: str, index: int | None, progress: Progress) -> Task:
        """End them; what else is under way for this app is dropped, and what it had begun with the others brought to an end."""
        chosen = self.pick(name, index)
        others = [instance for instance in self.apps[name] if instance not in chosen]
        self._interrupt(name)

        def steps() -> Steps[str]:
            yield from self._together([*(instance.stop() for instance in chosen), *(instance.mend() for instance in others)])
            for instance in chosen:
                progress(f"{instance.name} is stopped")
            return ""

        return self.operate(name, steps())

    def restart(self, name: str, index: int | None, progress: Progress) -> Task:
        """Replace the processes one by one: never all copies at once."""
        return self.operate(name, self._roll(self.pick(name, index), self.plans[name], progress))

    def operate(self, name: str, steps: Steps[str]) -> Task:
        """Run an operation on an app after those under way. The task's result: "" or what went wrong."""
        before = [task for task in self._operations.get(name, []) if not task.done]

        def in_turn() -> Steps[str]:
            yield from until(lambda: all(task.done for task in before), math.inf)
            return (yield from steps)

        task = self.ground.loop.start(f"operation on {name}", in_turn(), self._report)
        self._operations[name] = [*before, task]
        return task

    def _roll(self, chosen: list[Instance], app: AppPlan | None, progress: Progress) -> Steps[str]:
        for instance in chosen:
            progress(f"{instance.name} is being replaced")
            ready = yield from instance.renew(app or instance.app)
            if not ready:
                return _failure(instance)
            progress(f"{instance.name} is ready")
        return ""

    def _report(self, task: Task) -> None:
        if task.error is not None:
            log.error("%s failed", task.name, exc_info=task.error)
        elif task.result:
            log.error("%s", task.result)

    def _interrupt(self, name: str) -> None:
        """Drop what is under way for an app. What leaves the configuration leaves it all the same."""
        for task in self._operations.get(name, []):
            if task not in self._removals:
                task.cancel()

    def _together(self, several: list[Steps[None]]) -> Steps[None]:
        tasks = [self.ground.loop.start("stop of an instance", steps) for steps in several]
        try:
            yield from until(lambda: all(task.done for task in tasks), math.inf)
        finally:
            for task in tasks:
                task.cancel()

    # -- care and the end -----------------------------------------------------------------------------------------------------

    def reaped(self, pid: int, status: int) -> bool:
        """A child has ended; True when it was an instance's process."""
        return any(instance.ended(pid, status) for instance in self.instances)

    def watch_memory(self) -> None:
        """Replace instances whose tree holds more than `max_memory`. Called now and then."""
        limited = [i for i in self.instances if i.app["max_memory"] and i.run is not None and i.run.ready and i.other is None]
        if not limited:
            return
        processes = tree.Processes()
        for instance in limited:
            name, run = instance.app["name"], instance.run
            if run is None or any(not task.done for task in self._operations.get(name, [])):
                continue
            used = processes.memory(processes.members(run.pid, run.mark, run.started))
            if used > instance.app["max_memory"]:
                mega = used / 2**20
                log.warning("%s holds %.0f MiB, more than max_memory: it is replaced", instance.name, mega)
                said = f"{instance.name} holds {mega:.0f} MiB, more than max_memory: it is replaced"
                self.ground.tell("app.memory", instance.name, said, bytes=used, most=instance.app["max_memory"])
                self.operate(name, self._roll([instance], None, log.info))

    def reopen(self) -> None:
        """Open all logs of instances anew."""
        for instance in self.instances:
            if instance.output is not None:
                instance.output.reopen()

    def end(self) -> Steps[None]:
        """End everything, fast: no drain, but every app has its `stop_timeout`."""
        self._removals.clear()
        for name in self._operations:
            self._interrupt(name)
        self._end_strays()
        yield from self._together([instance.stop(drain=False) for instance in self.instances])
        yield from until(lambda: all(task.done for _, task in self._endings), math.inf)
        for instance in self.instances:
            instance.close(remove=True)

    def kill(self) -> None:
        """SIGKILL to every tree."""
        runs = [run for instance in self.instances for run in instance.runs]
        runs += [run for run, task in self._endings if not task.done]
        tree.kill_trees([(run.pid, run.mark, run.started) for run in runs])

    def describe(self) -> list[Saved]:
        """What a new master needs to go on: what is there, and what an earlier master left and nobody has looked at yet."""
        return [*(instance.describe() for instance in self.instances), *self._saved.values()]


def _failure(instance: Instance) -> str:
    cause = instance.cause
    if cause is None:
        return f"{instance.name} is {instance.lifecycle.state}"
    return f"{instance.name}: {cause.text}" + (f"\n{cause.hint}" if cause.hint else "")


def _run(entry: Saved) -> Run | None:
    """A saved process; None when the entry is malformed."""
    try:
        pid, started, port, slot = (int(entry[field]) for field in ("pid", "started", "port", "slot"))
        app: AppPlan = entry["app"]
        run = Run(app, pid, started, str(entry["mark"]), port, slot)
        run.launched_at = float(entry.get("launched_at", run.launched_at))
        return run if app["stop_timeout"] >= 0 else None
    except (KeyError, TypeError, ValueError):
        return None
