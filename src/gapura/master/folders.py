"""The folders that a running Gapura keeps its things in, and the log files of those who may not make them."""

from __future__ import annotations

import errno
import os
import pwd
import stat

from gapura.config.plan import PathsPlan, Plan
from gapura.errors import CommandError
from gapura.log import open_log


def make(paths: PathsPlan) -> None:
    """Make the state folders, for us alone. Raises `CommandError` for one that others could have put there.

    What lies in them is believed: the state file names processes to end, and a name in them may not lead anywhere else. So a
    folder must be a real one, ours, and writable by nobody else (CWE-59, CWE-732).
    """
    for folder in (paths["run"], paths["logs"], paths["lib"]):
        _open_to_others(folder, False)


def pipes(paths: PathsPlan) -> str:
    """The folder of the instances' pipes, made in that of the run. Raises OSError."""
    folder = os.path.join(paths["run"], "pipes")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    return folder


def admit(plan: Plan) -> None:
    """Give workers and control that run as another user what they need: the way to the control socket, and their log files.

    They may enter the folders but not write there: files that are put there stay root's business. Raises `CommandError`,
    OSError, KeyError for an unknown user.
    """
    user, paths = plan["edge"]["user"], plan["paths"]
    if not user:
        return
    account = pwd.getpwnam(user)
    for folder in (paths["run"], paths["logs"]):
        _open_to_others(folder, True)
    for file in plan["edge"]["log_files"]:
        give(file["path"], account)


def _open_to_others(folder: str, enter: bool) -> None:
    """Make a folder if it is not there, see whose it is, take others the right to write and, with `enter`, let them through."""
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        raise CommandError(
            f"{folder} is not a folder of its own, but a link or a file", "Gapura keeps its state there: remove it."
        ) from None
    try:
        facts = os.fstat(fd)
        if facts.st_uid != os.geteuid():
            raise CommandError(
                f"{folder} belongs to {_name(facts.st_uid)}, and Gapura runs as {_name(os.geteuid())}",
                f"Start Gapura as {_name(facts.st_uid)}; or, when nothing runs there any more, remove it: rm -r {folder}",
            )
        mode = stat.S_IMODE(facts.st_mode)
        wanted = mode & ~0o022 | (0o011 if enter else 0)
        if wanted != mode:
            os.fchmod(fd, wanted)
    finally:
        os.close(fd)


def give(path: str, account: pwd.struct_passwd) -> None:
    """Make a log file and give it away, unless it is something else: who may write in the folder could have put it there."""
    fd = open_log(path)
    try:
        facts = os.fstat(fd)
        if facts.st_uid == account.pw_uid:
            return
        if stat.S_ISREG(facts.st_mode) and facts.st_nlink != 1:
            raise CommandError(
                f"{path} cannot be given to {account.pw_name}: the file has another name as well", "Name another log file."
            )
        if stat.S_ISREG(facts.st_mode):
            os.fchown(fd, account.pw_uid, account.pw_gid)
    finally:
        os.close(fd)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
