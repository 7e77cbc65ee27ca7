"""What the API takes to change servers, sites and the configuration, and what it answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from gapura.config.plan import MAX_WEIGHT
from gapura.control.api.fields import WHOLE, Body, Model, Open, example
from gapura.control.api.models_now import PictureServer, PictureUpstream

_UPSTREAMS = "Left out: what the upstream says."
MAX_TEXT = 1 << 20
"""Characters of a configuration that is sent in."""


class Upstreams(Model):
    """All upstreams with their servers."""

    generation: int
    upstreams: list[PictureUpstream]


class NewServer(Body):
    """A server to add, with nginx's words."""

    model_config = example(address="10.0.0.9:3000", weight=2)

    address: Annotated[str, Field(min_length=1, max_length=200, description="`host:port`, or `unix:/path`.")]
    weight: Annotated[int, Field(ge=1, le=MAX_WEIGHT), WHOLE] = 1
    backup: bool = False
    max_fails: Annotated[int | None, Field(ge=0, le=1_000_000, description=_UPSTREAMS), WHOLE] = None
    fail_timeout: Annotated[float | None, Field(gt=0, le=86400, strict=False, description=f"Seconds. {_UPSTREAMS}")] = None
    max_conns: Annotated[int | None, Field(ge=0, le=1_000_000, description=f"0: no limit. {_UPSTREAMS}"), WHOLE] = None


class ServerChange(Body):
    """What shall be different about a server."""

    model_config = example(weight=5)

    weight: Annotated[int | None, Field(ge=1, le=MAX_WEIGHT), WHOLE] = None
    state: Annotated[
        Literal["enabled", "draining"] | None, Field(description="draining: it ends what it has and gets nothing new.")
    ] = None


class Changed(Open):
    """A change that is made."""

    generation: Annotated[int | None, Field(description="The configuration that is served now.")] = None
    changes: Annotated[list[str], Field(description="What is different, in sentences.", default_factory=list)]


class ServerChanged(Model):
    """A server that was added, changed or removed."""

    generation: Annotated[int, Field(description="The configuration that is served now.")]
    changes: Annotated[list[str], Field(description="What is different, in sentences.")]
    server: Annotated[PictureServer | None, Field(description="As it is now; null: it is gone.")]


class Configuration(Model):
    """The configuration that is served."""

    generation: int
    file: str
    text: Annotated[str, Field(description='Text of the file as it stands there now; "" where it cannot be read.')]
    plan: Annotated[dict[str, Any], Field(description="What Gapura made of it, every default filled in; secrets are left out.")]


class NewText(Body):
    """The text of a whole gapura.toml."""

    model_config = example(text='[sites."shop.example"]\nproxy = "shop"\n')

    text: Annotated[str, Field(max_length=MAX_TEXT)]


class Finding(Open):
    """What is wrong with a configuration, and where."""

    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    hint: str = ""


class Checked(Open):
    """What would become of a configuration."""

    problems: list[Finding]
    changes: Annotated[list[str], Field(description="What would be different, in sentences.")]
    diff: Annotated[str, Field(description="Unified diff against the file.")]


class Maintenance(Body):
    """How long a site is closed, and what visitors read."""

    model_config = example(seconds=600, message="Back at ten.")

    seconds: Annotated[float | None, Field(gt=0, le=31_536_000, strict=False, description="null: until it is opened.")] = None
    message: Annotated[str, Field(max_length=500)] = ""


class Certificate(Open):
    """A certificate that Gapura looks after."""


class Certificates(Model):
    """All certificates that Gapura gets and renews."""

    certificates: list[Certificate]


class Renewal(Body):
    """Whose certificate is got anew."""

    model_config = example(host="shop.example")

    host: Annotated[str, Field(min_length=1, max_length=253, description="A host name, or `all`.")]


class Renewing(Open):
    """The certificates that are being got."""

    hosts: list[str]


class Trying(Body):
    """Requests to send."""

    model_config = example(site="shop.example", requests=20, per_second=10)

    site: Annotated[str, Field(min_length=1, max_length=253, description="Host name of a site.")]
    requests: Annotated[int, Field(ge=1, le=200), WHOLE] = 20
    per_second: Annotated[float, Field(ge=1, le=200, strict=False)] = 20.0


class Tried(Model):
    """What came of the requests."""

    site: str
    sent: int
    statuses: Annotated[dict[str, int], Field(description="How many answers had which status; `none`: there was no answer.")]
    p50: Annotated[float | None, Field(description="Milliseconds.")]
    p99: float | None


class Explanation(Open):
    """What would answer a URL, and why, as `gapura explain --json`."""
