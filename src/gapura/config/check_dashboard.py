"""Whether anybody can get into the dashboards of a configuration. Asks the machine: for tokens."""

from __future__ import annotations

import json
import os
import time
from typing import Final

from .findings import Findings
from .plan import Plan
from .reach import routes, stands

TOKENS: Final = "tokens.json"
"""In the lib folder; the master writes it (`master/tokens`)."""


def check_dashboards(findings: Findings, plan: Plan) -> None:
    """Tell of dashboards that visitors from elsewhere see and cannot log in to."""
    for path, route in routes(findings, plan):
        if not route["dashboard"]:
            continue
        site = next(site for site in plan["sites"] if any(one is route for one in site["routes"]))
        place = stands(findings, path, "dashboard")
        if all(host.rpartition(".")[2] == "localhost" for host in site["hosts"]):
            continue
        if site["tls"] is None:
            hint = 'write tls = "auto"; on this machine, and through `ssh -L`, gapura.localhost needs none'
            findings.warn(place, f"nobody can log in to {site['hosts'][0]} from elsewhere: it has no TLS", hint, at_key=True)
        elif not _has_token(os.path.join(plan["paths"]["lib"], TOKENS)):
            hint = "`gapura token create NAME --role full` makes one while Gapura runs"
            findings.warn(place, f"nobody can log in to {site['hosts'][0]} from elsewhere: there is no token", hint, at_key=True)


def _has_token(path: str) -> bool:
    """Whether a token is valid; True when that cannot be seen."""
    try:
        with open(path, encoding="utf-8") as stream:
            now = time.time()
            return any(not row["expires"] or row["expires"] > now for row in json.load(stream)["tokens"])
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError):
        return True
