"""From `[events]` to its plan."""

from __future__ import annotations

import ipaddress
from typing import Final

from .build_log import LogPlans
from .build_upstreams import absolute
from .findings import Findings
from .local_names import is_local
from .plan_events import CommandPlan, EventsPlan, WebhookPlan, default
from .positions import Path
from .schema_events import Events, Webhook

MOST_WEBHOOKS: Final = 20


def events(findings: Findings, written: Events | None, folder: str, logs: LogPlans) -> EventsPlan | None:
    """The plan of `[events]`; None when nothing is said there (`plan_events.default`). Notes the log for rotation."""
    if written is None:
        logs.add(default(logs.paths["logs"])["log"], None, ("events",))
        return None
    path = default(logs.paths["logs"])["log"] if written.log is None else written.log and absolute(folder, written.log)
    if written.log == "-":
        findings.error(("events", "log"), "events go to a file", "write a path, or false")
    logs.add(path, written.rotate, ("events",))
    if len(written.webhooks) > MOST_WEBHOOKS:
        findings.error(("events", "webhooks"), f"there are more than {MOST_WEBHOOKS} webhooks", "one of them may pass events on")
    command = written.on_event
    on_event: CommandPlan | None = None
    if command is not None:
        on_event = {"command": command.command, "only": command.only, "timeout": command.timeout}
    return {
        "log": path,
        "error_share": written.error_share,
        "on_event": on_event,
        "webhooks": [_webhook(findings, index, hook, folder) for index, hook in enumerate(written.webhooks)],
    }


def _webhook(findings: Findings, index: int, hook: Webhook, folder: str) -> WebhookPlan:
    where: Path = ("events", "webhooks", index)
    if (hook.url is None) == (hook.url_file is None):
        message = "a webhook has either url or url_file" if hook.url else "a webhook without url"
        findings.error(where, message, 'write url = "https://…", or url_file = "…" for one that is a secret')
    if hook.format == "telegram" and hook.chat is None:
        findings.error((*where, "format"), "telegram needs to know the chat", 'write chat = "-1001234567890"')
    if hook.chat is not None and hook.format != "telegram":
        findings.error((*where, "chat"), "chat is for telegram", 'write format = "telegram", or leave it out')
    if hook.url is not None and hook.url.startswith("http://") and not _near(hook.url):
        findings.warn((*where, "url"), "events go over the network for everybody to read", "write https://")
    return {
        "url": hook.url or "",
        "url_file": absolute(folder, hook.url_file) if hook.url_file else "",
        "format": hook.format,
        "chat": hook.chat or "",
        "headers": dict(hook.headers),
        "secret_file": absolute(folder, hook.secret_file) if hook.secret_file else "",
        "only": list(hook.only),
        "timeout": hook.timeout,
        "ca": absolute(folder, hook.ca) if hook.ca else "",
    }


def _near(url: str) -> bool:
    """Whether the host of a URL is this machine or in a network of our own."""
    host = url.partition("://")[2].partition("/")[0].rpartition("@")[2]
    host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return is_local(host)
