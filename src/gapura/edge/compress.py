"""Steps of a route: whether answers are compressed.

An answer that is all there is compressed at once and keeps an exact Content-Length; so is a short one that says its length and
comes without a pause. Any other is compressed part by part and flushed whenever the server behind has nothing more to say for now,
so that events arrive when they are sent.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from time import monotonic_ns
from typing import Final

from gapura.config.plan_compress import CompressPlan
from gapura.edge.answer_head import AnswerHead
from gapura.edge.compressor import EVENTS, Compressor, Kind, kind
from gapura.edge.encoding import Negotiation
from gapura.edge.exchange import UNKNOWN, Exchange, Handler
from gapura.edge.filter import Filter
from gapura.edge.lasting import Lasting
from gapura.edge.router import NEXT, Step
from gapura.wire.headers import OWS, find_all

MEMORY: Final = 64 << 20
"""Bytes that compressors of one worker may hold. Answers beyond that go out as they are, which is slower and always right."""
QUIET: Final = 5_000_000
"""A stream that was flushed within the last so many ns is not flushed at once again: many small writes make one piece."""
LASTS: Final = 1 << 20
"""Compressed forms of bodies up to this size are kept with them."""

_NEVER: Final = frozenset((204, 205, 206, 304))
"""Without a body, or with a part of one, whose bytes are counted in the uncompressed form."""


def steps(plan: CompressPlan) -> list[Step]:
    """The steps that this part of the plan asks for."""
    return [_Compress(plan)]


class _Compress:
    """What a route says about compression, made ready. An instance is a step."""

    __slots__ = ("negotiation", "kinds", "events", "minimum", "level", "_types", "_known")

    def __init__(self, plan: CompressPlan) -> None:
        self.negotiation = Negotiation(tuple(plan["algorithms"]))
        self.minimum = plan["minimum"]
        self.level = plan["level"]
        self.kinds = {coding: kind(coding, self.level) for coding in plan["algorithms"]}
        self.events = {coding: kind(coding, EVENTS) for coding in plan["algorithms"]}
        patterns = "|".join(re.escape(pattern).replace(r"\*", ".*") for pattern in plan["types"])
        self._types = re.compile(patterns.encode())
        self._known: dict[bytes, bool] = {}

    def __call__(self, exchange: Exchange) -> int:
        Compressed(exchange, self)
        return NEXT

    def suits(self, content_type: bytes) -> bool:
        """Whether answers of this Content-Type are compressed."""
        found = self._known.get(content_type)
        if found is None:
            if len(self._known) >= 256:
                self._known.clear()
            media_type = content_type.partition(b";")[0].strip(OWS).lower()
            found = self._known[content_type] = self._types.fullmatch(media_type) is not None
        return found


class Compressed(Filter):
    """Compresses the answer of one exchange, if it is to be.

    While it does so for an answer that comes in parts it stands between the connection and the handler, to pause the handler as
    long as it has more than it may do at once.
    """

    __slots__ = (
        "step", "kind", "compressor", "behind", "pending", "later", "trailers", "lasting", "coding", "form",
        "gathered", "answer", "memory", "flushed_at", "dirty", "flush_due", "rung", "slow", "held", "waiting",
    )  # fmt: skip

    def __init__(self, exchange: Exchange, step: _Compress) -> None:
        super().__init__(exchange)
        self.step = step
        self.compressor: Compressor | None = None
        self.kind: Kind
        self.behind: Handler | None = None
        self.pending: deque[memoryview] = deque()
        self.later: Callable[[], None] | None = None
        self.trailers: list[bytes] | None = None  # it has ended, with these
        self.lasting: Lasting | None = None  # to be given the form
        self.coding = ""
        self.form: list[bytes] = []
        self.gathered: list[bytes] | None = None  # what has come of an answer that is to be compressed as a whole
        self.answer: AnswerHead  # its head
        self.memory = 0  # counted among what the worker's answers hold
        self.flushed_at = 0
        self.dirty = False  # something was compressed since the last flush
        self.flush_due = False  # to be flushed when nothing is pending
        self.rung = False  # a flush is arranged
        self.slow = self.held = False  # the client takes no more; the handler has brought too much
        self.waiting = False  # for its turn

    # -- what becomes of the answer -----------------------------------------------------------------------------------------

    def _judge(self, block: bytes, size: int) -> tuple[AnswerHead, str, bool]:
        """(head, coding or "", whether the answer depends on Accept-Encoding). `size` in bytes or UNKNOWN."""
        head = AnswerHead(block)
        status, step = head.status, self.step
        suits = step.suits(head.content_type)
        if status in _NEVER:
            return head, "", suits or (status == 304 and not head.content_type)
        if not size or head.fixed():
            return head, "", False
        coding, must = step.negotiation.choose(self.exchange.head.lines)
        if not must and (not suits or UNKNOWN < size < step.minimum):
            return head, "", False
        return head, coding, True

    def _as_it_is(self, head: AnswerHead, block: bytes, varies: bool) -> bytes:
        if not varies:
            return block
        if head.status == 304:
            return head.revalidated(b",".join(find_all(self.exchange.head.lines, b"if-none-match")))
        return head.varied()

    def whole(self, block: bytes, body: bytes, length: int, bodyless: bool, now: int) -> None:
        head, coding, varies = self._judge(block, length if bodyless else len(body))
        if not coding:
            self.inner.whole(self._as_it_is(head, block, varies), body, length, bodyless, now)
            return
        if bodyless:
            self.inner.whole(head.compressed(coding), b"", UNKNOWN, True, now)
            return
        kept = body if isinstance(body, Lasting) and len(body) <= LASTS else None
        form = kept.forms.get((coding, self.step.level)) if kept is not None else None
        if form is not None:
            self._send_whole(head, coding, body, form, now)
        elif len(body) > self.step.kinds[coding].piece:
            self.lasting = kept
            self.exchange.sent += len(body)
            self._start(head, coding, len(body))
            self.data(body)
            self.end([])
        else:
            self._in_turn(head, coding, body, now)

    def _in_turn(self, head: AnswerHead, coding: str, body: bytes, now: int) -> None:
        """Compress a whole answer, at once or when it is its turn."""
        if self.exchange.worker.turns.free():
            self._compress_whole(head, coding, body, now)
        else:
            self.later = lambda: self._compress_whole(head, coding, body, monotonic_ns())
            self._stand_between()
            self._wait()

    def _compress_whole(self, head: AnswerHead, coding: str, body: bytes, now: int) -> None:
        since = monotonic_ns()
        form = self.step.kinds[coding].whole(body)
        self.exchange.worker.turns.spend(since)
        self._keep(body, coding, form)
        self._send_whole(head, coding, body, form, now)

    def _keep(self, body: bytes, coding: str, form: bytes) -> None:
        if isinstance(body, Lasting):
            body.forms[coding, self.step.level] = form

    def _send_whole(self, head: AnswerHead, coding: str, body: bytes, form: bytes, now: int) -> None:
        if len(form) >= len(body) and not self.step.negotiation.choose(self.exchange.head.lines).must:
            self.inner.whole(head.varied(), body, len(body), False, now)
        else:
            self.inner.whole(head.compressed(coding), form, len(form), False, now)

    def start(self, block: bytes, length: int, bodyless: bool) -> None:
        head, coding, varies = self._judge(block, length)
        if not coding:
            self.inner.start(self._as_it_is(head, block, varies), length, bodyless)
        elif bodyless:
            self.inner.start(head.compressed(coding), UNKNOWN, True)
        elif UNKNOWN < length <= self.step.kinds[coding].piece and self._take(length):
            self.answer, self.coding, self.gathered = head, coding, []
            self._stand_between()
        else:
            self._start(head, coding, length)

    def _start(self, head: AnswerHead, coding: str, length: int) -> None:
        events = head.content_type[:17].lower() == b"text/event-stream"
        self.kind = kind = (self.step.events if events else self.step.kinds)[coding]
        if not self._take(kind.memory):
            self.lasting = None
            self.inner.start(head.varied(), length, False)
            return
        self.inner.start(head.compressed(coding), UNKNOWN, False)
        self.coding = coding
        self.compressor = kind.new()
        if length != UNKNOWN:
            self.flushed_at = monotonic_ns()  # the rest of an answer of known length mostly follows at once: one flush less
        self._stand_between()

    # -- the sink: from the handler -----------------------------------------------------------------------------------------

    def _gathered_so_far(self) -> None:
        """The rest lets itself be waited for, or will never come: send what is here, as a stream."""
        parts = self.gathered
        if parts is not None:
            self._let_go()
            self._start(self.answer, self.coding, UNKNOWN)
            self.data(b"".join(parts))

    def data(self, data: bytes) -> None:
        if self.gathered is not None:
            self.gathered.append(data)
            return
        if self.compressor is None:
            self.inner.data(data)
            return
        rest = memoryview(data)
        piece, turns = self.kind.piece, self.exchange.worker.turns
        while len(rest) and not self.pending and not self.slow and turns.free():
            self._compress(self.compressor, rest[:piece])
            rest = rest[piece:]
        if len(rest):
            self.pending.append(rest)
            self._hold()
            self._wait()

    def _compress(self, compressor: Compressor, piece: memoryview) -> None:
        since = monotonic_ns()
        out = compressor.compress(piece)
        self.dirty = True
        self.exchange.sent -= len(piece)  # the handler has counted what it brought
        self._send(out)
        self.exchange.worker.turns.spend(since)

    def _send(self, out: bytes) -> None:
        if out:
            if self.lasting is not None:
                self.form.append(out)
            self.exchange.sent += len(out)
            self.inner.data(out)

    def flush(self) -> None:
        if self.gathered is not None:
            if not self.rung:
                self.rung = True
                self.exchange.worker.turns.soon(self)
        elif self.compressor is None or not (self.dirty or self.pending):
            self.inner.flush()
        elif self.pending:
            self.flush_due = True
        elif (now := monotonic_ns()) - self.flushed_at >= QUIET:
            self._flush(now)
        elif not self.rung:
            self.rung = True
            self.exchange.worker.turns.soon(self)

    def flush_soon(self) -> None:
        """Some ms after a flush that would have followed another too closely."""
        self.rung = False
        self._gathered_so_far()
        if self.compressor is not None:
            self.flush_due = bool(self.pending)
            if self.dirty and not self.pending:
                self._flush(monotonic_ns())

    def _flush(self, now: int) -> None:
        if self.compressor is not None:
            self.dirty = self.flush_due = False
            self.flushed_at = now
            self._send(self.compressor.flush())
            self.inner.flush()

    def end(self, trailers: list[bytes]) -> None:
        if self.gathered is not None:
            body = b"".join(self.gathered)
            self._let_go()
            self._in_turn(self.answer, self.coding, body, monotonic_ns())
        elif self.compressor is None:
            self.inner.end(trailers)
        elif self.pending:
            self.trailers = trailers
        else:
            self._finish(self.compressor, trailers)

    def _finish(self, compressor: Compressor, trailers: list[bytes]) -> None:
        since = monotonic_ns()
        self._send(compressor.finish())
        self.exchange.worker.turns.spend(since)
        if self.lasting is not None:
            self._keep(self.lasting, self.coding, b"".join(self.form))
        self._let_go()
        self.inner.end(trailers)

    def abort(self) -> None:
        self._gathered_so_far()
        self._let_go()
        self.inner.abort()

    def _take(self, memory: int) -> bool:
        """Count bytes that this answer will hold, if there is room for them."""
        turns = self.exchange.worker.turns
        if turns.memory + memory > MEMORY:
            return False
        turns.memory += memory
        self.memory += memory
        return True

    def _let_go(self) -> None:
        """Free what is held for this answer."""
        self.compressor = self.gathered = None
        self.exchange.worker.turns.memory -= self.memory
        self.memory = 0
        self.exchange.sent -= sum(map(len, self.pending))
        self.pending.clear()
        self.later = self.lasting = None

    # -- taking turns ---------------------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        if not self.waiting and not self.slow:
            self.waiting = True
            self.exchange.worker.turns.add(self)

    def work(self) -> None:
        """It is this answer's turn."""
        self.waiting = False
        later, self.later = self.later, None
        if later is not None:
            self.exchange.handler = self.behind
            later()
        elif self.compressor is not None and self.pending and not self.slow:
            self._compress(self.compressor, self._next_piece())
            if self.pending:
                self._wait()
            elif self.trailers is not None:
                self._finish(self.compressor, self.trailers)
            else:
                if self.flush_due:
                    self._flush(monotonic_ns())
                self._release()

    def _next_piece(self) -> memoryview:
        data, size = self.pending[0], self.kind.piece
        if len(data) > size:
            self.pending[0] = data[size:]
            return data[:size]
        return self.pending.popleft()

    # -- the handler: from the client's connection --------------------------------------------------------------------------

    def _stand_between(self) -> None:
        if self.exchange.handler is not self:
            self.behind = self.exchange.handler
            self.exchange.handler = self

    def _hold(self) -> None:
        """The handler has brought more than is done at once."""
        if not self.held:
            self.held = True
            if self.behind is not None and not self.slow:
                self.behind.pause()

    def _release(self) -> None:
        if self.held:
            self.held = False
            if self.behind is not None and not self.slow:
                self.behind.resume()

    def pause(self) -> None:
        self.slow = True
        if self.behind is not None and not self.held:
            self.behind.pause()

    def resume(self) -> None:
        self.slow = False
        if self.pending:
            self._wait()
        elif self.behind is not None:
            self.held = False
            self.behind.resume()

    def body(self, data: bytes) -> None:
        if self.behind is not None:
            self.behind.body(data)

    def body_end(self) -> None:
        if self.behind is not None:
            self.behind.body_end()

    def cancel(self) -> None:
        self._let_go()
        if self.behind is not None:
            self.behind.cancel()
