"""From the keys of a site to their plan: how it looks in maintenance."""

from __future__ import annotations

import os

from .build_error_pages import page_file
from .findings import Findings
from .plan_maintenance import MaintenancePlan
from .positions import Path
from .schema_site import Site
from .words import shown


def maintenance(findings: Findings, path: Path, site: Site, folder: str) -> MaintenancePlan | None:
    """The plan; None when the site says nothing of it."""
    said = site.maintenance
    if said is None:
        return None
    page = "" if said.page is None else page_file(folder, said.page, site.files)
    if page and not os.path.isfile(page):
        message = f"there is no file {shown(page)}"
        findings.warn((*path, "maintenance", "page"), message, "until there is, visitors get Gapura's own page")
    return {"page": page, "allow": said.allow, "retry_after": said.retry_after}
