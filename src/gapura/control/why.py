"""Why a request ended as it did, in a sentence, and what to do about it. Pure: a record and the names of its plan is all.

The sentence says what is known and no more: which servers were tried, what came of each, and what happened then. The advice is one
step, with a command where there is one; it is empty where nothing need be done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from gapura import records as r
from gapura.config.plan import RoutePlan, UpstreamPlan
from gapura.control.names import Names, pair
from gapura.records import Record, Trial

GONE: Final = "a server that is gone"
IDEMPOTENT: Final = frozenset(("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"))

TRIED: Final = {
    r.STALE: "had closed a connection that was kept",
    r.REFUSED: "refused the connection",
    r.CONNECT_TIMEOUT: "did not take the connection in time",
    r.UNREACHABLE: "could not be reached",
    r.UNTRUSTED: "did not prove who it is",
    r.CLOSED: "closed the connection before it answered",
    r.INVALID: "did not answer in valid HTTP",
    r.TIMEOUT: "did not answer in time",
    r.UNHEALTHY: "stopped answering health checks",
}
"""What came of an attempt, after the server's name."""

_NOBODY: Final = {
    "full": "all of them had as many connections as they may have",
    "starting": "they were still starting",
    "stopping": "they were stopping",
    "backoff": "they had ended unexpectedly and were waiting to be started again",
    "benched": "they had failed and were pausing",
    "unhealthy": "they did not answer health checks",
    "draining": "they were draining",
    "crashed": "they crashed too often and were given up",
    "stopped": "they were stopped",
    "disabled": "they were disabled by a command",
    "free": "they were not running",
    "down": "the configuration marks them as down",
    "unresolved": "its name has no address",
    "refused": "they took no connection",
}
"""After "no server of X could answer:"; by the condition of the most hopeful one (`balance.facts.CONDITIONS`)."""


class Verdict(NamedTuple):
    sentence: str
    advice: str = ""


class _Case:
    """A record with what its plan says about it."""

    def __init__(self, names: Names, record: Record) -> None:
        self.names = names
        self.record = record
        self.route: RoutePlan | None = names.routes.get(record.row)
        self.site = names.site_of.get(record.row, "")
        self.key = names.hashes.get(record.server, "") if record.slot != r.NO_SLOT else ""
        tried = [key for trial in record.trials if (key := names.hashes.get(trial.server, ""))]
        name = pair(self.key or (tried[-1] if tried else ""))[0] or (self.route["upstream"] if self.route else "")
        self.upstream: UpstreamPlan | None = names.plan["upstreams"].get(name)
        self.group = name or "the upstream"

    @property
    def app(self) -> str:
        """The app that should have answered, "" when its servers are not ours."""
        return self.group if self.upstream is not None and self.upstream["app"] else ""

    @property
    def server(self) -> str:
        return called(self.key)

    def seconds(self, name: str) -> str:
        """A timeout of the route, or else of its upstream; "" when it is not known any more."""
        value = self.route.get(name) if self.route is not None else None
        if value is None and self.upstream is not None:
            value = self.upstream.get(name)
        return f"{value:g} s" if isinstance(value, (int, float)) else ""

    def look(self) -> str:
        """Where a server tells more about a request."""
        if self.app:
            return f"`gapura logs {self.app}` shows what it said."
        return f"Look for {self.record.id} in its own log: it got this id as X-Request-Id."


def judge(names: Names, record: Record) -> Verdict:
    """Why it ended as it did, and what to do."""
    case = _Case(names, record)
    if record.flags & r.BROKEN_OFF:
        return _broken_off(case)
    if record.cause == r.CLIENT_GONE:
        return _client_gone(case)
    if record.cause == r.SERVER:
        return Verdict(f"{case.server} itself answered with {record.status}{_after(case)}.", case.look())
    if record.cause == r.NO_SERVER:
        return _no_server(case)
    if record.cause in TRIED and record.status >= 500:
        return _gave_up(case)
    if record.cause in _PLAIN:
        return _PLAIN[record.cause](case)
    return _answered(case)


def called(key: str) -> str:
    """What a server is called in a sentence; `key`: `upstream/id`, or "" for one that the plan does not have any more."""
    return pair(key)[1] or GONE


def attempt(names: Names, trial: Trial) -> str:
    """What came of one attempt, as a sentence without an end."""
    return f"{called(names.hashes.get(trial.server, ''))} {TRIED.get(trial.cause, 'failed')}"


def duration(nanoseconds: int) -> str:
    """A time as people say it."""
    if nanoseconds < 1_000_000:
        return f"{nanoseconds / 1e6:.2f} ms"
    return f"{nanoseconds / 1e6:.0f} ms" if nanoseconds < 1_000_000_000 else f"{nanoseconds / 1e9:.1f} s"


# -- kinds of endings -----------------------------------------------------------------------------------------------------


def _failures(case: _Case) -> str:
    """The attempts in words, those that ended alike together: "web:0 and web:1 refused the connection"."""
    by_cause: dict[int, list[str]] = {}
    for trial in case.record.trials:
        if trial.cause != r.STALE:
            server = called(case.names.hashes.get(trial.server, ""))
            by_cause.setdefault(trial.cause, [])
            if server not in by_cause[trial.cause]:
                by_cause[trial.cause].append(server)
    return ", ".join(f"{_list(servers)} {TRIED.get(cause, 'failed')}" for cause, servers in by_cause.items())


def _after(case: _Case) -> str:
    failures = _failures(case)
    return f", after {failures}" if failures else ""


def _answered(case: _Case) -> Verdict:
    record = case.record
    who = f"{case.server} answered" if record.answered is not None else "Gapura answered by itself"
    if record.flags & r.RECALLED:
        who = "Gapura answered from memory"
    slow = ""
    advice = ""
    if record.flags & r.SLOW and record.answered is not None:
        taken = record.answered - (record.claimed or 0)
        waited = (record.first_claimed or 0) - (record.routed or 0)
        if taken >= waited:
            slow = f"; it took {duration(taken)} to begin"
            advice = case.look()
        else:
            slow = f"; before that it waited {duration(waited)} for a server"
    return Verdict(f"{who} with {record.status} in {duration(record.ended)}{slow}{_after(case)}.", advice or _cure(case))


def _gave_up(case: _Case) -> Verdict:
    """502 and 504: no other server may have the request, or none is left."""
    record = case.record
    first = _failures(case) or f"{case.server} failed"
    limit = ""
    seconds = case.seconds({r.TIMEOUT: "read_timeout", r.CONNECT_TIMEOUT: "connect_timeout"}.get(record.cause, ""))
    if seconds:
        limit = f" (within {seconds})"
    elif record.cause in (r.INVALID, r.UNTRUSTED, r.UNREACHABLE) and record.note:
        limit = f" ({record.note})"
    if record.method not in IDEMPOTENT and record.cause in (r.CLOSED, r.INVALID, r.TIMEOUT):
        then = f"; {record.method} is not sent twice, because it may have been carried out"
    elif len({trial.server for trial in record.trials}) > 1:
        then = "; no other server was left"
    else:
        then = ""
    return Verdict(f"{first}{limit}{then}.", _cure(case))


def _cure(case: _Case) -> str:
    """What helps against the last attempt's failure."""
    trials = [trial for trial in case.record.trials if trial.cause != r.STALE]
    if not trials:
        return ""
    cause = trials[-1].cause
    if cause in (r.REFUSED, r.CLOSED, r.UNHEALTHY):
        return (
            f"`gapura ps` shows whether {case.app} runs, `gapura logs {case.app}` why it does not."
            if case.app
            else (
                "Nothing listened there, or it ended: start that server, or take its address out of the configuration."
                if cause == r.REFUSED
                else case.look()
            )
        )
    if cause == r.TIMEOUT:
        return f"{case.look()} If it needs so long, raise `read_timeout`."
    if cause in (r.CONNECT_TIMEOUT, r.UNREACHABLE):
        return "Look at the address and at firewalls between here and there."
    if cause == r.UNTRUSTED:
        return "Compare the server's certificate with `tls` of the upstream: its name, its authority, its dates."
    return case.look()


def _no_server(case: _Case) -> Verdict:
    record = case.record
    waited = f" within {duration(record.ended)}" if record.flags & r.HELD else ""
    state = _NOBODY.get(record.note, "none was up")
    tried = _failures(case)
    sentence = f"No server of {case.group} could answer{waited}: {state}"
    if tried:
        sentence += f"; {tried}"
    if record.note == "unresolved":
        return Verdict(sentence + ".", "Look at the name in `servers`, and whether the machine's resolver knows it.")
    if case.app:
        again = f"`gapura start {case.app}` starts it." if record.note == "stopped" else f"`gapura logs {case.app}` tells why."
        return Verdict(sentence + ".", f"`gapura ps` shows its instances; {again}")
    if record.note in ("draining", "disabled"):
        return Verdict(sentence + ".", "`gapura enable` brings a server back.")
    return Verdict(sentence + ".", "`gapura status` shows each server; start one of them, or add one.")


def _queue_full(case: _Case) -> Verdict:
    more = f"`gapura scale {case.app}` starts more instances" if case.app else "More servers help"
    return Verdict(
        f"All servers of {case.group} were busy, and as many requests waited for one as may.",
        f"{more}; `queue`, `max_conns` and `hold` say who may wait.",
    )


def _client_gone(case: _Case) -> Verdict:
    record = case.record
    if record.claimed is not None and record.answered is None:
        held = record.ended - record.claimed
        return Verdict(
            f"The client left after {duration(record.ended)}, before the answer began; {case.server} had it for {duration(held)}.",
            case.look() if held > 1_000_000_000 else "",
        )
    if record.flags & r.HELD and record.answered is None:
        return Verdict(
            f"The client left after {duration(record.ended)}, while it waited for a server of {case.group}.", _cure(case)
        )
    if record.answered is not None or record.sent:
        return Verdict(f"The client left in the middle of the answer, after {record.sent:,} bytes of its body.")
    return Verdict(f"The client left after {duration(record.ended)}, before the answer began.")


def _broken_off(case: _Case) -> Verdict:
    record = case.record
    if record.cause == r.CLIENT_GONE:
        return _client_gone(case)
    why = TRIED.get(record.cause)
    if record.cause == r.TIMEOUT:
        why = f"sent nothing more for {case.seconds('read_timeout') or 'too long'}"
    elif record.cause in (r.CLOSED, r.INVALID, r.STALE):
        why = "broke off" + (f" ({record.note})" if record.note else "")
    who = case.server if record.slot != r.NO_SLOT else "Gapura"
    sentence = f"The answer ended after {record.sent:,} bytes of its body: {who} {why or 'failed'}"
    return Verdict(f"{sentence}. The client was told by a broken connection.", case.look() if case.key else "")


def _too_large(case: _Case) -> Verdict:
    limit = case.route["body_limit"] if case.route is not None else None
    if limit is None:
        limit = case.names.plan["edge"]["limits"]["body"]
    return Verdict(
        f"The request's body is larger than the {limit:,} bytes that are allowed here.",
        "If such bodies are meant to come, raise `body_limit` of the route, or `limits.body`.",
    )


def _own(case: _Case) -> Verdict:
    status, route = case.record.status, case.route
    if route is not None and route["action"] == "files":
        if status == 404:
            return Verdict(f"There is no such file in {route['folder']}.")
        return Verdict(f"The file's route answered with {status}.")
    return Verdict(f"The configuration says that this is answered with {status}.")


def _denied(case: _Case) -> Verdict:
    if case.record.status == 401:
        return Verdict("The client did not prove who it is.", "`gapura explain URL` shows what the route asks for.")
    return Verdict("The client may not do this here.", "`gapura explain URL` shows who may.")


def _simply(sentence: str, advice: str = "") -> Callable[[_Case], Verdict]:
    """What needs few words of the case: `{host}`, `{site}`, `{status}`, `{id}`."""

    def verdict(case: _Case) -> Verdict:
        record = case.record
        words = {
            "host": record.host or "(none)",
            "site": case.site or record.host or "(gone)",
            "status": record.status,
            "id": record.id,
        }
        return Verdict(sentence.format_map(words), advice.format_map(words))

    return verdict


_PLAIN: Final = {
    r.QUEUE_FULL: _queue_full,
    r.RATE_LIMIT: _simply(
        "The client sent requests more often than `limit` of the route allows.", "Raise `rate` or `burst` if it may."
    ),
    r.CONNECTION_LIMIT: _simply(
        "The client had as many requests under way as `limit_connections` of the route allows.", "Raise it if it may have more."
    ),
    r.TOO_LARGE: _too_large,
    r.NO_SITE: _simply("No site answers for the host {host}.", "`gapura status` shows those that there are."),
    r.NO_ROUTE: _simply(
        "The site {site} has no route for this path.", 'A route with `path = "/"` takes whatever no other one does.'
    ),
    r.BAD_REQUEST: _simply("The request is not valid HTTP, or longer than `limits` allow."),
    r.SLOW_REQUEST: _simply("The request did not arrive in time.", "`timeouts.head` and `timeouts.body` say how long it may take."),
    r.DENIED: _denied,
    r.MAINTENANCE: _simply("The site {site} was in maintenance.", "`gapura maintenance off {site}` ends it."),
    r.OWN: _own,
    r.ERROR: _simply("Gapura could not answer and said {status}.", "error.log tells more: look for {id}."),
}


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
