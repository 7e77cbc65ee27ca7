"""Why an instance ended, in plain words, from its exit status and its last lines."""

from __future__ import annotations

from typing import NamedTuple


class Cause(NamedTuple):
    """What happened, and what to do about it ("" = nothing to advise)."""

    text: str
    hint: str


def explain(exit_status: int | None, tail: list[str], port: int, owner: tuple[int, str] | None) -> Cause:
    """The plain cause of an end.

    `exit_status` as `os.waitstatus_to_exitcode` gives it (negative: the signal), None = unknown (not our child). `tail`:
    the last lines it printed; `owner`: who listens on `port` now (`tree.port_owner`), if that is not the instance itself.
    """
    raise NotImplementedError
