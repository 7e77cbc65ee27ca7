"""From a file to a plan, or to all that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..errors import ConfigError, Problem
from .build import build
from .build_upstreams import Resolver
from .findings import Findings
from .plan import Plan
from .source import Sources
from .validate import validate


class Loaded(NamedTuple):
    """A plan, what is odd about its file, and the files as they were read."""

    plan: Plan
    warnings: list[Problem]
    sources: Sources


def offline(names: Sequence[str]) -> Mapping[str, list[str]]:
    """The resolver that knows no name."""
    return {}


def load(file: str, resolver: Resolver = offline) -> Plan:
    """The plan of a configuration file. Raises ConfigError with all problems."""
    return examine(file, resolver).plan


def examine(file: str, resolver: Resolver = offline, texts: Mapping[str, str] | None = None) -> Loaded:
    """The plan of a configuration file and the warnings about it. Raises ConfigError with all problems.

    `resolver` gets the DNS names among the servers and answers with their addresses: this module asks no network itself.
    `texts` stand for the content of files.
    """
    sources = Sources(file, texts)
    findings = Findings(sources)
    if sources.broken:
        findings.close()
    try:
        plan = build(findings, validate(findings), resolver)
    except RecursionError:
        raise ConfigError([Problem("tables are nested too deep", sources.file)]) from None
    for file_name in sources.leftovers:
        findings.warnings.append(Problem("is not read: its name does not end in .toml", file_name, warning=True))
    findings.close()
    return Loaded(plan, findings.warnings, sources)
