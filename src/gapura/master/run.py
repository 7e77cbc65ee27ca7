"""One launched process of an instance: its tree, its port, its slot, from the launch to the end of the last descendant."""

from __future__ import annotations

import math
import os
import signal
import time

from gapura.config.plan import AppPlan
from gapura.listening import listens, port_owner
from gapura.master.loop import READ, Loop, Steps, pause, until
from gapura.master.slots import Quiet
from gapura.procs import tree
from gapura.procs.probe import Probe

RETRY = 0.05
"""Seconds between two readiness checks."""
FOREIGN = 0.5
"""The same while another program answers on the port, because to find out which one costs milliseconds."""
ANY_ANSWER_AFTER = 3.0
"""So long (s) after the launch an answer of 500 and above counts as ready too: the app runs, whatever it says."""
LOOK = 0.005, 0.3
"""Seconds from the first to the second look at a tree that is ending; between later ones more, up to the second figure."""
KILLED = 5.0
"""Seconds until the end of a killed tree is no longer waited for: something holds it in the kernel."""


class Run:
    """A process of an instance. `mark` is what its whole tree carries in GAPURA_MARK."""

    def __init__(self, app: AppPlan, pid: int, started: int, mark: str, port: int, slot: int) -> None:
        self.app = app
        self.pid = pid
        self.started = started
        self.mark = mark
        self.port = port
        self.slot = slot
        self.launched_at = time.monotonic()
        self.ready = False
        self.ended = False
        self.status: int | None = None
        self.trouble = ""
        self._pidfd = -1

    def adopt(self, loop: Loop) -> bool:
        """Watch a process that an earlier master started. False: it is gone. (Its status is told to its parent only.)"""
        try:
            self._pidfd = os.pidfd_open(self.pid)
        except OSError:
            return False
        if tree.start_time(self.pid) != self.started:
            os.close(self._pidfd)
            return False

        def over() -> None:
            loop.forget(self._pidfd)
            os.close(self._pidfd)
            self.ended = True

        loop.watch(self._pidfd, READ, over)
        return True

    def members(self) -> list[int]:
        """The living processes of its tree."""
        return tree.members(self.pid, self.mark, self.started)

    def become_ready(self, loop: Loop) -> Steps[bool]:
        """Wait until it answers on a socket of its own tree: True. False: it ended, or start_timeout is over.

        An answer below 500 counts, after 3 s any answer. `trouble` says what is in the way meanwhile.
        """
        deadline = self.launched_at + self.app["start_timeout"]
        while not self.ended and time.monotonic() < deadline:
            answer = yield from self._ask(loop)
            retry = RETRY
            if isinstance(answer, int):
                late = time.monotonic() - self.launched_at >= ANY_ANSWER_AFTER
                if answer >= 500 and not late:
                    self.trouble = f"it answers with status {answer}"
                elif listens([self.pid], self.port) or listens(self.members(), self.port):
                    self.trouble = ""
                    return not self.ended
                else:
                    retry = FOREIGN
                    owner = port_owner(self.port)
                    by = f"pid {owner[0]}, {owner[1]}" if owner else "a program that is not part of this instance"
                    self.trouble = f"port {self.port} is held by {by}"
            elif answer:
                self.trouble = answer
            yield from until(lambda: self.ended, retry)
        return False

    def over(self) -> Steps[None]:
        """Wait for its end."""
        yield from until(lambda: self.ended, math.inf)

    def end(self, quiet: Quiet | None, drain_timeout: float, stop_timeout: float) -> Steps[None]:
        """End the tree: wait until no exchange is under way, stop_signal, and after `stop_timeout` SIGKILL to all of it."""
        if quiet is not None and not self.ended:
            yield from until(lambda: self.ended or quiet(), drain_timeout, poll=True)
        number = getattr(signal, self.app["stop_signal"], signal.SIGTERM)
        # Who is stopped (SIGSTOP) hears nothing but SIGCONT.
        tree.signal_tree(self.pid, self.mark, self.started, number, signal.SIGCONT)
        deadline = time.monotonic() + stop_timeout
        yield from until(lambda: self.ended, stop_timeout)
        wait, longest = LOOK
        while time.monotonic() < deadline and self.members():
            yield from pause(wait)
            wait = min(2 * wait, longest)
        yield from self.destroy()

    def destroy(self) -> Steps[None]:
        """SIGKILL to the whole tree, again and again while it forks, and wait for its end.

        A process that forked and ended while /proc was read hides its child, so gone is only who was not found twice.
        """
        deadline = time.monotonic() + KILLED
        wait, longest = LOOK
        empty = 0
        while time.monotonic() < deadline:
            empty = 0 if tree.signal_tree(self.pid, self.mark, self.started, signal.SIGKILL) else empty + 1
            if empty == 2:
                break
            yield from pause(wait)
            wait = min(2 * wait, longest)
        yield from until(lambda: self.ended, deadline - time.monotonic())

    def _ask(self, loop: Loop) -> Steps[int | str]:
        """One readiness check."""
        probe = Probe(self.app["host"], self.port, self.app["ready_path"], "localhost")
        failure = probe.begin(time.monotonic())
        if failure is not None:
            probe.close()
            return failure
        fd = probe.fileno()
        results: list[int | str] = []

        def ready() -> None:
            result = probe.advance(time.monotonic())
            if result is None:
                loop.watch(fd, probe.wants, ready)
            else:
                loop.forget(fd)
                results.append(result)

        loop.watch(fd, probe.wants, ready)
        try:
            yield from until(lambda: bool(results) or self.ended, max(0.0, probe.deadline - time.monotonic()))
        finally:
            if not results:  # else the number may name another descriptor by now
                loop.forget(fd)
            probe.close()
        return results[0] if results else "it does not answer"
