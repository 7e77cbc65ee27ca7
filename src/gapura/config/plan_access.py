"""The part of a route's plan that says: who may ask: networks, passwords, tokens, other origins."""

from __future__ import annotations

from typing import TypedDict


class NetworksPlan(TypedDict):
    allow: list[str]  # networks in their shortest form; "narrowest decides", and with any an unknown address may not
    deny: list[str]


class BasicAuthPlan(TypedDict):
    file: str  # absolute, "" = none
    users: dict[str, str]  # name: hash
    realm: str
    forward: bool  # Authorization goes on to the server


class ForwardAuthPlan(TypedDict):
    upstream: str
    path: str
    headers: list[str]  # of its answer, for the application
    answer_headers: list[str]  # of its answer, for the visitor
    host: str  # "" = the request's
    timeout: float  # seconds


class JwtPlan(TypedDict):
    keys: str  # absolute path of a secret or PEM, "" = none
    jwks: str  # absolute path or https URL, "" = none
    algorithms: list[str]  # [] = those of the key
    issuer: list[str]
    audience: list[str]
    header: str  # "" = Authorization: Bearer
    cookie: str
    claims: dict[str, list[str]]
    headers: dict[str, str]  # header: claim
    leeway: float
    eternal: bool
    realm: str
    forward: bool


class CorsPlan(TypedDict):
    origins: list[str]
    methods: list[str]
    headers: list[str]  # [] = whatever is asked for
    expose: list[str]
    credentials: bool
    max_age: int


class SecurityHeadersPlan(TypedDict):
    frame: str  # same none any
    referrer: str
    csp: str  # "" here and below: not sent
    permissions: str
    opener: str
    resource: str
    hide: bool


class AccessPlan(TypedDict):
    """Who may ask: networks, passwords, tokens, other origins."""

    networks: NetworksPlan | None
    satisfy: str  # "all"; "any": an allowed address needs none of the three that follow
    basic_auth: BasicAuthPlan | None
    forward_auth: ForwardAuthPlan | None
    jwt: JwtPlan | None
    cors: CorsPlan | None
    security_headers: SecurityHeadersPlan | None
