"""schemathesis: requests made from the OpenAPI document, valid and invalid, and answers held against it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import (
    ChecksConfig,
    GenerationConfig,
    PositiveDataAcceptanceConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
)
from schemathesis.specs.openapi.checks import positive_data_acceptance

from .world import World

EXAMPLES = 5
SEED = 20261122


BY_MEANING = {("GET", "/v1/explain"), ("POST", "/v1/session")}
"""What is a URL says no pattern; nobody logs in where everything is allowed."""


class Door:
    """The application as the admin socket has it; the world behind it is made once, for all examples of this file."""

    def __init__(self) -> None:
        self.folder = TemporaryDirectory()
        self.world = World(Path(self.folder.name))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["state"] = {"door": "admin", "uid": os.getuid()}
        await self.world.app(scope, receive, send)


door = Door()
generation = GenerationConfig(max_examples=EXAMPLES, deterministic=True, no_shrink=True, database="none")
accepted = PositiveDataAcceptanceConfig(expected_statuses=["2xx", 401, 403, 404, 409, 412, 428])
"""What names nothing that is there, or goes by an earlier generation, has the right form and is refused all the same."""
checks = ChecksConfig(positive_data_acceptance=accepted)
config = SchemathesisConfig(seed=SEED, projects=ProjectsConfig(default=ProjectConfig(generation=generation, checks=checks)))
schema = schemathesis.openapi.from_asgi("/openapi.json", door, config=config)


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    yield
    door.world.close()
    door.folder.cleanup()


@schema.exclude(path="/v1/live").parametrize()
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
def test_answers_are_as_the_document_says(case: schemathesis.Case[Any]) -> None:
    excluded = [positive_data_acceptance] if (case.method, case.path) in BY_MEANING else []
    case.call_and_validate(excluded_checks=excluded)
