"""Copies of certificates and keys for workers and control that run as another user: they may not read the originals.

They lie in `tls` below the run folder, belong to that user, and are nobody else's to read. Nothing here looks into them: whether
they are any good is for those to say who use them.
"""

from __future__ import annotations

import logging
import os
import pwd

from gapura import small_file
from gapura.config.plan import Plan
from gapura.config.plan_tls import MAX_FILE, copy_of, pairs

log = logging.getLogger(__name__)
LOOK = 2.0
"""Seconds between two looks at the originals."""
_PEM = b"-----BEGIN "


class Copies:
    """Keeps the copies as the originals are. With workers that run as the master itself there is nothing to do."""

    def __init__(self) -> None:
        self._run = ""
        self._owner: tuple[int, int] | None = None
        self._copied: dict[str, small_file.Facts] = {}
        self._failed: dict[str, str] = {}

    def settle(self, plan: Plan) -> None:
        """Copy what a plan names, before anybody asks for it, and remove what it does not name any more."""
        user = plan["edge"]["user"]
        self._run = plan["paths"]["run"]
        self._owner = None
        if not user:
            return
        wanted = named(plan)
        account = pwd.getpwnam(user)
        self._owner = account.pw_uid, account.pw_gid
        self._copied = {path: self._copied.get(path, small_file.NOTHING) for path in wanted}
        self._failed = {path: reason for path, reason in self._failed.items() if path in self._copied}
        self.look()
        self._remove_others()

    def look(self) -> None:
        """Copy what is new. A file that cannot be copied is told once; its copy stays as it is."""
        if self._owner is None:
            return
        for path, known in self._copied.items():
            try:
                facts = _facts(path)
                if facts != known:
                    self._copy(path, self._owner)
                    self._copied[path] = facts
                    self._failed.pop(path, None)
            except FileNotFoundError:
                pass  # a certificate that is still to come; others were looked for when the file was loaded
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                if self._failed.get(path) != reason:
                    self._failed[path] = reason
                    log.error("workers cannot get %s: %s", path, reason)

    def _copy(self, path: str, owner: tuple[int, int]) -> None:
        """Replace a copy as a whole. Raises OSError and ValueError."""
        data = _read(path)
        copy = copy_of(self._run, path)
        folder = os.path.dirname(copy)
        os.makedirs(folder, mode=0o711, exist_ok=True)
        os.chmod(folder, 0o711)
        fresh = copy + ".new"
        try:
            os.unlink(fresh)
        except FileNotFoundError:
            pass
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as stream:
            os.fchown(stream.fileno(), *owner)
            stream.write(data)
        os.replace(fresh, copy)

    def _remove_others(self) -> None:
        folder = os.path.join(self._run, "tls")
        ours = {os.path.basename(copy_of(self._run, path)) for path in self._copied}
        try:
            for name in os.listdir(folder):
                if name not in ours:
                    os.unlink(os.path.join(folder, name))
        except OSError:
            pass  # there is none


def named(plan: Plan) -> list[str]:
    """The files for TLS that a plan names, each once."""
    sites = [site["tls"] for site in plan["sites"] if site["tls"] is not None]
    found = [path for pair in pairs(sites, plan["paths"]["lib"]) for path in (pair["certificate"], pair["key"], pair["client_ca"])]
    for upstream in plan["upstreams"].values():
        tls = upstream["tls"]
        if tls is not None:
            found += [tls["ca"], tls["certificate"], tls["key"]]
    events = plan.get("events")
    found += [hook["ca"] for hook in events["webhooks"]] if events else []
    return list(dict.fromkeys(path for path in found if path))


def _facts(path: str) -> small_file.Facts:
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: str) -> bytes:
    """A PEM file. Raises OSError, and ValueError for what is none: nothing else is handed to a user without rights."""
    data, _ = small_file.read(path, MAX_FILE)
    if _PEM not in data:
        raise ValueError("it is no PEM file")
    return data
