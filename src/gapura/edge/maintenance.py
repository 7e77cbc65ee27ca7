"""A site in maintenance: its visitors get a page that says so, whatever they ask for."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

from gapura.config.plan_maintenance import ClosedPlan, MaintenancePlan
from gapura.edge import error_pages, pages
from gapura.edge.challenge import asked
from gapura.edge.networks import networks
from gapura.edge.router import NEXT, Step

if TYPE_CHECKING:
    from gapura.edge.exchange import Exchange

STATUS: Final = 503
"""Search engines keep a page in their index that answers so for a while (RFC 9110 §15.6.4)."""
LOOK_AGAIN: Final = 60
"""Longest time in seconds after which an open page looks whether it is over; it may be before it was announced."""
RETRY_AFTER: Final = 600.0
"""Seconds that are told when neither the file nor the operator says anything."""


def gate(look: MaintenancePlan | None, closed: ClosedPlan, before: Step | None) -> Step:
    """What comes before the routes of a site in maintenance, after `before`. An end that has come opens it without the master."""
    until, sentence = closed["until"], closed["message"]
    if sentence and sentence[-1].isalnum():
        sentence += "."
    usual = look["retry_after"] if look else RETRY_AFTER
    allowed = networks(tuple(look["allow"]), ()) if look and look["allow"] else None
    page = error_pages.page(look["page"]) if look and look["page"] else None

    def step(exchange: Exchange) -> int:
        if before is not None and (outcome := before(exchange)) != NEXT:
            return outcome
        now = time.time()
        if (until and now >= until) or asked(exchange.head.path):  # certificates are renewed all the same
            return NEXT
        if allowed is not None and allowed.holds(exchange.client):
            return NEXT
        after = max(1, math.ceil(until - now if until else usual))
        body = page.body(STATUS, exchange.request_id) if page is not None else None
        if page is None or body is None:
            reason = sentence or exchange.say("maintenance")
            title = exchange.say("maintenance_title")
            identity = exchange.request_id.decode("latin-1")
            body, lines = pages.render(STATUS, exchange.head, reason, identity, True, after, title, LOOK_AGAIN)
        else:
            lines = [b"Content-Type: " + page.type, b"Cache-Control: no-store", b"Retry-After: %d" % after]
        return exchange.reply(STATUS, lines, body)

    return step
