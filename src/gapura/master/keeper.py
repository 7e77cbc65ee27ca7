"""The keeper of certificates and keys: what control has got is written down here, and lent out again.

Control may run as a user without rights, so it writes nothing itself. Secrets come and go as descriptors: of sealed memory when
they come, of the file when they are lent. Only the child of control that uses them reads them; they are in no message, plan or log.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import stat
from collections.abc import Callable
from typing import Any, Final

from gapura.config.plan import Plan
from gapura.config.plan_events import files_of
from gapura.config.plan_tls import CERTIFICATE, KEY, PROVISIONAL
from gapura.ipc import Message
from gapura.master.child import Child

log = logging.getLogger(__name__)
LARGEST: Final = 256 << 10
"""Bytes of a certificate with its chain and its key."""
LONGEST_RECORD: Final = 16 << 10
CHALLENGES: Final = 1000
"""Challenges that may be open at the same time."""
ROWS: Final = 10_000
RECORD: Final = "record.json"
PUBLIC: Final = 0o644
"""Mode of what holds no secret: control reads it, as whoever it runs."""

_SEALED: Final = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
_FOLDER: Final = re.compile(r"(?!\.)[a-z0-9_.:\[\]-]{1,253}", re.ASCII)
_ACCOUNT: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{16,256}", re.ASCII)
_ANSWER: Final = re.compile(r"[A-Za-z0-9_.-]{16,512}", re.ASCII)
_PEM: Final = re.compile(r"-----BEGIN [A-Z ]+-----\n[A-Za-z0-9+/=\n]+-----END [A-Z ]+-----\n", re.ASCII)


class Refused(Exception):
    """What control asks for is not done."""


class Keeper:
    """Carries out the messages `keep`, `forget`, `lend` and `certificates` of control. `running` gives the committed plan.

    `rows` is what control last said about the certificates, for `gapura certificates`.
    """

    def __init__(self, running: Callable[[], Plan | None]) -> None:
        self.rows: list[dict[str, Any]] = []
        self._running = running
        self._kinds: dict[str, Callable[[Plan, Message, list[int]], None]] = {
            "certificate": self._certificate,
            "record": self._record,
            "account": self._account,
            "ca": self._ca,
            "challenge": self._challenge,
        }

    def hear(self, child: Child, message: Message, fds: list[int]) -> None:
        """A message of control. The descriptors stay the caller's."""
        plan = self._running()
        kind, number = message.get("type"), message.get("id")
        if kind == "certificates":
            rows = message.get("rows")
            self.rows = [row for row in rows if isinstance(row, dict)][:ROWS] if isinstance(rows, list) else []
        elif plan is None:
            return
        elif kind == "forget":
            self._forget(plan, message)
        elif kind == "lend":
            fd, reason = self._lend(plan, message)
            child.link.send({"type": "lent", "id": number, "found": fd >= 0, "error": reason}, (fd,) if fd >= 0 else ())
            if fd >= 0:
                os.close(fd)
        elif kind == "keep":
            child.tell("kept", id=number, error=self._keep(plan, message, fds))

    def _keep(self, plan: Plan, message: Message, fds: list[int]) -> str:
        """Write something down; "" or why not."""
        handler = self._kinds.get(str(message.get("kind")))
        try:
            if handler is None:
                raise Refused("there is no such kind of thing to keep")
            handler(plan, message, fds)
        except Refused as error:
            log.warning("control asked to keep something strange: %s", error)
            return str(error)
        except OSError as error:
            log.error("a %s cannot be written: %s", message.get("kind"), error)
            return f"it cannot be written: {error.strerror or error}"
        return ""

    # -- kinds ----------------------------------------------------------------------------------------------------------------

    def _certificate(self, plan: Plan, message: Message, fds: list[int]) -> None:
        """All three are on the disk before the first takes its place. Without a record the other two count for nothing."""
        folder, record = self._named(plan, message), _record_of(message)
        pair = _secret(fds)
        certificate, key = _pem(pair, "certificate"), _pem(pair, "key")
        with folder as place:
            place.prepare(KEY, key)
            place.prepare(CERTIFICATE, certificate, PUBLIC)
            place.prepare(RECORD, record, PUBLIC)
            place.remove(RECORD)
            if message["record"].get("provisional"):
                place.write(PROVISIONAL, b"", PUBLIC)
            for name in (KEY, CERTIFICATE, RECORD):
                place.replace(name)
            if not message["record"].get("provisional"):
                place.remove(PROVISIONAL)

    def _record(self, plan: Plan, message: Message, fds: list[int]) -> None:
        with self._named(plan, message) as place:
            place.write(RECORD, _record_of(message), PUBLIC)

    def _account(self, plan: Plan, message: Message, fds: list[int]) -> None:
        name = _matching(_ACCOUNT, message.get("name"))
        with _Folder(_lib(plan), "accounts", mode=0o700) as place:
            place.write(f"{name}.json", json.dumps(_secret(fds)).encode())

    def _ca(self, plan: Plan, message: Message, fds: list[int]) -> None:
        """The root certificate is public, its key is for the child that signs. Half of the pair would be worth nothing."""
        pair = _secret(fds)
        certificate, key = _pem(pair, "certificate"), _pem(pair, "key")
        with _Folder(_lib(plan), "ca") as place:
            place.prepare("root-key.pem", key)
            place.prepare("root.pem", certificate, PUBLIC)
            place.replace("root-key.pem")
            place.replace("root.pem")

    def _challenge(self, plan: Plan, message: Message, fds: list[int]) -> None:
        token, text = _matching(_TOKEN, message.get("name")), _matching(_ANSWER, message.get("text"))
        with _Folder(plan["paths"]["run"], "challenges") as place:
            if place.count() >= CHALLENGES:
                raise Refused("there are too many challenges")
            place.write(token, text.encode(), PUBLIC)

    def _forget(self, plan: Plan, message: Message) -> None:
        """Take one challenge away, or all without a name."""
        folder, name = os.path.join(plan["paths"]["run"], "challenges"), message.get("name")
        try:
            for item in os.listdir(folder):
                if name is None or item == name:
                    os.unlink(os.path.join(folder, item))
        except OSError:
            pass  # there is none

    def _lend(self, plan: Plan, message: Message) -> tuple[int, str]:
        """A descriptor to read a secret with, or -1; and why it cannot be read, though it is there.

        Who took the one for the other would put a new CA in the place of one that browsers believe.
        """
        kind, name, lib = message.get("kind"), message.get("name"), plan["paths"]["lib"]
        if kind == "account" and isinstance(name, str) and _ACCOUNT.fullmatch(name):
            path = os.path.join(lib, "accounts", f"{name}.json")
        elif kind == "ca-key":
            path = os.path.join(lib, "ca", "root-key.pem")
        elif kind == "ca":
            path = os.path.join(lib, "ca", "root.pem")
        elif kind == "file" and name in _files(plan):
            path = str(name)
        elif kind == "log" and isinstance(name, str) and (log_path := _log(plan, name)):
            path = log_path
        else:
            return -1, ""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (os.O_NOFOLLOW if kind == "log" else 0))
        except FileNotFoundError:
            return -1, ""
        except OSError as error:
            return -1, f"{path} cannot be read: {error.strerror}"
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return fd, ""
        os.close(fd)
        return -1, f"{path} is no file"

    def _named(self, plan: Plan, message: Message) -> _Folder:
        """The folder of a name's certificate."""
        return _Folder(_lib(plan), "certificates", _matching(_FOLDER, message.get("name")))


def _files(plan: Plan) -> list[str]:
    """Files with secrets that `[edge.acme]` and `[events]` name."""
    acme, lent = plan["edge"]["acme"], files_of(plan.get("events"))
    if acme is None:
        return lent
    update = [acme["update"]["key_file"]] if acme["update"] else []
    return [
        *lent,
        *(item["key_file"] for item in acme["directories"] if item["key_file"]),
        *update,
        *([acme["ca"]] if acme["ca"] else []),
    ]


def _log(plan: Plan, instance: str) -> str:
    """Where an instance of a running app ("web:0") writes what it prints; "" when there is none of the name."""
    app, _, index = instance.rpartition(":")
    known = plan["apps"].get(app)
    if known is None or not _INDEX.fullmatch(index) or int(index) >= known["instances"]:
        return ""
    return os.path.join(plan["paths"]["logs"], f"{app}-{index}.log")


def _lib(plan: Plan) -> str:
    """The folder of what is kept. Workers of another user may pass through it."""
    lib = plan["paths"]["lib"]
    os.makedirs(lib, 0o700, exist_ok=True)
    if plan["edge"]["user"]:
        mode = stat.S_IMODE(os.stat(lib).st_mode)
        if not mode & 0o001:
            os.chmod(lib, mode | 0o011)
    return lib


def _secret(fds: list[int]) -> dict[str, Any]:
    """The JSON object in sealed memory (memfd_create(2)): nothing else is read, because it could change, or never end."""
    try:
        if len(fds) != 1 or fcntl.fcntl(fds[0], fcntl.F_GET_SEALS) & _SEALED != _SEALED:
            raise Refused("it did not come in sealed memory")
    except OSError:
        raise Refused("it did not come in sealed memory") from None
    if os.fstat(fds[0]).st_size > LARGEST:
        raise Refused("it is too large")
    try:
        document = json.loads(os.pread(fds[0], LARGEST, 0))
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise Refused("it is no JSON object")
    return document


def _pem(pair: dict[str, Any], field: str) -> bytes:
    text = pair.get(field)
    if not isinstance(text, str) or not re.fullmatch(f"(?:{_PEM.pattern})+", text, re.ASCII):
        raise Refused(f"the {field} is no PEM")
    return text.encode()


def _record_of(message: Message) -> bytes:
    record = message.get("record")
    text = json.dumps(record)
    if not isinstance(record, dict) or len(text) > LONGEST_RECORD:
        raise Refused("the record is no object, or too long")
    return text.encode()


def _matching(pattern: re.Pattern[str], value: object) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value) or ".." in value:
        raise Refused("a name that cannot be")
    return value


class _Folder:
    """A folder of ours, made below `top` where it is missing, in which files are replaced whole. Raises OSError.

    What was prepared and has not taken its place in the end is removed: it may be a key, and take room on a full disk.
    """

    def __init__(self, top: str, *names: str, mode: int = 0o711) -> None:
        self._prepared: set[str] = set()
        self._fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for name in names:
            above = self._fd
            try:
                try:
                    os.mkdir(name, 0o700, dir_fd=above)
                    os.chmod(name, mode, dir_fd=above)
                except FileExistsError:
                    pass
                self._fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
            finally:
                os.close(above)

    def __enter__(self) -> _Folder:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for fresh in self._prepared:
                self.remove(fresh)
        finally:
            os.close(self._fd)

    def count(self) -> int:
        """How many files there are."""
        return len(os.listdir(self._fd))

    def write(self, name: str, data: bytes, mode: int = 0o600) -> None:
        """Put a file in the place of another in one step. Raises OSError."""
        self.prepare(name, data, mode)
        self.replace(name)

    def prepare(self, name: str, data: bytes, mode: int = 0o600) -> None:
        """Write a file beside the one that it will replace, down to the disk. Raises OSError."""
        fresh = name + ".new"
        self.remove(fresh)
        self._prepared.add(fresh)
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=self._fd)
        with open(fd, "wb") as stream:
            stream.write(data)
            os.fchmod(fd, mode)
            stream.flush()
            os.fsync(fd)

    def replace(self, name: str) -> None:
        """Let what was prepared take its place. Raises OSError."""
        os.replace(name + ".new", name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        self._prepared.discard(name + ".new")

    def remove(self, name: str) -> None:
        """Take a file away, if it is there."""
        try:
            os.unlink(name, dir_fd=self._fd)
        except FileNotFoundError:
            pass
