"""What the API says about single requests: where their time went, which servers were tried, and why they failed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gapura.control.api.fields import At, Model
from gapura.control.api.models_now import Seen


class RequestRow(Seen):
    """A request of the list."""

    failed: Annotated[
        bool, Field(description="It is one of the requests kept as failed: status from 500 on, broken off, retried, slow.")
    ]
    client: str
    received: Annotated[int, Field(description="Bytes of the request's body.")]
    sent: Annotated[int, Field(description="Bytes of the answer's body.")]


class Requests(Model):
    """Requests, the newest first. Of heavy traffic it is a sample; failed ones are all there."""

    requests: list[RequestRow]


class Stage(Model):
    """A part of a request's life."""

    name: Literal["accept", "tls", "route", "wait", "connect", "first_byte", "done"]
    from_ms: Annotated[float, Field(description="Milliseconds from the request's first byte; negative: before it.")]
    ms: float


class Trial(Model):
    """A server that was tried."""

    server: Annotated[str, Field(description='As `upstream/id`; "" for one that is gone.')]
    outcome: Annotated[str, Field(description="A word for what came of it.")]
    why: Annotated[str, Field(description="The same as a sentence.")]
    at_ms: float


class Timeline(RequestRow):
    """A request with where its time went, the servers that were tried, and why it ended as it did."""

    stages: list[Stage]
    trials: list[Trial]
    why: Annotated[str, Field(description="One sentence.")]
    advice: Annotated[str, Field(description='What to do; "" where nothing need be done.')]


class Failure(Model):
    """Failed requests that are alike."""

    why: str
    advice: str
    alike: Annotated[int, Field(description="How many of those kept are alike: same route, status and reason.")]
    first_at: At
    last: RequestRow


class Failures(Model):
    """The last failures, the newest first."""

    failures: list[Failure]
