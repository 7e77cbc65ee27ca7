"""Log files that workers write make place for new ones: by size, by time; older ones are compressed and at last removed.

The master renames a file, makes the new one (workers may not) and has everybody open it anew. What workers write meanwhile still
goes into the renamed file, so no line is lost or torn. That file is compressed once the kernel says that nobody has it open for
writing (a lease, fcntl(2)); another process does it. Nothing is noted anywhere: what is left to do is seen from the names, so a
master that was killed in between goes on where it was.
"""

from __future__ import annotations

import fcntl
import logging
import os
import pwd
import re
import signal
import stat
import sys
import time
from collections.abc import Callable
from typing import Final

from gapura.config.plan import Plan
from gapura.config.plan_log import LogFilePlan, RotatePlan
from gapura.errors import CommandError
from gapura.log import open_log
from gapura.master import folders
from gapura.master.loop import READ, Loop, Steps, Task, pause, until
from gapura.procs import launch, tree

log = logging.getLogger(__name__)

INTERVAL: Final = 1.0
"""Seconds between two looks at the files."""
SEARCH: Final = 60
"""Looks between two searches for work that an earlier master has left, or that failed."""
PATIENCE: Final = 3600.0
"""Seconds that compressing one file may take."""
SETTLED: Final = 60.0
"""Seconds after which a renamed file is taken to have no writer, where the file system knows no leases (NFS)."""
COMPRESS: Final = [sys.executable, "-P", "-m", "gapura.master.compress"]
DAY: Final = 86400.0
_STAMP: Final = re.compile(r"-\d{8}T\d{6}Z(\.gz)?")
_SETSIG: Final = getattr(fcntl, "F_SETSIG", 10)


class Rotation:
    """Looks after the log files of the running plan. `reopen` has every process open them anew."""

    def __init__(self, loop: Loop, plan: Callable[[], Plan | None], reopen: Callable[[], None]) -> None:
        self.loop = loop
        self.argv = COMPRESS
        self._plan = plan
        self._reopen = reopen
        self._seen: dict[str, float] = {}
        self._looks = 0
        self._told: dict[str, str] = {}
        self.busy = False

    def look(self, now: float | None = None) -> None:
        """Rotate what is due. `now` is the time of day in seconds since 1970."""
        plan = self._plan()
        if plan is None:
            return
        now = time.time() if now is None else now
        renamed = [file for file in plan["edge"]["log_files"] if self._turn(plan, file, now)]
        if renamed:
            self._reopen()
        if renamed or self._looks % SEARCH == 0:
            self._tidy(plan)
        self._looks += 1

    # -- rotation -----------------------------------------------------------------------------------------------------------

    def _turn(self, plan: Plan, file: LogFilePlan, now: float) -> bool:
        """Rotate a file if it is due; True when it was renamed."""
        path, rotate = file["path"], file["rotate"]
        if rotate is None:
            return False
        seen = self._seen.get(path)
        try:
            facts = os.lstat(path)
            if not stat.S_ISREG(facts.st_mode) or not self._due(path, rotate, facts, now) or not facts.st_size:
                return False
            _check_folder(os.path.dirname(path))
            self._rename(path, plan["edge"]["user"], now)
        except FileNotFoundError:
            return False
        except (OSError, KeyError, CommandError) as error:
            self._tell(path, f"{path} cannot be rotated: {error}")
            if seen is None:
                self._seen.pop(path, None)
            else:
                self._seen[path] = seen
            return False
        self._told.pop(path, None)
        return True

    def _due(self, path: str, rotate: RotatePlan, facts: os.stat_result, now: float) -> bool:
        """Whether it is too large, or a new period has begun since the last look; at the first, since the last rotation."""
        due = 0 < rotate["size"] <= facts.st_size
        if rotate["every"]:
            seen = self._seen.get(path)
            if seen is None:
                seen = _last(path) or facts.st_mtime
            self._seen[path] = now
            due |= seen < period_start(rotate["every"], now) and facts.st_size > 0
        return due

    def _rename(self, path: str, user: str, now: float) -> None:
        """Give a file the name of the moment, and make a new one. Raises OSError and KeyError; all is as before then."""
        older = f"{path}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}"
        if os.path.lexists(older) or os.path.lexists(f"{older}.gz"):
            raise FileNotFoundError  # twice in a second: next time
        os.rename(path, older)
        try:
            if user:
                folders.give(path, pwd.getpwnam(user))
            else:
                os.close(open_log(path))
        except BaseException:
            os.rename(older, path)
            raise

    # -- older files --------------------------------------------------------------------------------------------------------

    def _tidy(self, plan: Plan) -> None:
        """Remove the older files that are too many, and compress the rest."""
        waiting = []
        for file in plan["edge"]["log_files"]:
            rotate = file["rotate"]
            if rotate is None:
                continue
            names = older(file["path"])
            for name in names[: max(0, len(names) - rotate["keep"])]:
                _remove(name, f"{name}.gz", f"{name}.gz.part")
            if rotate["compress"]:
                waiting += [name for name in names[max(0, len(names) - rotate["keep"]) :] if os.path.lexists(name)]
        if waiting and not self.busy:
            self.busy = True
            self.loop.start("compression of logs", self._compress_all(waiting), self._done)

    def _done(self, task: Task) -> None:
        self.busy = False
        if task.error is not None:
            log.error("logs are not compressed", exc_info=task.error)

    def _compress_all(self, names: list[str]) -> Steps[None]:
        for name in names:
            for _ in range(int(SETTLED)):
                if not written(name):
                    yield from self._compress(name)
                    break
                yield from pause(INTERVAL)

    def _compress(self, name: str) -> Steps[None]:
        """Have a process compress a file. When that fails it stays as it is, and is tried again later."""
        read, write = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(read, False)
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        ended = False
        process: launch.Process | None = None
        said = b""

        def ready() -> None:
            nonlocal ended, said
            chunk = os.read(read, 4096)
            said = (said + chunk)[-4096:]
            if not chunk:
                ended = True
                self.loop.forget(read)

        try:
            try:
                process = launch.spawn([*self.argv, name], "/", dict(os.environ), "", nothing, write, 0, sealed=True)
            finally:
                os.close(write)
                os.close(nothing)
            self.loop.watch(read, READ, ready)
            yield from until(lambda: ended, PATIENCE)
            if said:
                self._tell(name, f"{name} cannot be compressed: {said.decode(errors='replace').strip()}")
        except (launch.LaunchError, OSError) as error:
            self._tell(name, f"{name} cannot be compressed: {error}")
        finally:
            if not ended:
                self.loop.forget(read)
                if process is not None:
                    tree.kill(process.pid, signal.SIGKILL, process.started)
            os.close(read)

    def _tell(self, path: str, text: str) -> None:
        """Say it once, and again only when it is something else."""
        if self._told.get(path) != text:
            self._told[path] = text
            log.error("%s", text)


def period_start(every: float, now: float) -> float:
    """When the period began in which `now` lies: hours from the hour, days from local midnight, weeks from Monday."""
    local = time.localtime(now)
    midnight = time.mktime((local.tm_year, local.tm_mon, local.tm_mday, 0, 0, 0, 0, 0, -1))
    if every < DAY:
        return midnight + (now - midnight) // every * every
    days = int(every // DAY)
    number = int((now + local.tm_gmtoff) // DAY) + 3  # days since a Monday: 1970 began on a Thursday
    return time.mktime((local.tm_year, local.tm_mon, local.tm_mday - number % days, 0, 0, 0, 0, 0, -1))


def older(path: str) -> list[str]:
    """What a log was renamed to, the oldest first, as if none was compressed."""
    folder, name = os.path.split(path)
    try:
        found = os.listdir(folder)
    except OSError:
        return []
    stamps = {entry.removesuffix(".gz") for entry in found if entry.startswith(name) and _STAMP.fullmatch(entry, len(name))}
    return [os.path.join(folder, entry) for entry in sorted(stamps)]


def _last(path: str) -> float | None:
    """When a log was last rotated, as the names tell."""
    names = older(path)
    if not names:
        return None
    moment = time.strptime(names[-1][-16:], "%Y%m%dT%H%M%SZ")
    return time.mktime((*moment[:8], 0)) - time.timezone  # UTC read as our standard time


def written(path: str) -> bool:
    """Whether somebody has the file open for writing: the kernel grants a read lease only when nobody has (fcntl(2))."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.fcntl(fd, _SETSIG, signal.SIGURG)  # whoever opens it meanwhile: a signal that does nothing
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return time.time() - os.fstat(fd).st_ctime < SETTLED
    finally:
        os.close(fd)
    return False


def _check_folder(folder: str) -> None:
    """Refuse a folder that others may write to: they could have us rename, make and compress what is not ours (CWE-59)."""
    facts = os.stat(folder)
    if facts.st_uid not in (0, os.geteuid()) or facts.st_mode & 0o002 or (facts.st_mode & 0o020 and facts.st_gid):
        raise CommandError("other users may write in its folder", "Give it a folder of its own.")


def _remove(*paths: str) -> None:
    for path in paths:
        try:
            os.unlink(path)
        except OSError:
            pass
