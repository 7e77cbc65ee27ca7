"""Keys about logs: what is written down of requests, where and in which form, and how files make place for new ones."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

from .quantities import BytesOrNone, PositiveSeconds, positive_seconds
from .section import Also, Among, Section, Text, Texts, check_variables, short
from .syslog import parse_syslog
from .words import did_you_mean, shown, wrong

FORMATS: Final = ("combined", "common", "json")
SHORTEST: Final = 60.0
"""Seconds between two rotations by time, at least."""
_STATUS: Final = re.compile(r"([1-5])xx|([1-5]\d\d)(?:-([1-5]\d\d))?", re.ASCII)
_MASKED_NAME: Final = re.compile(r"[A-Za-z0-9_.$~-]{1,64}", re.ASCII)


def _format(value: object) -> object:
    if isinstance(value, str) and value not in FORMATS and "$" not in value:
        hint = did_you_mean(value, FORMATS, label="one of")
        raise wrong(f'there is no log format "{shown(value)}"', f'{hint}; one of your own has variables: "$remote_addr $status"')
    if isinstance(value, str) and value not in FORMATS:
        check_variables(value, answered=True)
    return value


def _path(value: object) -> object:
    if isinstance(value, str) and value.startswith("syslog:"):
        parse_syslog(value)
    return value


def _statuses(value: object) -> object:
    words = re.split(r"[,\s]+", value.strip()) if isinstance(value, str) else value
    if not isinstance(words, list):
        return value
    for word in words:
        match = _STATUS.fullmatch(word) if isinstance(word, str) else None
        if match is None or (match[3] and match[3] < match[2]):
            raise wrong(f'"{shown(word)}" is no status', 'write "404", "5xx", "400-499", or several: "4xx,5xx"')
    return words


def _mask(value: object) -> object:
    if isinstance(value, bool):
        return value
    names = [value] if isinstance(value, str) else value
    for name in names if isinstance(names, list) else ():
        if not isinstance(name, str) or not _MASKED_NAME.fullmatch(name):
            raise wrong(f'"{shown(name)}" is not the name of a parameter', 'write mask = ["token", "password"], true or false')
    return names


def _rate(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if not 0 <= value <= 1:
        raise wrong(f"a share is from 0 to 1: {value}", "0.1 keeps one line in ten")
    return float(value)


def _every(value: object) -> object:
    if value == "none":
        return 0.0
    if isinstance(value, str) and (match := re.fullmatch(r"(\d{1,2}) ?w", value)):
        value = f"{7 * int(match[1])}d"
    seconds = positive_seconds(value)
    if seconds < SHORTEST:
        raise wrong("a log is rotated once a minute at most", 'write "1h", "1d" or "1w"')
    return seconds


def rotate_form(value: object) -> object:
    """`rotate = true` and `rotate = false` as tables."""
    if value is True:
        return {}
    return {"size": "none", "every": "none"} if value is False else value


def _sample(value: object) -> object:
    return {"rate": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


def _access_log(value: object) -> object:
    if value is True:
        return {}
    return {"path": ""} if value is False else value


_EVERY_SCHEMA: Final = WithJsonSchema({"anyOf": [{"type": "number", "minimum": SHORTEST}, {"type": "string"}]})
_MASK_SCHEMA: Final = WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "array", "items": {"type": "string"}}]})


class Rotate(Section):
    """When a file of Gapura's makes place for a new one. What is left out keeps its default."""

    size: BytesOrNone = 100 << 20
    """Size from which on a new file is begun; "none": whatever the size. logrotate: size."""
    every: Annotated[float, BeforeValidator(_every), _EVERY_SCHEMA] = Field(default=86400.0, json_schema_extra={"default": "1d"})
    """How often a new file is begun: "1h" on the hour, "1d" at midnight, "1w" in the night to Monday; "none": never for this
    reason. logrotate: hourly, daily, weekly."""
    keep: Annotated[int, Field(ge=0, le=9999)] = 14
    """Number of older files that are kept. logrotate: rotate."""
    compress: bool = True
    """Whether older files are compressed with gzip. logrotate: compress."""


class Sample(Section):
    """Which share of the requests gets a line."""

    rate: Annotated[float, BeforeValidator(_rate), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1})] = 1.0
    """Share of the lines that are written, from 0 to 1: 0.1 is one in ten. nginx: split_clients and access_log … if=."""
    errors: bool = True
    """Whether every answer of 500 and above is written."""
    slow: PositiveSeconds | None = None
    """Every request that took so long, or longer, is written."""


class AccessLog(Section):
    """Where and how each request is written down. In a site or route, what is left out is as in [edge.access_log]."""

    path: Annotated[Text, BeforeValidator(_path)] | None = None
    """File; "-" is standard output, "" is none; "syslog:" is the machine's syslog, "syslog:udp://host:514" another one (see
    docs/logs.md). Left out: access.log in the logs folder. nginx: access_log."""
    format: Annotated[Text, BeforeValidator(_format)] | None = None
    """`combined` (when left out), `common`, `json`, or a text of your own with variables, such as "$remote_addr $status". nginx:
    log_format."""
    escape: Annotated[str, Among("escape", ("text", "json"))] | None = None
    """How values stand in a format of your own: `text`, with \\xNN for what could break a line, or `json`, as in strings of JSON.
    nginx: log_format … escape."""
    only: Annotated[Texts, BeforeValidator(_statuses)] | None = None
    """Only requests with these statuses: "4xx,5xx", "404", "400-499". nginx: access_log … if=."""
    sample: Annotated[Sample, BeforeValidator(_sample), Also({"type": "number", "minimum": 0, "maximum": 1})] | None = None
    """Only a share of the requests: a number such as 0.1, or a table with rate, errors and slow."""
    mask: Annotated[bool | list[Text], BeforeValidator(_mask), _MASK_SCHEMA] | None = None
    """Parameters of query strings whose values are replaced by `***`; true (when left out): those that commonly hold secrets, such
    as token and password; false: none."""
    anonymize: bool | None = None
    """Whether client addresses are cut: the last octet of IPv4 and the last 80 bits of IPv6 become 0."""
    rotate: Annotated[Rotate, BeforeValidator(rotate_form), Also({"type": "boolean"})] | None = None
    """When the file makes place for a new one; false: never, or by another program. Left out: every day, and from 100 MB on, 14
    older files, compressed. logrotate: rotate."""


class ErrorLog(Section):
    """Where workers write what goes wrong."""

    path: Text | None = None
    """File; "-" is standard error. Left out: error.log in the logs folder. nginx: error_log."""
    rotate: Annotated[Rotate, BeforeValidator(rotate_form), Also({"type": "boolean"})] | None = None
    """When the file makes place for a new one; false: never, or by another program."""


_SHORT: Final = Also({"type": ["string", "boolean"]})
AccessLogTable = Annotated[AccessLog, short("path"), BeforeValidator(_access_log), _SHORT]
ErrorLogTable = Annotated[ErrorLog, short("path"), Also({"type": "string"})]


class LogOptions(Section):
    """What is written down of the requests of a site or route."""

    access_log: AccessLogTable | None = None
    """A path, false for none, or a table as [edge.access_log]; what the table leaves out is as there. nginx: access_log."""
