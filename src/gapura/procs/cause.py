"""Why an instance ended, in plain words, from its exit status and its last lines.

`RULES` is a table: the first row whose pattern is found in the last lines, and whose exit status fits, explains the end. What
no row explains is told by the exit status or the signal alone.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from typing import Final, NamedTuple

from gapura.listening import port_owner


class Cause(NamedTuple):
    """What happened, and what to do about it ("" = nothing to advise)."""

    text: str
    hint: str


class Rule(NamedTuple):
    """One known way to fail. `text` and `hint` may hold {name}, the first group of `pattern` that matched, and {port}.

    `statuses` empty = any but 0.
    """

    pattern: re.Pattern[str]
    text: str
    hint: str
    statuses: frozenset[int] = frozenset()


LINES: Final = 30
"""How many of the last lines are looked at: older ones tell of something else."""
LENGTH: Final = 1000
"""Characters of a line that are looked at, so that no line, however odd, takes the patterns long."""

_PORT_TAKEN = re.compile(
    r"^.*(?:EADDRINUSE|address (?:is )?already in use|connection in use|something is already running on port"
    r"|port (?:number )?\d+ is (?:already )?(?:in use|being used)).*$",
    re.IGNORECASE | re.MULTILINE,
)
_NAMED_PORT = re.compile(r"(?:\bport (?:number )?|:|', )(\d{2,5})\b(?!:\d)", re.IGNORECASE)

Owner = tuple[int, str] | None
"""Process id and command line of who listens on a port."""


def _rule(pattern: str, text: str, hint: str, *statuses: int) -> Rule:
    return Rule(re.compile(pattern, re.MULTILINE), text, hint, frozenset(statuses))


RULES: Final = (
    _rule(
        r"ERR_OSSL_EVP_UNSUPPORTED|error:0308010C",
        "this version of webpack needs the old OpenSSL, which Node 17 and later turned off (ERR_OSSL_EVP_UNSUPPORTED)",
        'set env = {{ NODE_OPTIONS = "--openssl-legacy-provider" }} for this app, or upgrade react-scripts to 5',
    ),
    _rule(
        r"""(?i:missing script):? ["']?start\b""",
        'package.json has no script "start"',
        'apps made with Vite have "dev" and "preview": command = "npm run preview -- --port $PORT"',
    ),
    _rule(
        r"""(?i:missing script):? ["']?(?P<name>[\w:.-]+)""",
        'package.json has no script "{name}"',
        "`npm run` lists the scripts that there are",
    ),
    _rule(
        r"(?:ENOENT|no such file or directory).*package\.json|Could not read package\.json",
        "there is no package.json in this folder",
        "set `directory` to the folder of the app",
    ),
    _rule(
        r"""Cannot find (?:module|package) '(?P<name>[^'./][^']*)'|Module not found: .*Can't resolve '(?P<other>[^'./][^']*)'""",
        "a Node package is not installed: {name}",
        "run `npm install` in the folder of the app",
    ),
    _rule(r"Cannot find module '(?P<name>[^']+)'", "file not found: {name}", "correct `command` or `directory`"),
    _rule(
        r"\b(?P<name>react-scripts|vite|next|nuxt|nodemon|serve|tsx|ts-node): (?:command )?not found",
        "a Node package is not installed: {name}",
        "run `npm install` in the folder of the app",
    ),
    _rule(
        r"ModuleNotFoundError: No module named '(?P<name>[^']+)'",
        "a Python package is not installed: {name}",
        "install it into the virtual environment of the app, and start the app with that environment's python",
    ),
    _rule(
        r"can't open file '(?P<name>[^']+)'",
        "file not found: {name}",
        "correct `command` or `directory`",
    ),
    _rule(
        r"JavaScript heap out of memory|Reached heap limit",
        "Node ran out of memory (its heap limit)",
        'raise it: env = {{ NODE_OPTIONS = "--max-old-space-size=2048" }} (in MB), or look for a leak',
    ),
    _rule(
        r"^MemoryError\b|java\.lang\.OutOfMemoryError|[Cc]annot allocate memory|ENOMEM",
        "out of memory",
        "give the machine more memory, or run fewer instances",
    ),
    _rule(
        r"(?:listen|bind).*(?:EACCES|[Pp]ermission denied)|(?:EACCES|[Pp]ermission denied).*(?:\d\.\d|:::?\d)",
        "the app may not listen on port {port}",
        "ports below 1024 are for root: use a higher one",
    ),
    _rule(
        r"(?:(?:sh|bash): (?:line )?(?:\d+: )?|exec: )(?P<name>[^\s:]+): (?:command )?not found",
        "command not found: {name}",
        "install it or give the full path",
        127,
    ),
    _rule(
        r"(?:(?:sh|bash): (?:line )?(?:\d+: )?|exec: )(?P<name>[^:]+): [Pp]ermission denied",
        "permission denied: {name}",
        "make it executable: chmod +x {name}",
        126,
    ),
    _rule(r"^(?:\S+: )*SyntaxError: (?P<name>.+)$", "a mistake in the source of the app: {name}", "its last lines say where"),
)

_STATUSES: Final = {
    0: Cause("ended by itself with status 0", "a server must keep running in the foreground"),
    126: Cause("permission denied: the command cannot be executed (status 126)", "make it executable: chmod +x"),
    127: Cause("command not found (status 127)", "install it or give the full path"),
}
_UNKNOWN = Cause("ended while no master was watching; its exit status is unknown", "")
_SIGNAL_NUMBERS: Final = frozenset(map(int, signal.Signals))
_SIGNALS: Final[dict[int, str]] = {
    signal.SIGTERM: "somebody other than Gapura ended it",
    signal.SIGINT: "somebody other than Gapura ended it",
    signal.SIGKILL: "somebody ended it, or the kernel because memory ran out: see `dmesg`",
    signal.SIGSEGV: "a fault in the program or in one of its native libraries",
    signal.SIGBUS: "a fault in the program or in one of its native libraries",
    signal.SIGILL: "the program was built for another processor",
    signal.SIGABRT: "the program ended itself: its last lines say why",
    signal.SIGXFSZ: "a file became larger than its limit allows",
    signal.SIGXCPU: "it used more processor time than its limit allows",
}


def explain(exit_status: int | None, tail: list[str], port: int, owner: Owner, find: Callable[[int], Owner] = port_owner) -> Cause:
    """The plain cause of an end.

    `exit_status` as `os.waitstatus_to_exitcode` gives it (negative: the signal), None = unknown (not our child). `tail`:
    the last lines it printed; `owner`: who listens on `port` now (`port_owner`), if that is not the instance itself.
    `find` answers the same for another port, when the app says that it wanted that one.
    """
    last = "\n".join(line[:LENGTH] for line in tail[-LINES:])
    taken = _PORT_TAKEN.search(last)
    if taken:
        wanted = _wanted_port(taken.group(), port)
        holder = owner if wanted == port else find(wanted)
        if exit_status != 0 or holder:
            return _port_taken(wanted, holder, port, named=_NAMED_PORT.search(taken.group()) is not None)
    for rule in RULES:
        if exit_status in rule.statuses or (exit_status != 0 and not rule.statuses):
            match = rule.pattern.search(last)
            if match:
                return _told(rule, match, port)
    if exit_status is None:
        return _UNKNOWN
    if exit_status < 0:
        return _signalled(-exit_status)
    if exit_status - 128 in _SIGNAL_NUMBERS:
        return _signalled(exit_status - 128)  # what a shell answers for its command
    return _STATUSES.get(exit_status, Cause(f"ended with status {exit_status}", "its last lines may say why"))


def _wanted_port(line: str, port: int) -> int:
    """The port that a line of the app complains about; `port` when it names none."""
    numbers = [int(number) for number in _NAMED_PORT.findall(line)]
    return port if port in numbers or not numbers or not 0 < numbers[-1] < 65536 else numbers[-1]


def _port_taken(wanted: int, owner: Owner, port: int, named: bool) -> Cause:
    text = f"port {wanted} is held by pid {owner[0]}, {owner[1]}" if owner else f"port {wanted} is taken (EADDRINUSE)"
    if wanted != port:
        return Cause(text, f"let the app listen on $PORT, which is {port}: with a port written in its code only one copy can run")
    if owner:
        return Cause(text, f"end it (kill {owner[0]}) or choose another port")
    if not named:
        text = "the port that it listens on is taken (EADDRINUSE)"
    return Cause(text, f"if the app does not listen on $PORT, which is {port}, let it: a port written in its code serves one copy")


def _told(rule: Rule, match: re.Match[str], port: int) -> Cause:
    name = next((text for text in match.groups() if text), "")
    return Cause(rule.text.format(name=name, port=port), rule.hint.format(name=name, port=port))


def _signalled(number: int) -> Cause:
    if number not in _SIGNAL_NUMBERS:
        return Cause(f"ended by signal {number}", "")
    return Cause(f"ended by {signal.Signals(number).name}", _SIGNALS.get(number, ""))
