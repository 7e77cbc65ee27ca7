"""The admin API over a plan, shared memories and a master that are real as far as they can be without processes."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from gapura.board import H_USED, PORT, READY, READY_AT, STATE, Board
from gapura.config.load import load
from gapura.config.plan import Plan
from gapura.control.api.app import make_app
from gapura.control.api.context import Context
from gapura.control.audit import Audit
from gapura.control.events import Events
from gapura.control.history import History
from gapura.control.sessions import Sessions
from gapura.metrics import H_ROWS, H_SLOTS, Metrics
from gapura.records import Records

TOML = """
[edge]
http = ["127.0.0.1:1"]

[apps.shop]
command = "true"
instances = 2
env = { SECRET = "hush" }

[upstreams.api]
servers = ["10.0.0.1:3000", { address = "10.0.0.2:3000", weight = 2 }]

[sites."shop.test"]
proxy = "shop"

[[sites."api.test".routes]]
path = "/v2/"
proxy = "api"

[[sites."api.test".routes]]
path = "/"
files = "."
"""


class Answer(NamedTuple):
    """What the API answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class World:
    """`ask(method, path)` is one request by the admin socket. `asked` holds what the master was told; `replies` what it answers."""

    def __init__(self, folder: Path, toml: str = TOML) -> None:
        self.folder = folder
        (folder / "gapura.toml").write_text(toml)
        self.plan = numbered(load(str(folder / "gapura.toml")))
        self.board, self.metrics, self.records = Board.create(1), Metrics.create(), Records.create()
        self.asked: list[dict[str, Any]] = []
        self.replies: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "status": lambda _: self.status(),
            **dict.fromkeys(
                ("start", "stop", "restart", "scale"), lambda message: self.status()["apps"][0] | {"app": message["app"]}
            ),
            "config_text": lambda _: {"text": TOML, "file": self.plan["file"], "generation": self.context.generation},
            "config_check": lambda _: {"problems": [], "changes": ["shop: 3 instances"], "diff": "--- \n+++ \n"},
            "renew": lambda message: {"hosts": [message["host"]]},
        }
        self.context = Context(self.tell)
        self.context.board, self.context.metrics, self.context.records = self.board, self.metrics, self.records
        self.context.history, self.context.audit, self.context.sessions = History(), Audit(), Sessions()
        self.settle(self.plan)
        self.app = make_app(self.context)

    def settle(self, plan: Plan, generation: int = 7) -> None:
        """Commit a plan: its servers are ready."""
        os.makedirs(plan["paths"]["logs"], exist_ok=True)
        self.context.settle(plan, generation)
        cells = self.board.cells
        cells[H_USED] = 1
        slots = [slot for upstream in plan["upstreams"].values() for server in upstream["servers"] for slot in server["slots"]]
        self.metrics.cells[H_ROWS], self.metrics.cells[H_SLOTS] = 20, max(slots, default=0) + 1
        for slot in slots:
            cells[self.board.slot(slot) + STATE] = READY
            cells[self.board.slot(slot) + READY_AT] = time.monotonic_ns()
            cells[self.board.slot(slot) + PORT] = 4000 + slot

    def tell(self, message: dict[str, Any]) -> bool:
        """The channel to the master, which answers in the next turn of the loop."""
        if message.get("type") != "command":
            return False
        self.asked.append(message)
        reply = self.replies.get(message["name"], lambda _: {"generation": 8, "changes": ["something changed"]})(message)
        answer = {"type": "reply", "ok": True, **reply, "id": message["id"]}
        asyncio.get_running_loop().call_soon(self.context.replied, answer)
        return True

    def last(self) -> dict[str, Any]:
        """What the master was asked for last, without what every command has."""
        return {key: value for key, value in self.asked[-1].items() if key not in ("type", "id", "by")}

    def status(self) -> dict[str, Any]:
        """What a master says about itself, in short."""
        instances: list[dict[str, Any]] = [
            {
                "index": index,
                "pid": os.getpid(),
                "address": f"127.0.0.1:{4000 + index}",
                "state": "ready",
                "restarts": 0,
                "memory_bytes": 1,
                "uptime_seconds": 1.0,
                "since_seconds": 1.0,
                "returns_seconds": None,
                "looping": False,
                "cause": "",
                "hint": "",
                "tail": [],
                "log": "",
            }
            for index in range(2)
        ]
        return {
            "version": "0",
            "generation": 7,
            "file": self.plan["file"],
            "listeners": [],
            "master": {"pid": 1},
            "control": {"pid": 2},
            "workers": [],
            "sites": [],
            "upstreams": [],
            "certificates": [],
            "logs": [],
            "apps": [{"name": "shop", "state": "ready", "command": "true", "instances": instances}],
        }

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request and its whole answer."""
        return asyncio.run(self.request(method, path, body, **headers))

    async def request(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """The same, on a loop that runs."""
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        fields = {"host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
        if data:
            fields |= {"content-length": str(len(data)), "content-type": fields.get("content-type", "application/json")}
        raw, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(raw),
            "raw_path": raw.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in fields.items()],
            "state": {"door": "admin", "uid": os.getuid()},
        }
        sent: list[dict[str, Any]] = []
        waiting = [{"type": "http.request", "body": data, "more_body": False}]
        over = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if waiting:
                return waiting.pop()
            await over.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                over.set()

        await self.app(scope, receive, send)
        start = next(message for message in sent if message["type"] == "http.response.start")
        known = {name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]}
        return Answer(start["status"], known, b"".join(message.get("body", b"") for message in sent))

    def close(self) -> None:
        for memory in (self.board, self.metrics, self.records):
            memory.close()
            os.close(memory.fd)


def numbered(plan: Plan) -> Plan:
    """Slots and rows, as the master gives them."""
    slot, row = 0, 1
    for upstream in plan["upstreams"].values():
        for server in upstream["servers"]:
            count = 2 if upstream["app"] else 1
            server["slots"] = list(range(slot, slot + count))
            slot += count
    for site in plan["sites"]:
        site["row"] = row
        for number, route in enumerate(site["routes"], row + 1):
            route["row"] = number
        row += len(site["routes"]) + 1
    assert slot < 1000
    assert row < 20
    return plan


def events(world: World) -> Events:
    """Events without a log, on the running loop."""
    found = Events(asyncio.get_running_loop(), lambda *_: None)
    plan = {**world.plan, "events": {"log": "", "error_share": 0.0, "on_event": None, "webhooks": []}}
    found.apply(plan)  # type: ignore[arg-type]
    return found
