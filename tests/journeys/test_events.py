"""What happens is told: to a webhook, a command, the log, the API's stream and the command line, once each and in order."""

from __future__ import annotations

import http.client
import http.server
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.authority import Authority

from .harness.proc import alive, until
from .harness.site import GAPURA, Site, free_port, section, settled

Event = dict[str, Any]
FORWARD = "; ".join(
    (
        "import http.client, os, sys",
        "to = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]))",
        "to.request('POST', '/command/' + os.environ['GAPURA_EVENT_TYPE'], sys.stdin.buffer.read())",
        "to.getresponse().read()",
    )
)


class Receiver:
    """Takes posts; `posts` are path and event."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, Event]] = []
        posts = self.posts

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                posts.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self._thread.start()

    def of(self, path: str) -> list[Event]:
        return [event for where, event in self.posts if where.startswith(path)]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


class Stream:
    """`GET /v1/events` as server-sent events, over the admin socket, read by a thread."""

    def __init__(self, site: Site, last: int = 0) -> None:
        self.events: list[Event] = []
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(60)
        self._sock.connect(str(site.folder / ".gapura" / "admin.sock"))
        head = f"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nLast-Event-ID: {last}\r\n\r\n"
        self._sock.sendall(head.encode())
        self._response = http.client.HTTPResponse(self._sock)
        self._response.begin()
        assert self._response.status == 200
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            while line := self._response.readline():
                if line.startswith(b"data: "):
                    self.events.append(json.loads(line[6:]))
        except (OSError, ValueError, http.client.HTTPException):
            pass  # closed, or control is gone

    def close(self) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._response.close()
        self._sock.close()


def log_of(site: Site) -> list[Event]:
    path = site.logs / "events.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def types(events: list[Event], *groups: str) -> list[str]:
    return [event["type"] for event in events if not groups or event["type"].partition(".")[0] in groups]


def known(site: Site, *wanted: str) -> bool:
    """Whether these types are in the log, in this order, whatever else is."""
    rest = iter(types(log_of(site)))
    return all(one in rest for one in wanted)


def configure(site: Site, receiver: Receiver, *sections: str, **words: object) -> None:
    command = f"{shlex.quote(sys.executable)} -S -E -c {shlex.quote(FORWARD)} {receiver.port}"
    hooks = [{"url": f"http://127.0.0.1:{receiver.port}/hook"}]
    site.configure(*sections, section("events", on_event={"command": command, "only": ["app", "server"]}, webhooks=hooks, **words))


STORY = ["app.crashed", "server.out", "app.ready", "server.back"]


def test_a_crash_is_told_to_everybody(site: Site, receiver: Receiver) -> None:
    configure(site, receiver, site.app())
    site.up()
    until(lambda: types(log_of(site), "app") == ["app.ready"] * 2, what="both are ready")
    last = log_of(site)[-1]["id"]
    stream = Stream(site, last)
    follower = subprocess.Popen(
        [GAPURA, "events", "-f", "--json", "-n", "2", "--type", "app,server"], cwd=site.folder, stdout=subprocess.PIPE, text=True
    )
    assert follower.stdout is not None
    assert [json.loads(follower.stdout.readline())["type"] for _ in range(2)] == ["app.ready"] * 2
    pid = site.kill(0)
    until(lambda: known(site, *STORY), what="the server is back")
    told = [event for event in log_of(site) if event["id"] > last]
    assert types(told) == STORY
    assert "SIGKILL" in told[0]["text"]
    assert told[0]["subject"] == "shop:0"
    assert told[0]["data"]["pid"] == pid
    assert told[1]["subject"] == told[3]["subject"] == "shop/shop:0"
    until(lambda: stream.events == told, what="the stream")
    until(lambda: [event for event in receiver.of("/hook") if event["id"] > last] == told, what="the webhook")
    until(lambda: len([event for event in receiver.of("/command") if event["id"] > last]) == 4, what="the command")
    assert [json.loads(follower.stdout.readline())["type"] for _ in STORY] == STORY
    follower.kill()
    follower.communicate()
    stream.close()
    shown = site.gapura("events", "--severity", "warning").stdout
    assert "app.crashed" in shown
    assert "app.ready" not in shown
    tried = site.gapura("events", "test").stdout
    assert tried.count(": ok") == 3
    site.down()
    until(lambda: "gapura.stopping" in types(receiver.of("/hook")), what="the last word")


def test_all_servers_out_is_one_outage_of_the_upstream(site: Site, receiver: Receiver) -> None:
    configure(site, receiver, site.app(instances=1))
    site.up()
    pid = site.kill(0, signal.SIGSTOP)
    until(lambda: known(site, "server.out", "upstream.out"), what="it hangs")
    os.kill(pid, signal.SIGCONT)
    until(lambda: known(site, "server.out", "upstream.out", "upstream.back"), what="it goes on")
    until(lambda: types(log_of(site), "server") == ["server.out", "server.back"], what="the server too")
    assert types(log_of(site), "upstream") == ["upstream.out", "upstream.back"]
    site.down()


def test_changes_are_told_with_who_and_what(site: Site, receiver: Receiver) -> None:
    configure(site, receiver, site.app(), error_share=0.1)
    site.up()
    text = site.file.read_text()
    site.write(text.replace('proxy = "shop"', 'proxy = "shpo"'))
    assert site.gapura("reload", check=False).returncode
    site.write(text.replace("error_share = 0.1", "error_share = 0.2"))
    site.gapura("reload")
    site.gapura("maintenance", "on", "shop.test")
    site.gapura("maintenance", "off", "shop.test")
    site.gapura("scale", "shop", "3")
    site.gapura("restart", "shop:0")
    wanted = ["config.refused", "config.changed", "site.closed", "site.opened", "app.scaled", "app.restarted"]
    until(lambda: known(site, *wanted), what="all is told")
    refused = next(event for event in log_of(site) if event["type"] == "config.refused")
    assert "gapura.toml:" in refused["text"]
    assert refused["data"]["problems"][0]["line"]
    assert not {"server.out", "app.crashed"} & set(types(log_of(site))), "a restart by command is no outage"
    until(lambda: set(wanted) <= set(types(receiver.of("/hook"))), what="the webhook")
    site.down()


def test_control_and_workers_killed(site: Site, receiver: Receiver) -> None:
    configure(site, receiver, site.app())
    site.up()
    until(lambda: known(site, "app.ready", "app.ready"), what="the start")
    status = site.status()
    os.kill(status["workers"][0]["pid"], signal.SIGKILL)
    until(lambda: known(site, "worker.died", "worker.replaced"), what="the worker")
    os.kill(status["control"]["pid"], signal.SIGKILL)
    site.kill(0)
    until(lambda: known(site, "control.died", "control.replaced"), what="control")
    until(lambda: known(site, "worker.replaced", "app.crashed", "app.ready"), what="what happened meanwhile is not lost")
    ids = [event["id"] for event in log_of(site)]
    assert ids == list(range(1, len(ids) + 1))
    site.down()


def test_master_killed(site: Site, receiver: Receiver) -> None:
    configure(site, receiver, site.app())
    site.up()
    until(lambda: known(site, "app.ready", "app.ready"), what="the start")
    master = site.status()["master"]["pid"]
    os.kill(master, signal.SIGKILL)
    until(lambda: not alive(master))
    until(lambda: known(site, "gapura.orphaned"), what="nobody is there any more")
    site.up()
    until(lambda: known(site, "gapura.orphaned", "gapura.taken_over"), what="somebody is")
    site.up()
    until(lambda: types(log_of(site)).count("gapura.taken_over") == 2, what="an upgrade")
    assert types(log_of(site)).count("gapura.orphaned") == 1, "an upgrade is no accident"
    ids = [event["id"] for event in log_of(site)]
    assert ids == list(range(1, len(ids) + 1))
    site.kill(1)
    until(lambda: known(site, "gapura.taken_over", "gapura.taken_over", "app.crashed", "app.ready"), what="it goes on")
    site.down()


def test_a_certificate_that_ends_soon(site: Site, receiver: Receiver, tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path).issue("shop.test", days=2, age=60)
    site.write(
        section("edge", http=f"127.0.0.1:{site.port}", https=f"127.0.0.1:{free_port()}", workers=1)
        + section("events", webhooks=[{"url": f"http://127.0.0.1:{receiver.port}/hook", "only": "certificate"}])
        + section('sites."shop.test"', respond="hello", tls={"certificate": str(certificate), "key": str(key)})
    )
    site.up(ready=False)
    until(lambda: receiver.of("/hook"), what="it is told")
    [event] = receiver.of("/hook")
    assert (event["type"], event["severity"], event["data"]["days"]) == ("certificate.expires", "error", 3)
    site.up(ready=False)
    until(lambda: known(site, "certificate.expires", "gapura.taken_over"), what="another master")
    assert types(log_of(site)).count("certificate.expires") == 1
    site.down()


def test_a_crash_loop_and_its_end(site: Site, receiver: Receiver) -> None:
    configure(site, receiver, site.app(command="exit 3", instances=1, max_restarts=4))
    site.up(ready=False)
    until(lambda: known(site, "app.crashed", "app.crash_loop", "app.given_up"), what="it is given up")
    found = types(log_of(site), "app")
    assert found.count("app.crash_loop") == found.count("app.given_up") == 1
    assert found.count("app.crashed") == 4
    site.wait(lambda status: not settled(status))
    site.down()
