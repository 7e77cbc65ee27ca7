"""Fixtures of the journeys: a Gapura and foreign servers that are gone when the test is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .harness.foreign import Foreign
from .harness.site import Site, free_port


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A Gapura to be; what a failed journey leaves running is ended."""
    site = Site(tmp_path)
    yield site
    site.sweep()


@pytest.fixture
def foreign() -> Iterator[Callable[..., Foreign]]:
    """Starts servers of its own: `foreign("name", "--option", …)`."""
    started: list[Foreign] = []

    def start(name: str, *options: str) -> Foreign:
        server = Foreign(free_port(), name, *options)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()
