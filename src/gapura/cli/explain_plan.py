"""What `gapura explain` tells, for who already has a plan: a question as JSON on standard input, the answer on standard output.

The admin API asks it so, in a process of its own: the router is the workers' code, which control does not import.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from gapura.cli.explain import servers, trace
from gapura.errors import CommandError


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """The way of a request for `url` (`method`, `client`) through `plan`, with the `live` status document; or the `error`."""
    plan, live = question["plan"], question["live"]
    try:
        found = trace(plan, question["url"], question["method"], (), question["client"], live)
    except CommandError as error:
        return {"error": error.message}
    if found.get("upstream"):
        found["servers"] = servers(plan["upstreams"][found["upstream"]["name"]], live)
    found["running"] = live is not None
    return found


if __name__ == "__main__":
    print(json.dumps(answer(json.load(sys.stdin))))
