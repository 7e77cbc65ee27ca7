"""Steps of a route: who may ask: networks, passwords, tokens, other origins."""

from __future__ import annotations

from functools import partial

from gapura.config.plan_access import AccessPlan, NetworksPlan
from gapura.edge.basic_auth import BasicAuth
from gapura.edge.cors import Cors
from gapura.edge.exchange import Exchange
from gapura.edge.forward_auth import ForwardAuth
from gapura.edge.networks import Networks, networks
from gapura.edge.router import NEXT, Step
from gapura.edge.security_headers import SecurityHeaders
from gapura.wire.headers import without


def dressing(plan: AccessPlan) -> list[Step]:
    """Steps that come before everything that may refuse: they judge nothing and see to the headers of whatever is answered."""
    found: list[Step] = []
    if plan["security_headers"]:
        found.append(SecurityHeaders(plan["security_headers"]))
    if plan["cors"]:
        found.append(Cors(plan["cors"]).dress)
    return found


def steps(plan: AccessPlan) -> list[Step]:
    """The steps that judge: networks, the question of another origin's page, then who it is."""
    found: list[Step] = []
    known = _networks(plan["networks"])
    either = plan["satisfy"] == "any" and known is not None
    if known is not None and not either:
        found.append(partial(_network, known))
    if plan["cors"]:
        found.append(Cors(plan["cors"]).preflight)
    names = _set_here(plan)
    if names:
        found.append(partial(_strip, names))
    logins = _logins(plan)
    return [*found, *(partial(_unless_known, known, step) for step in logins)] if either and known is not None else found + logins


def _logins(plan: AccessPlan) -> list[Step]:
    found: list[Step] = []
    if plan["basic_auth"]:
        found.append(BasicAuth(plan["basic_auth"]))
    if plan["jwt"]:
        from gapura.edge.jwt import Tokens  # only workers with such a route pay for the library

        found.append(Tokens(plan["jwt"]))
    if plan["forward_auth"]:
        found.append(ForwardAuth(plan["forward_auth"]))
    return found


def _networks(plan: NetworksPlan | None) -> Networks | None:
    return networks(tuple(plan["allow"]), tuple(plan["deny"])) if plan else None


def _network(known: Networks, exchange: Exchange) -> int:
    if known.holds(exchange.client):
        return NEXT
    return exchange.refuse(403, exchange.say("network"))


def _unless_known(known: Networks, step: Step, exchange: Exchange) -> int:
    """`satisfy = "any"`: an address that may come in needs nothing else."""
    return NEXT if known.holds(exchange.client) else step(exchange)


def _set_here(plan: AccessPlan) -> frozenset[bytes]:
    """Lower-case names of the headers that the application believes because they are set here."""
    names: list[str] = []
    if plan["forward_auth"]:
        names += plan["forward_auth"]["headers"]
    if plan["jwt"]:
        names += plan["jwt"]["headers"]
    return frozenset(name.lower().encode() for name in names)


def _strip(names: frozenset[bytes], exchange: Exchange) -> int:
    """Nobody says about himself what is said here about those who were let in."""
    exchange.head.lines = without(exchange.head.lines, names)
    return NEXT
