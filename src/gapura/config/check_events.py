"""Whether the files that `[events]` names are there, and nobody else's to read. Asks the machine."""

from __future__ import annotations

import os
import stat

from .findings import Findings
from .plan import Plan
from .positions import Path
from .words import shown


def check_events(findings: Findings, plan: Plan) -> None:
    """Report files that are missing, and secrets that others can read."""
    events = plan.get("events")
    for index, hook in enumerate(events["webhooks"] if events else ()):
        for key, file in (("url_file", hook["url_file"]), ("secret_file", hook["secret_file"]), ("ca", hook["ca"])):
            if file:
                _check_file(findings, ("events", "webhooks", index, key), file, secret=key != "ca")


def _check_file(findings: Findings, where: Path, file: str, secret: bool) -> None:
    try:
        with open(file, "rb") as stream:
            mode, empty = os.fstat(stream.fileno()).st_mode, not stream.read(1)
    except FileNotFoundError:
        findings.error(where, f"there is no file {shown(file)}", "it is seen from the folder of this file")
    except OSError as error:
        findings.error(where, f"{shown(file)} cannot be read: {error.strerror}", "change its rights, or run as its owner")
    else:
        if empty:
            findings.error(where, f"{shown(file)} is empty", "its first line is what is taken")
        elif secret and mode & stat.S_IROTH:
            findings.warn(where, f"everybody on this machine can read {shown(file)}", f"chmod 600 {shown(file)}")
