"""The control socket: what `gapura` commands ask of the master, and where orphans report."""

from __future__ import annotations

import logging
import math
import os
import pwd
import socket
import time
from collections.abc import Callable
from typing import Any

from gapura import __version__, board
from gapura.config.overrides import sentences
from gapura.config.plan import Plan, ServerPlan
from gapura.errors import EXIT_CONFIG, EXIT_FAILURE, CommandError, ConfigError
from gapura.ipc import Channel, Message, socket_path
from gapura.master import status, told
from gapura.master.fleet import Progress
from gapura.master.link import Link, close_all
from gapura.master.loop import READ, Loop, Steps, Task, until
from gapura.master.maintenance import LONGEST_MESSAGE
from gapura.master.reload import Door
from gapura.master.slots import Quiet

log = logging.getLogger(__name__)
CLIENTS = 200
"""Commands at the same time."""
TEST_PATIENCE = 700.0
"""Seconds within which webhooks and commands have been tried: each has a limit of its own."""
Result = dict[str, Any]
Orphaned = Callable[[Link, Message, list[int]], None]


class Server:
    """Listens on `<run>/control.sock` (mode 0600) and tells commands from orphans.

    The edge's own user may connect as well, because orphans run as that user, but it may not command. Who speaks is asked of
    the kernel (SO_PEERCRED), whatever the file's mode says.
    """

    def __init__(self, loop: Loop, run: str) -> None:
        self._loop = loop
        self._run = run
        self._path = os.path.join(run, "control.sock")
        self._links: set[Link] = set()
        self._edge = os.geteuid()
        self.orphaned: Orphaned = _turn_away
        self.commands: Commands | None = None
        self.replaced = os.path.lexists(self._path)
        """An earlier master did not end in peace: its socket was still there."""
        self._listen()

    def _listen(self) -> None:
        if os.path.lexists(self._path):
            os.unlink(self._path)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        before = os.umask(0o177)
        try:
            self._sock.bind(socket_path(self._run))
        finally:
            os.umask(before)
        self._inode = os.lstat(self._path).st_ino
        self._sock.listen(128)
        self._loop.watch(self._sock.fileno(), READ, self._accept)

    def reachable(self) -> bool:
        """Whether the socket file is still the one that we made."""
        try:
            return os.lstat(self._path).st_ino == self._inode
        except OSError:
            return False

    def renew(self) -> None:
        """Listen on a socket file made anew. Raises OSError."""
        self._loop.forget(self._sock.fileno())
        self._sock.close()
        self._listen()

    def admit(self, user: str) -> None:
        """Let the edge's user connect. Raises OSError, KeyError."""
        if user:
            self._edge = pwd.getpwnam(user).pw_uid
            os.chown(self._path, self._edge, -1, follow_symlinks=False)

    def close(self, remove: bool) -> None:
        """Listen no longer. `remove`: the socket file goes too (not when another master may have made its own by now)."""
        self._loop.forget(self._sock.fileno())
        self._sock.close()
        for link in list(self._links):
            link.flush(1.0)
            link.close()
        if remove:
            try:
                os.unlink(self._path)
            except FileNotFoundError:
                pass

    def _accept(self) -> None:
        try:
            sock, _ = self._sock.accept()
        except OSError:
            return
        sock.setblocking(False)
        link = Link(self._loop, Channel(sock))
        if len(self._links) >= CLIENTS:
            link.close()
            return
        self._links.add(link)
        link.heard = lambda message, fds: self._heard(link, message, fds)
        link.lost = lambda: self._links.discard(link)

    def _heard(self, link: Link, message: Message, fds: list[int]) -> None:
        user = link.peer()[1]
        if user not in (0, os.geteuid(), self._edge):
            close_all(fds)
            link.close()
            self._links.discard(link)
            return
        if message.get("type") == "orphan":
            self._links.discard(link)
            self.orphaned(link, message, fds)
            return
        close_all(fds)
        if message.get("type") != "command":
            return
        if user not in (0, os.geteuid()):
            link.send(
                refusal(CommandError("only the user that runs Gapura may command it", "Use the account that started it, or sudo."))
            )
        elif self.commands is None:
            link.send(refusal(CommandError("Gapura is still starting", "Try again in a moment.")))
        else:
            self.commands.run(link, message)


class Commands:
    """Carries out commands. Each is a task of its own; a client that goes away does not end it."""

    def __init__(self, loop: Loop, door: Door, end: Callable[[bool], None], hand_over: Callable[[int], None]) -> None:
        self._loop = loop
        self._door = door
        self._end = end
        self._hand_over = hand_over
        self._waiting_for_end: list[Link] = []
        self.also: dict[str, Callable[[Message, Progress, Link], Steps[Result]]] = {}
        """Commands that others carry out."""

    def run(self, link: Link, message: Message) -> None:
        """Begin a command; its reply follows when it is done."""
        name = message.get("name")
        steps = None
        if isinstance(name, str) and name.isidentifier():
            steps = getattr(self, f"_do_{name}", None) or self.also.get(name)
        if steps is None:
            link.send(
                refusal(CommandError(f"this master does not know the command {name}", "Another version runs: `gapura up` again."))
            )
            return

        def progress(text: str) -> None:
            link.send({"type": "progress", "text": text})

        def done(task: Task) -> None:
            if task.error is None:
                self._tell(str(name), message)
                if task.result is not None:
                    link.send({"type": "reply", "ok": True, **task.result})
                return
            if not isinstance(task.error, (CommandError, ConfigError)):
                log.error("the command %s failed", name, exc_info=task.error)
            link.send(refusal(task.error))

        self._loop.start(f"command {name}", steps(message, progress, link), done)

    def ended(self) -> None:
        """All children are gone: answer who asked for it."""
        for link in self._waiting_for_end:
            link.send({"type": "reply", "ok": True})

    def _tell(self, name: str, message: Message) -> None:
        if (event := told.of_command(name, message)) is not None:
            self._door.children.events.tell(event.type, event.subject, event.text, **event.data)

    # -- one method for each command ------------------------------------------------------------------------------------------

    def _do_ping(self, message: Message, progress: Progress, link: Link) -> Steps[Result]:
        yield from ()
        return {"pid": os.getpid(), "version": __version__}

    def _do_status(self, message: Message, progress: Progress, link: Link) -> Steps[Result]:
        yield from ()
        return status.document(self._door)

    def _do_reload(self, message: Message, progress: Progress, link: Link) -> Steps[Result]:
        said = yield from self._outcome(self._door.enter("reload", self._door.reload(), _ignore, told.whom(message)))
        operations = self._door.operations
        yield from until(lambda: all(task.done for task in operations), math.inf)
        failures = [str(task.result or task.error or "another command ended it") for task in operations if _failed(task)]
        if failures:
            raise CommandError(
                "the new configuration serves, but:\n" + "\n".join(failures), "`gapura logs` shows what the app printed."
            )
        return {"generation": self._door.generation, "changes": said, "overrides": sentences(self._door.overrides.said)}

    def _do_scale(self, message: Message, progress: Progress, link: Link) -> Steps[Result]:
        app, number = _text(message, "app"), _number(message, "instances")
        if number is None:
            raise CommandError("how many instances?")
        yield from self._outcome(self._door.enter("scale", self._door.scale(app, number), _ignore))
        yield from self._finish(self._door.fleet.start(app, None, progress))
        return self._instances(app, None)

    def _do_start(self, message: Message, progress: Progress, link: Link) -> Steps[Result]:
        app, index = _text(message, "app"), _number(message, "index")
        yield from self._finish(self._door.fleet.start(app, index, progress))
        return self._instances(app, index)

    def _do_stop(self, message: Message, progress: Progress, link: Link) -> Steps[Result]:
        app, index = _text(message, "app"), _number(message, "index")
        yield from self._finish(self._door.fleet.stop(app, index, progress))
        return self._instances(app, index)

    def _do_restart(self, message: Message, progress: Progress, link: Link) -> Steps[Result]:
        app, index = _text(message, "app"), _number(message, "index")
        yield from self._finish(self._door.fleet.restart(app, index, progress))
        return self._instances(app, index)

    def _do_close_sites(self, message: Message, progress: Progress, link: Link) -> Steps[Result]:
        seconds, text = message.get("seconds"), message.get("message")
        if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds <= 0):
            raise CommandError("seconds must be a number above 0")
        if not isinstance(text, str) or len(text) > LONGEST_MESSAGE or not text.isprintable():
            raise CommandError("the message must be one line", f"of at most {LONGEST_MESSAGE} characters")
        until = time.time() + seconds if seconds else 0.0
        steps = self._door.close_sites(_texts(message, "sites"), until, text)
        said = yield from self._outcome(self._door.enter("maintenance", steps, _ignore, told.whom(message)))
        return {"generation": self._door.generation, "changes": said, "problem": self._door.maintenance.problem}

    def _do_open_sites(self, message: Message, progress: Progress, link: Link) -> Steps[Result]:
        steps = self._door.open_sites(_texts(message, "sites"))
        said = yield from self._outcome(self._door.enter("maintenance", steps, _ignore, told.whom(message)))
        return {"generation": self._door.generation, "changes": said, "problem": self._door.maintenance.problem}

    def _do_drain(self, message: Message, progress: Progress, link: Link) -> Steps[Result]:
        yield from ()
        plan, name, server = self._door.running, _text(message, "upstream"), _text(message, "address")
        chosen = self._find(plan, name, server)
        self._administer(chosen, board.DRAINING)
        quiet = Quiet(self._door.board, chosen["slots"], self._door.children.columns)
        self._loop.start(f"drain of {server}", self._disable_when(quiet, chosen))
        return {"server": status.server(self._door.board, plan["upstreams"][name], chosen)}

    def _do_enable(self, message: Message, progress: Progress, link: Link) -> Steps[Result]:
        yield from ()
        plan, name = self._door.running, _text(message, "upstream")
        chosen = self._find(plan, name, _text(message, "address"))
        self._administer(chosen, board.ENABLED)
        return {"server": status.server(self._door.board, plan["upstreams"][name], chosen)}

    def _do_renew(self, message: Message, progress: Progress, link: Link) -> Steps[Result]:
        yield from ()
        host, rows = _text(message, "host"), self._door.children.keeper.rows
        hosts = [row["host"] for row in rows if host in (row["host"], "all")]
        control = self._door.children.control
        if not hosts or control is None:
            known = ", ".join(str(row["host"]) for row in rows) or 'no name: no site has tls = "auto"'
            raise CommandError(f"Gapura gets no certificate for {host}", f"It does for {known}.")
        control.tell("renew", hosts=hosts)
        return {"hosts": hosts}

    def _do_test_events(self, message: Message, progress: Progress, link: Link) -> Steps[Result]:
        events = self._door.children.events
        number = events.test()
        yield from until(lambda: events.tested(number) is not None, TEST_PATIENCE)
        if (outcomes := events.tested(number)) is None:
            raise CommandError("control has not answered", "Its log tells more.")
        return {"outcomes": outcomes}

    def _do_down(self, message: Message, progress: Progress, link: Link) -> Steps[Result | None]:
        yield from ()
        self._waiting_for_end.append(link)
        self._end(bool(message.get("drain")))
        return None

    def _do_handover(self, message: Message, progress: Progress, link: Link) -> Steps[Result]:
        yield from ()
        self._loop.after(0.0, lambda: self._hand_over(link.peer()[0] if not link.closed else 0))
        return {}

    # -- parts ------------------------------------------------------------------------------------------------------------------

    def _outcome(self, task: Task) -> Steps[Any]:
        """Wait for a change or an operation; its result."""
        yield from until(lambda: task.done, math.inf)
        if task.cancelled:
            raise CommandError("another command ended this one", "`gapura status` shows how it stands.")
        if task.error is not None:
            raise task.error
        return task.result

    def _finish(self, task: Task) -> Steps[None]:
        """Wait for an operation on an app, whose result is what went wrong."""
        failure = yield from self._outcome(task)
        if failure:
            error, _, hint = str(failure).partition("\n")
            raise CommandError(error, hint or "`gapura logs` shows what it printed.")

    def _instances(self, app: str, index: int | None) -> Result:
        chosen = self._door.fleet.pick(app, index)
        return {"app": app, "instances": [status.instance(item) for item in chosen]}

    def _find(self, plan: Plan, upstream: str, wanted: str) -> ServerPlan:
        if upstream not in plan["upstreams"]:
            known = ", ".join(sorted(plan["upstreams"])) or "none"
            raise CommandError(f"there is no upstream {upstream}", f"Upstreams of this configuration: {known}.")
        group = plan["upstreams"][upstream]
        names = {}
        for server in group["servers"]:
            address = status.current_address(self._door.board, group, server)
            names[server["id"]] = names[address] = server
            if wanted in (server["id"], address):
                return server
        raise CommandError(f"{upstream} has no server {wanted}", f"Its servers: {', '.join(name for name in names if name)}.")

    def _administer(self, server: ServerPlan, value: int) -> None:
        for slot in server["slots"]:
            self._door.board.cells[self._door.board.slot(slot) + board.ADMIN] = value

    def _disable_when(self, quiet: Quiet, server: ServerPlan) -> Steps[None]:
        """Once nothing is under way on a draining server it counts as disabled, unless it was enabled again meanwhile."""
        cells, offsets = self._door.board.cells, [self._door.board.slot(slot) for slot in server["slots"]]

        def draining() -> bool:
            return all(cells[offset + board.ADMIN] == board.DRAINING for offset in offsets)

        yield from until(lambda: quiet() or not draining(), math.inf)
        if draining():
            self._administer(server, board.DISABLED)


def _ignore(task: Task) -> None:
    """The command that waits for the task tells what became of it."""


def _failed(task: Task) -> bool:
    return bool(task.cancelled or task.error or task.result)


def _turn_away(link: Link, message: Message, fds: list[int]) -> None:
    """Nobody takes in orphans yet: they try again."""
    close_all(fds)
    link.close()


def refusal(error: Exception) -> Message:
    """The reply to a command that failed."""
    if isinstance(error, ConfigError):
        problems = [problem.as_dict() for problem in error.problems]
        return {"type": "reply", "ok": False, "error": "", "hint": "", "status": EXIT_CONFIG, "problems": problems}
    if isinstance(error, CommandError):
        problems = [problem.as_dict() for problem in error.problems]
        status, hint = error.exit_status, error.hint
        said = {"error": error.message, "hint": hint, "status": status, "problems": problems, "code": error.code}
        return {"type": "reply", "ok": False, **said}
    hint = "The master's log tells more."
    return {"type": "reply", "ok": False, "error": f"it failed: {error}", "hint": hint, "status": EXIT_FAILURE, "problems": []}


def _text(message: Message, field: str) -> str:
    value = message.get(field)
    if not isinstance(value, str) or not value:
        raise CommandError(f"the command lacks {field}")
    return value


def _texts(message: Message, field: str) -> list[str]:
    value = message.get(field)
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise CommandError(f"the command lacks {field}")
    return value


def _number(message: Message, field: str) -> int | None:
    value = message.get(field)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise CommandError(f"{field} must be a number")
    return value
