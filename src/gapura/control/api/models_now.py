"""What the API says about the present: who asks, the picture, the ticks of the live stream."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from gapura.control.api.fields import At, Milliseconds, Model, Open

Condition = Annotated[
    str, Field(description="What a server is: up, full, starting, stopping, backoff, benched, unhealthy, draining, …")
]


class Status(Open):
    """The document of `gapura status --json`."""

    version: str
    generation: Annotated[int, Field(description="Number of the committed configuration.")]
    file: Annotated[str, Field(description="The configuration's main file.")]
    listeners: list[dict[str, Any]]
    master: dict[str, Any]
    control: dict[str, Any]
    workers: list[dict[str, Any]]
    sites: list[dict[str, Any]]
    apps: list[dict[str, Any]]
    upstreams: list[dict[str, Any]]
    certificates: list[dict[str, Any]]
    logs: list[dict[str, Any]]


class PictureRoute(Model):
    """A route: a match and its action."""

    row: Annotated[
        int, Field(description="Its number, the same over reloads; in `live`, `history` and `requests` it is called so.")
    ]
    name: str
    kind: Annotated[str, Field(description="exact, prefix or regex")]
    path: str
    action: Annotated[str, Field(description="proxy, files, redirect, respond, …")]
    upstreams: Annotated[list[str], Field(description="Where its requests may go, copies included.")]


class PictureSite(Model):
    """A site with its routes."""

    id: Annotated[str, Field(description="Its first host name.", examples=["shop.example"])]
    hosts: list[str]
    tls: bool
    closed: Annotated[dict[str, Any] | None, Field(description="How it is in maintenance; null: it is open.")]
    internal: Annotated[bool, Field(description="It is the dashboard's own.")]
    routes: list[PictureRoute]


class PictureServer(Model):
    """A server of an upstream."""

    id: str
    slot: Annotated[int, Field(description="Its place on the board; an instance uses two in turn, this is the first.")]
    address: Annotated[str, Field(description='Where it is reached now; "" for an instance without a port.')]
    weight: int
    backup: bool
    state: Annotated[str, Field(description="up, down, benched, unhealthy, draining or disabled")]
    condition: Condition
    added: Annotated[bool, Field(description="It was added through the API or the command line and stands in no file.")]


class PictureUpstream(Model):
    """An upstream with its servers."""

    name: str
    policy: str
    app: Annotated[bool, Field(description="Its servers are the instances of an app.")]
    servers: list[PictureServer]


class Picture(Model):
    """What there is: sites, routes, upstreams, servers, and how they hang together."""

    generation: int
    at: At
    sites: list[PictureSite]
    upstreams: list[PictureUpstream]


class Rates(Model):
    """Traffic of one tick."""

    rps: Annotated[float, Field(description="Requests a second.")]
    errors: Annotated[float, Field(description="Of these, answers with a status from 500 on; of a server, its failures.")]
    p50: Milliseconds
    p99: Milliseconds


class TotalRates(Rates):
    """All traffic of one tick."""

    bytes: Annotated[float, Field(description="Bytes a second that visitors got.")]
    p90: Milliseconds
    connections: Annotated[int, Field(description="Open connections of visitors.")]
    active: Annotated[int, Field(description="Requests and tunnels that servers are busy with.")]


class ServerRates(Rates):
    """A server in one tick."""

    active: int
    state: str
    condition: Condition


class InstanceUse(Model):
    """What an instance uses, its whole process tree taken together."""

    cpu: Annotated[float, Field(description="Cores in use, 0.5: half of one.")]
    memory: Annotated[int, Field(description="Resident bytes.")]
    pid: int | None
    state: str


class WorkerUse(Model):
    """What a worker uses."""

    pid: int
    cpu: float
    memory: int
    connections: int


class Seen(Model):
    """A request, as short as the live stream tells it."""

    id: str
    at: At
    site: str
    route: Annotated[int, Field(description="The `row` of its route, 0: none.")]
    upstream: str
    server: Annotated[str, Field(description='Id of the server that answered; "" when none did.')]
    status: Annotated[int, Field(description="0 when it ended without one.")]
    method: str
    path: Annotated[str, Field(description="As in the access log: secrets masked, long ones cut.")]
    ms: float
    tries: int


class Tick(Model):
    """What happened since the tick before. Who had no traffic is left out; servers are all there."""

    at: At
    seconds: float
    total: TotalRates
    sites: dict[str, Rates]
    routes: Annotated[dict[str, Rates], Field(description="By `row`.")]
    servers: Annotated[dict[str, ServerRates], Field(description="By `upstream/id`.")]
    instances: Annotated[dict[str, InstanceUse], Field(description="By `app:index`.")]
    workers: list[WorkerUse]
    requests: Annotated[list[Seen], Field(description="The newest, at most 40, the newest first.")]


class Series(Model):
    """Lists of equal length."""

    at: Annotated[list[int], Field(description="Ends of the steps, in seconds since 1970.")]
    rps: list[float]
    errors: list[float]
    p50: list[Milliseconds]
    p90: list[Milliseconds]
    p99: list[Milliseconds]


class HistoryAnswer(Model):
    """A series of the past."""

    step: Annotated[Literal[1, 60], Field(description="Seconds of each entry: 1 up to a quarter of an hour, else 60.")]
    from_: Annotated[int, Field(alias="from", description="Where the first step begins, in seconds since 1970.")]
    series: Series
