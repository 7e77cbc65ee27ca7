"""From the keys of a site to their plan: how it looks in maintenance."""

from __future__ import annotations

from .build_error_pages import page_file
from .plan_maintenance import MaintenancePlan
from .schema_site import Site


def maintenance(site: Site, folder: str) -> MaintenancePlan | None:
    """The plan; None when the site says nothing of it."""
    said = site.maintenance
    if said is None:
        return None
    page = "" if said.page is None else page_file(folder, said.page, site.files)
    return {"page": page, "allow": said.allow, "retry_after": said.retry_after}
