"""Launching one instance: its environment, its command line, its process.

A plain fork and exec: the master is small and has one thread, and posix_spawn(3) can neither change the folder nor the user.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import re
import resource
import shlex
import signal
import stat
from typing import Final, NoReturn

from gapura.config.plan import AppPlan
from gapura.errors import GapuraError
from gapura.procs.prctl import drop_ambient_capabilities, no_new_privileges
from gapura.procs.tree import start_time

KEPT: Final = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TERM", "TZ", "SHELL")
"""Variables of ours that an app gets as well, beside LC_*; nothing else, so no secret of ours, is passed on."""
DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
UMASK: Final = 0o027
"""Files of an app are not for others."""

_PORT = re.compile(r"\$(?:PORT\b|\{PORT\})")
_SHELL_SYNTAX = re.compile(
    r"""'[^']*'                             # quoted: nothing in it counts
      | "(?:[^"\\$`]|\\.)*"                 # quoted, and nothing in it is expanded
      | \\.
      | (?P<and>&&)
      | (?P<harmless>[<>]&\d? | [<>] | \$\w+ | \$\{\w+\} | "(?:[^"\\`]|\\.)*" | [*?~\[\]])
      | (?P<complex>["|&;()`{}$\n\#!])
    """,
    re.VERBOSE | re.DOTALL,
)
_ASSIGNMENTS = re.compile(r"""\s*(?:[A-Za-z_]\w*=(?:'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[^\s'"\\])*\s+)*""")
_SHELL_WORDS = frozenset(
    {"!", ".", ":", "[", "alias", "break", "case", "cd", "command", "continue", "do", "done", "elif", "else", "esac", "eval"}
    | {"exec", "exit", "export", "fi", "for", "function", "if", "read", "readonly", "return", "set", "shift", "source", "test"}
    | {"then", "time", "trap", "type", "ulimit", "umask", "unset", "until", "wait", "while"}
)


class LaunchError(GapuraError):
    """A process could not be started. `message` is a plain cause, `hint` what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Process:
    """A started process. `pid` and `started` (clock ticks after boot, /proc/PID/stat field 22) name it for ever."""

    __slots__ = ("pid", "started")

    def __init__(self, pid: int, started: int) -> None:
        self.pid = pid
        self.started = started

    def __repr__(self) -> str:
        return f"Process(pid={self.pid}, started={self.started})"


def environment(app: AppPlan, index: int, port: int, mark: str) -> dict[str, str]:
    """The clean environment of an instance: little of ours, then the app's own, then PORT and GAPURA_*.

    An app with a user of its own gets that user's HOME, USER, LOGNAME and SHELL.
    """
    env = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("LC_")}
    env.setdefault("PATH", DEFAULT_PATH)
    if app["user"]:
        try:
            entry = pwd.getpwnam(app["user"])
        except KeyError:
            pass  # `spawn` says it
        else:
            env.update(HOME=entry.pw_dir, USER=entry.pw_name, LOGNAME=entry.pw_name, SHELL=entry.pw_shell or "/bin/sh")
    env.update(app["env"])
    env.update(PORT=str(port), GAPURA_APP=app["name"], GAPURA_INSTANCE=str(index), GAPURA_MARK=mark)
    return env


def command_line(app: AppPlan, port: int) -> list[str]:
    """What to execute: the command split into words; a command with shell syntax goes to /bin/sh.

    $PORT and ${PORT} are replaced first. The shell replaces itself by the command (exec) wherever that changes nothing, so
    that no wrapper stands between us and the app. Raises LaunchError.
    """
    text = _PORT.sub(str(port), app["command"]).strip()
    if not text.strip("'\""):
        raise LaunchError(f"the command of {app['name']} is empty")
    found = {match.lastgroup for match in _SHELL_SYNTAX.finditer(text)} - {None}
    assignments = _ASSIGNMENTS.match(text)
    shell_words = text.split(maxsplit=1)[0] in _SHELL_WORDS or bool(assignments and assignments.group().strip())
    if not found and not shell_words:
        try:
            return shlex.split(text)
        except ValueError:
            raise LaunchError(f"a quote is not closed in the command: {text}", "close it with the same quote") from None
    return ["/bin/sh", "-c", text if "complex" in found else _with_exec(text)]


def _with_exec(text: str) -> str:
    """`exec` before the last command of an && chain, behind its assignments; not before words of the shell itself."""
    start = 0
    for match in _SHELL_SYNTAX.finditer(text):
        if match.lastgroup == "and":
            start = match.end()
    assignments = _ASSIGNMENTS.match(text, start)
    start = assignments.end() if assignments else start
    words = text[start:].split(maxsplit=1)
    if not words or words[0] in _SHELL_WORDS or words[0][0] in "<>":
        return text
    return f"{text[:start]}exec {text[start:]}"


def spawn(
    argv: list[str],
    directory: str,
    env: dict[str, str],
    user: str,
    stdin_fd: int,
    output_fd: int,
    nofile_soft: int,
    *,
    sealed: bool = False,
    capable: bool = False,
) -> Process:
    """Start a process in a session of its own; returns when it has been executed. Raises LaunchError.

    It gets default signals, an empty signal mask, no descriptor but its three, a soft limit of `nofile_soft` open files (0 =
    ours). With `user` it becomes that user for good, without supplementary groups, and can gain no rights by executing
    set-uid programs (PR_SET_NO_NEW_PRIVS); `sealed` forbids the latter without a `user` too. It inherits no ambient capability
    of ours, unless it is `capable`. The caller owns `waitpid` for it.
    """
    account = _account(user)
    ours, theirs = os.pipe()
    # Signals wait until the child has its own dispositions: one of ours must not run our handlers, nor write to the
    # wakeup descriptor that it shares with us.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _child(argv, directory, env, account, stdin_fd, output_fd, nofile_soft, theirs, sealed, capable)
    except OSError as error:
        os.close(ours)
        raise LaunchError(f"no process could be made: {error.strerror}", "the machine is out of memory or processes") from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(theirs)
    with open(ours, "rb", buffering=0) as pipe:
        report = pipe.readall() or b""
    if report:
        os.waitpid(pid, 0)
        step, _, number = report.decode().partition(":")
        raise _refusal(step, int(number), argv, directory, user)
    return Process(pid, start_time(pid) or 0)


def _account(user: str) -> pwd.struct_passwd | None:
    """The account to change to; None: stay who we are. Raises LaunchError."""
    if not user:
        return None
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        raise LaunchError(f"user {user} is not there", "create it (adduser --system) or write another `user`") from None
    if os.geteuid() == account.pw_uid:
        return None
    if os.geteuid() != 0:
        raise LaunchError(f"cannot become user {user} without root", "start Gapura as root or leave `user` out")
    return account


def _child(
    argv: list[str],
    directory: str,
    env: dict[str, str],
    account: pwd.struct_passwd | None,
    stdin_fd: int,
    output_fd: int,
    nofile_soft: int,
    report: int,
    sealed: bool,
    capable: bool,
) -> NoReturn:
    """The child's part between fork and exec. It never returns: a failure is reported as `step:errno` and ends it."""
    step = "start"
    try:
        signal.set_wakeup_fd(-1)
        os.setsid()
        os.umask(UMASK)
        report = _keep_three(stdin_fd, output_fd, report)
        if nofile_soft:
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (nofile_soft, hard))
        step = "user"
        if not capable:
            drop_ambient_capabilities()
        if sealed or account:
            no_new_privileges()  # before we are somebody else: it may load a library from where only we can read
        if account:
            _become(account)
        step = "folder"
        os.chdir(directory)
        step = "command"
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execvpe(argv[0], argv, env)
    except OSError as error:
        os.write(report, f"{step}:{error.errno}".encode())
    except BaseException:  # nothing may return into the master's loop a second time
        os.write(report, f"{step}:{errno.EINVAL}".encode())
    finally:
        os._exit(127)


def _keep_three(stdin_fd: int, output_fd: int, report: int) -> int:
    """Make the child's three standard descriptors and close all others; the new number of the report pipe."""
    stdin_fd, output_fd, report = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in (stdin_fd, output_fd, report))
    os.dup2(stdin_fd, 0)
    os.dup2(output_fd, 1)
    os.dup2(output_fd, 2)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != report:
            try:
                os.close(int(name))
            except OSError:
                pass  # the one that listed them
    return report


def _become(account: pwd.struct_passwd) -> None:
    """Change to the account for good."""
    for fd in (0, 1):
        if stat.S_ISFIFO(os.fstat(fd).st_mode):
            try:
                # /dev/stdout leads the app to the named pipe itself, which it must then be allowed to open.
                os.fchown(fd, account.pw_uid, account.pw_gid)
            except OSError:
                pass  # a container without CAP_CHOWN
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def _refusal(step: str, number: int, argv: list[str], directory: str, user: str) -> LaunchError:
    """The plain cause of a failed step."""
    reason = os.strerror(number)
    if step == "user":
        return LaunchError(f"cannot become user {user}: {reason}", "start Gapura as root or leave `user` out")
    if step == "folder":
        return _folder_refusal(number, directory, user)
    if step != "command":
        return LaunchError(f"the process could not be prepared: {reason}")
    command = argv[0]
    if number == errno.ENOENT and "/" not in command:
        return LaunchError(f"command not found: {command}", "install it or give the full path")
    if number in (errno.ENOENT, errno.ENOTDIR):
        if os.path.exists(os.path.join(directory, command)):
            return LaunchError(f"the interpreter of {command} is not there", "its first line (#!) names a program that is missing")
        return LaunchError(f"command not found: {command}", f"there is no such file, seen from {directory}")
    if number == errno.EACCES:
        return LaunchError(f"permission denied: {command}", f"make it executable: chmod +x {shlex.quote(command)}")
    if number == errno.ENOEXEC:
        return LaunchError(f"not a program: {command}", "its first line must name what runs it, such as #!/bin/sh")
    return LaunchError(f"{command} cannot be executed: {reason}")


def _folder_refusal(number: int, directory: str, user: str) -> LaunchError:
    if number == errno.ENOENT:
        return LaunchError(f"folder {directory} is not there", "make it or correct `directory`")
    if number == errno.ENOTDIR:
        return LaunchError(f"{directory} is no folder", "correct `directory`")
    if number == errno.EACCES:
        who = f"user {user}" if user else "the user that runs Gapura"
        return LaunchError(f"permission denied: folder {directory}", f"{who} may not enter it")
    return LaunchError(f"folder {directory} cannot be entered: {os.strerror(number)}")
