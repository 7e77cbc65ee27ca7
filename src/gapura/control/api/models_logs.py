"""What the API says of logs, events and the changes that were made."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from gapura.control.api.fields import At, Model, Open


class AccessLine(Model):
    """A line of an access log."""

    file: Annotated[str, Field(description="Name of the log file.")]
    text: str
    fields: Annotated[
        dict[str, Any] | None, Field(description="What it says, by the names of the format `json`; null for a format of one's own.")
    ]


class AccessLines(Model):
    """The last lines, the oldest first."""

    lines: list[AccessLine]


class Event(Model):
    """Something that happened."""

    id: int
    at: At
    type: Annotated[str, Field(examples=["app.crashed"])]
    severity: Literal["info", "warning", "error"]
    subject: Annotated[str, Field(examples=["web:0"])]
    text: Annotated[str, Field(description="One sentence.")]
    data: dict[str, Any]


class EventList(Model):
    """Events, the oldest first."""

    events: list[Event]


class SinkTested(Model):
    """Where a test event went."""

    sink: str
    problem: Annotated[str, Field(description='What went wrong; "": it arrived.')]


class EventsTested(Model):
    """What came of a test event."""

    sinks: list[SinkTested]


class Change(Open):
    """An entry of the audit log."""

    at: str = ""


class Audit(Model):
    """The last changes, the newest last."""

    changes: list[Change]
