"""What became of a hostile input: the answers as bytes on the wire, how the connection ended, what arrived behind."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .cases import FIN, Case, Step, unescape
from .witness import Seen

PATIENCE = 3.0
"""Seconds to wait for the first byte of an answer."""
QUIET = 0.15
"""Seconds without a byte after which an answered connection is taken to stay as it is."""


@dataclass(slots=True)
class Reply:
    """One answer. `status` 0: bytes that are no answer at all. `truncated`: a client can tell that something is missing."""

    status: int
    head: bytes = b""
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    truncated: bool = False

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name]


@dataclass(slots=True)
class Outcome:
    """`closed`: seconds until the peer closed, None when it stayed open."""

    replies: list[Reply]
    closed: float | None
    seen: list[Seen] = field(default_factory=list)

    @property
    def finals(self) -> list[Reply]:
        return [reply for reply in self.replies if not 100 <= reply.status < 200 or reply.status == 101]

    @property
    def status(self) -> int:
        return self.finals[0].status if self.finals else 0


def play(port: int, case: Case, patience: float = PATIENCE, limit: float = 30.0) -> Outcome:
    """Send a case and collect what comes back, for at most `limit` seconds."""
    began = time.monotonic()
    data, closed, reset = b"", None, False
    over = threading.Event()
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sender = threading.Thread(target=_send, args=[sock, case.steps, over], name="sender")
        sender.start()
        sock.settimeout(0.02)
        last = began
        while time.monotonic() - began < limit:
            try:
                piece = sock.recv(1 << 18)
            except TimeoutError:
                quiet = time.monotonic() - last
                if not sender.is_alive() and quiet > (_wait(case, data) if data else patience):
                    break
                continue
            except OSError:
                piece, reset = b"", True
            last = time.monotonic()
            if not piece:
                closed = last - began
                break
            data += piece
        over.set()
        _end(sock)
        sender.join()
    return Outcome(parse(data, case.methods, reset=reset, closed=closed is not None), closed)


def _wait(case: Case, data: bytes) -> float:
    """How long an answered connection must be quiet: one that has to be closed gets a second for it."""
    announced = re.search(rb"(?im)^connection:[ \t]*close", data)
    return 1.0 if "conn=close" in case.expected and not announced else QUIET


def _send(sock: socket.socket, steps: tuple[Step, ...], over: threading.Event) -> None:
    try:
        for step in steps:
            if over.is_set():
                return
            if step is FIN:
                sock.shutdown(socket.SHUT_WR)
            elif isinstance(step, bytes):
                # The socket's short timeout is for reading: a big input may take longer to leave.
                rest = memoryview(step)
                while rest and not over.is_set():
                    try:
                        rest = rest[sock.send(rest) :]
                    except TimeoutError:
                        pass
            else:
                over.wait(step)
    except OSError:
        pass


def _end(sock: socket.socket) -> None:
    """Wake the sender if it is still at it."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def parse(data: bytes, methods: list[str], *, reset: bool, closed: bool) -> list[Reply]:
    """Cut what a connection said into answers, as a client would that expects answers to these methods."""
    replies: list[Reply] = []
    answered = 0
    while data:
        head, end, rest = data.partition(b"\r\n\r\n")
        found = re.match(rb"HTTP/1\.[01] (\d{3})( |\r|$)", head)
        if not end or not found:
            replies.append(Reply(0, head=data, body=data))
            break
        reply = Reply(int(found[1]), head)
        lines = (line.decode("latin-1").partition(":") for line in head.split(b"\r\n")[1:])
        reply.fields = [(name.lower(), value.strip(" \t")) for name, _, value in lines]
        replies.append(reply)
        data = rest
        if 100 <= reply.status < 200 and reply.status != 101:
            continue
        method = methods[min(answered, len(methods) - 1)]
        answered += 1
        if method == "HEAD" or reply.status in (204, 304):
            continue
        data = _body(reply, rest, reset=reset, closed=closed)
    return replies


def _body(reply: Reply, data: bytes, *, reset: bool, closed: bool) -> bytes:
    """Take the body of an answer off the data; what is left."""
    if reply.values("transfer-encoding"):
        while found := re.match(rb"([0-9A-Fa-f]+)\r\n", data):
            size, start = int(found[1], 16), found.end()
            reply.body += data[start : start + size]
            data = data[start + size + 2 :]
            if not size:
                return data
        reply.truncated = True
        return b""
    if lengths := reply.values("content-length"):
        size = int(lengths[0])
        reply.body = data[:size]
        reply.truncated = len(reply.body) < size
        return data[size:]
    reply.body, reply.truncated = data, reset or not closed
    return b""


# -- expectations ---------------------------------------------------------------------------------------------------------

_EXPECTED = re.compile(r"([a-z_0-9.]+)(?:\[([^\]]*)\])?(<=|!~=|~=|!~\^|\|len|=|)(.*)", re.DOTALL)
Check = Callable[[Outcome, str, str, str], bool]
"""Outcome, word in brackets, operator, value."""


def unmet(outcome: Outcome, case: Case) -> list[str]:
    """The expectations of a case that an outcome does not meet."""
    return [text for text in case.expected if not _met(outcome, text)]


def _met(outcome: Outcome, text: str) -> bool:
    found = _EXPECTED.fullmatch(text)
    assert found, text
    name, word, operator, value = found.groups()
    return CHECKS[name](outcome, word or "", operator, value)


def _status(outcome: Outcome, _word: str, _operator: str, value: str) -> bool:
    status, all_statuses = outcome.status, [reply.status for reply in outcome.replies]

    def one(wanted: str) -> bool:
        if wanted == "close":
            return not status and outcome.closed is not None and not outcome.finals
        if wanted == "wait":
            return not all_statuses and outcome.closed is None
        if ">" in wanted:
            return all_statuses[:2] == [int(part) for part in wanted.split(">")]
        if wanted == "1xx":
            return bool(all_statuses) and 100 <= all_statuses[0] < 200
        if wanted.endswith("xx"):
            return status // 100 == int(wanted[0])
        return status == int(wanted)

    return any(one(wanted) for wanted in value.split("|"))


def _connection(outcome: Outcome, _word: str, _operator: str, value: str) -> bool:
    announced = bool(outcome.finals) and "close" in "".join(outcome.finals[-1].values("connection")).lower()
    return (outcome.closed is not None or announced) == (value == "close")


def _count(of: Callable[[Outcome], int]) -> Check:
    def check(outcome: Outcome, _word: str, operator: str, value: str) -> bool:
        wanted = 0 if value == "none" else int(value)
        return of(outcome) <= wanted if operator == "<=" else of(outcome) == wanted

    return check


def _every(of: Callable[[Seen], str]) -> Check:
    """All requests that arrived have this value (none need to arrive: `up=` says how many)."""
    return lambda outcome, _word, _operator, value: all(of(seen) == value for seen in outcome.seen)


def _field_behind(outcome: Outcome, word: str, operator: str, value: str) -> bool:
    wanted = [unescape(one).decode("latin-1") for one in value.split("|")]
    if operator == "~=":
        return all(any(wanted[0] in one for one in seen.values(word)) for seen in outcome.seen)
    return all(seen.values(word) and set(seen.values(word)) <= set(wanted) for seen in outcome.seen)


def _trust(outcome: Outcome, _word: str, _operator: str, _value: str) -> bool:
    """What an untrusted client says of itself is not passed on as if it were known."""
    for seen in outcome.seen:
        forwarded = seen.values("x-forwarded-for")
        if len(forwarded) != 1 or forwarded[0].split(",")[-1].strip() != "127.0.0.1":
            return False
        if "1.2.3.4" in seen.values("x-real-ip") or "https" in seen.values("x-forwarded-proto") or seen.values("forwarded"):
            return False
    return True


def _body_check(outcome: Outcome, _word: str, operator: str, value: str) -> bool:
    text, wanted = b"".join(reply.body for reply in outcome.replies), unescape(value)
    return {"=": text == wanted, "~=": wanted in text, "!~=": wanted not in text}[operator]


def _no_field(outcome: Outcome, word: str, operator: str, _value: str) -> bool:
    absent = not any(reply.values(word) for reply in outcome.replies)
    return absent or (operator == "|len" and not any(reply.truncated for reply in outcome.replies))


def _no_start(outcome: Outcome, word: str, _operator: str, value: str) -> bool:
    return not any(text.startswith(tuple(value.split("|"))) for reply in outcome.replies for text in reply.values(word))


def _truncated(outcome: Outcome, _word: str, _operator: str, _value: str) -> bool:
    return outcome.status == 502 or (not outcome.finals and outcome.closed is not None) or any(r.truncated for r in outcome.finals)


def _within(outcome: Outcome, _word: str, _operator: str, value: str) -> bool:
    return bool(outcome.status) or (outcome.closed is not None and outcome.closed <= float(value))


def _heads(pattern: bytes) -> Check:
    """No answer's head has this."""
    return lambda outcome, *_: not any(re.search(pattern, reply.head) for reply in outcome.replies)


CHECKS: dict[str, Check] = {
    "status": _status,
    "conn": _connection,
    "up": _count(lambda outcome: len(outcome.seen)),
    "up.complete": _count(lambda outcome: sum(seen.complete for seen in outcome.seen)),
    "up.method": _every(lambda seen: seen.method),
    "up.target": _every(lambda seen: seen.target),
    "up.body": _every(lambda seen: seen.body.decode("latin-1")),
    "up.hdr": _field_behind,
    "up.nohdr": lambda outcome, word, *_: not any(seen.values(word) for seen in outcome.seen),
    "up.hashdr": lambda outcome, word, *_: all(seen.values(word) for seen in outcome.seen),
    "up.nofold": lambda *_: True,  # the witness takes no folded field
    "up.xff_trust": _trust,
    "up.route_consistent": lambda outcome, *_: all(".." not in seen.target.split("/") for seen in outcome.seen),
    "nresp": _count(lambda outcome: len(outcome.finals)),
    "body": _body_check,
    "nohdr": _no_field,
    "hdr": _no_start,
    "truncated": _truncated,
    "within": _within,
    "crlf": _heads(rb"(?<!\r)\n"),
    "nofold": _heads(rb"\r\n[ \t]"),
    "tunnel_only_on_101": lambda outcome, *_: (
        outcome.status == 101 or all(seen.target in ("/ws", "/smuggled") for seen in outcome.seen)
    ),
}
