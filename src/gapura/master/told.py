"""Which events commands and changes of the configuration make, and in what words."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from gapura.config.plan_maintenance import ClosedPlan
from gapura.errors import CommandError, ConfigError
from gapura.events import Tell
from gapura.ipc import Message

TYPES: Final = {
    "start": "app.started",
    "stop": "app.stopped",
    "restart": "app.restarted",
    "scale": "app.scaled",
    "drain": "server.changed",
    "enable": "server.changed",
    "server_weight": "server.changed",
    "server_reset": "server.changed",
    "server_add": "server.added",
    "server_remove": "server.removed",
    "token_create": "token.created",
    "token_revoke": "token.revoked",
}
"""The event of each command that changes something by itself. Changes of the configuration and of maintenance come by the door."""
_DONE: Final = {
    "start": "started",
    "stop": "stopped",
    "restart": "restarted",
    "drain": "drained",
    "enable": "enabled",
    "server_add": "added",
    "server_remove": "removed",
    "server_reset": "as the file says again",
    "token_create": "the token was made",
    "token_revoke": "the token was taken back",
}
FIELDS: Final = ("app", "index", "instances", "upstream", "address", "server", "weight", "token")
"""Arguments of commands that events hold."""
CHANGES: Final = 20
"""Sentences about a change that its event holds."""


class Told(NamedTuple):
    """An event that is still to be told."""

    type: str
    subject: str
    text: str
    data: dict[str, Any]


def of_command(name: str, message: Message) -> Told | None:
    """The event of a command that was carried out; None for those that change nothing, or that the door tells."""
    if name not in TYPES:
        return None
    data: dict[str, Any] = {key: message[key] for key in FIELDS if key in message}
    subject = _subject(message)
    if name == "scale":
        done = f"scaled to {message.get('instances')} instances"
    elif name == "server_weight":
        done = f"has weight {message.get('weight')}"
    else:
        done = _DONE[name]
    return Told(TYPES[name], subject, f"{subject}: {done}{_by(message)}", {**data, "by": whom(message)})


def _subject(message: Message) -> str:
    if "app" in message:
        index = message.get("index")
        return str(message["app"]) if index is None else f"{message['app']}:{index}"
    if "upstream" in message:
        return f"{message['upstream']}/{message.get('address') or message.get('server') or ''}".removesuffix("/")
    return str(message.get("token", ""))


def whom(message: Message) -> str:
    """Who gave a command: a name that the admin API adds, "" for the command line."""
    by = message.get("by")
    return by if isinstance(by, str) else ""


def _by(message: Message) -> str:
    return f", by {whom(message)}" if whom(message) else ""


def tell_change(tell: Tell, generation: int, said: list[str], by: str) -> None:
    """A configuration serves that somebody asked for."""
    what = (
        "; ".join(said[:3]) + (f"; and {len(said) - 3} more changes" if len(said) > 3 else "") if said else "nothing is different"
    )
    tell(
        "config.changed",
        f"generation {generation}",
        f"a new configuration serves{f', by {by}' if by else ''}: {what}",
        generation=generation,
        changes=said[:CHANGES],
        by=by,
    )


def tell_refusal(tell: Tell, generation: int, error: ConfigError | CommandError, by: str) -> None:
    """A configuration was refused."""
    problems = [problem.as_dict() for problem in error.problems]
    first = error.problems[0].render().splitlines()[0] if error.problems else getattr(error, "message", str(error))
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    text = f"the new configuration was refused, generation {generation} stays: {first}{more}"
    tell("config.refused", f"generation {generation}", text, problem=first, problems=problems[:CHANGES], by=by)


def tell_maintenance(tell: Tell, before: dict[str, ClosedPlan], now: dict[str, ClosedPlan], by: str) -> None:
    """Which sites were closed and opened."""
    for site in now.keys() - before.keys():
        closed = now[site]
        tell("site.closed", site, f"{site} is in maintenance{f', by {by}' if by else ''}", until=closed["until"] or None, by=by)
    for site in before.keys() - now.keys():
        tell("site.opened", site, f"{site} is open again{f', by {by}' if by else ''}", by=by)
