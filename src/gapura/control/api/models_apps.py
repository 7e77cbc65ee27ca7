"""What the API says about apps and takes to change them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gapura.config.plan import MAX_INSTANCES
from gapura.control.api.fields import WHOLE, Body, Model, Open, example


class Instance(Open):
    """An instance of an app, as in `gapura ps --json`."""

    index: int
    pid: int | None
    address: str | None
    state: Annotated[str, Field(description="starting, ready, stopping, stopped, backoff or crashed")]
    restarts: int
    memory_bytes: int
    uptime_seconds: float
    cause: Annotated[str, Field(description="Why it ended last, or does not answer.")]
    hint: str
    tail: Annotated[list[str], Field(description="What it printed last, before it ended.")]


class App(Open):
    """An app with its instances."""

    name: str
    state: str
    command: str
    instances: list[Instance]


class Apps(Model):
    """All apps."""

    apps: list[App]


class Which(Body):
    """Which instance is meant."""

    model_config = example(index=0)

    index: Annotated[int | None, Field(ge=0, le=MAX_INSTANCES - 1, description="One instance; null: all."), WHOLE] = None


class Number(Body):
    """How many instances there shall be."""

    model_config = example(instances=4)

    instances: Annotated[int, Field(ge=0, le=MAX_INSTANCES), WHOLE]


class Done(Open):
    """What the instances are now that it is done."""

    app: str
    instances: list[Instance]


class Line(Model):
    """A line of a log."""

    at: Annotated[str, Field(description='Its time stamp as it was written, in local time; "" where it has none.')]
    text: str


class Log(Model):
    """The last lines of a log, the oldest first."""

    lines: list[Line]
