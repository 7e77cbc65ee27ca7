"""Which policy a plan means, and whether nginx itself, where it is installed, picks the same servers."""

from __future__ import annotations

import http.client
import socket
import subprocess
from pathlib import Path

import pytest

from gapura.balance.ip_hash import IpHash
from gapura.balance.key_hash import ConsistentHash, KeyHash
from gapura.balance.least_conn import LeastConn
from gapura.balance.policies import choose
from gapura.balance.random_two import RandomTwo
from gapura.balance.round_robin import RoundRobin

from ..conftest import peer


@pytest.mark.parametrize(
    ("policy", "consistent", "kind"),
    [
        ("round_robin", False, RoundRobin),
        ("least_conn", False, LeastConn),
        ("ip_hash", False, IpHash),
        ("hash", False, KeyHash),
        ("hash", True, ConsistentHash),
        ("random", False, RandomTwo),
    ],
)
def test_the_plan_names_the_policy(scene, policy, consistent, kind):
    assert type(scene({}, policy=policy, consistent=consistent).upstream.policy) is kind


@pytest.mark.parametrize("name", ["", "roundrobin", "ROUND_ROBIN", "least_time"])
def test_unknown_policies_are_refused(scene, name):
    s = scene({})
    with pytest.raises(ValueError, match="there is no policy"):
        choose({**s.plan, "policy": name}, s.servers)


# -- against nginx itself ---------------------------------------------------------------------------------------------------------

CONFIGURATION = """
worker_processes 1;
error_log stderr crit;
pid {folder}/nginx.pid;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  set_real_ip_from unix:; real_ip_header X-Client;
  upstream group {{ {method} {servers} }}
  {backends}
  server {{
    listen unix:{folder}/front.sock;
    location / {{ proxy_pass http://group; add_header X-Went $upstream_addr always; }}
  }}
}}
"""
ANSWERS = {True: "return 200;", False: "return 444;"}


class Nginx:
    """nginx with the same servers, all on UNIX sockets in a folder of its own; `broken` ones close without an answer."""

    def __init__(self, folder: Path, method: str, servers: list[str], broken: str = "") -> None:
        names = [chr(97 + number) for number in range(len(servers))]
        text = CONFIGURATION.format(
            folder=folder,
            method=method,
            servers=" ".join(f"server unix:{folder}/{name}.sock {words};" for name, words in zip(names, servers, strict=True)),
            backends=" ".join(f"server {{ listen unix:{folder}/{name}.sock; {ANSWERS[name not in broken]} }}" for name in names),
        )
        (folder / "nginx.conf").write_text(text)
        command = [
            peer("nginx"),
            "-e",
            "stderr",
            "-p",
            str(folder),
            "-c",
            str(folder / "nginx.conf"),
            "-g",
            "daemon off; master_process off;",
        ]
        self.folder = folder
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while not (folder / "nginx.pid").exists() or not (folder / "nginx.pid").read_text().strip():
            if self.process.poll() is not None:
                pytest.fail(self.process.stderr.read().decode())

    def ask(self, target: str = "/", client: str = "10.0.0.1") -> str:
        """The servers that one request went to, one letter each."""
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.connect(f"{self.folder}/front.sock")
        connection.request("GET", target, headers={"X-Client": client, "Connection": "close"})
        response = connection.getresponse()
        response.read()
        connection.close()
        went = response.headers["X-Went"].split(", ")
        return "".join(Path(address).stem if address.startswith("unix:") else "-" for address in went)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        self.process.stderr.close()


@pytest.fixture
def nginx(tmp_path_factory):
    running = []

    def start(*arguments, **settings):
        running.append(Nginx(tmp_path_factory.mktemp("n"), *arguments, **settings))
        return running[-1]

    yield start
    for item in running:
        item.close()


def request(s, broken: str = "", key: bytes = b"") -> str:
    """One request as the edge makes it: to the next server, after a failure to another one."""
    tried = []
    went = ""
    while len(tried) < s.upstream.tries and (server := s.pick(key, tried)):
        name = chr(97 + server.index)
        went += name
        if name not in broken:
            s.answer(server)
            return went
        s.fail(server)
        tried.append(server)
    # nginx writes the group's name where it found no server.
    return went if tried and len(tried) == s.upstream.tries else went + "-"


@pytest.mark.parametrize("method", ["", "least_conn;"])
@pytest.mark.parametrize(
    ("servers", "broken"),
    [
        (["weight=5", "", ""], ""),
        (["weight=3", "weight=2", "down", "weight=7"], ""),
        (["weight=4 max_fails=3", "weight=2", ""], "a"),
        (["weight=9 max_fails=2", "weight=9 max_fails=4", "weight=2"], "ab"),
        (["weight=5 max_fails=0", "weight=3 max_fails=0", "weight=1"], "ab"),
        (["max_fails=2", "backup", "weight=2 backup"], "a"),
        (["max_fails=2", "max_fails=2", "backup"], "abc"),
        (["weight=3"], ""),
    ],
)
def test_the_same_sequence_as_nginx(scene, nginx, method, servers, broken):
    """All within one fail_timeout, so that the clocks do not matter. Without load least_conn is round robin."""
    settings = []
    for words in servers:
        pairs = (word.split("=") for word in words.split())
        settings.append({name: int(value[0]) if value else True for name, *value in pairs})
    theirs = nginx(method, servers, broken=broken)
    ours = scene(*settings, policy=method.rstrip(";") or "round_robin")
    assert [request(ours, broken) for _ in range(40)] == [theirs.ask() for _ in range(40)]


@pytest.mark.parametrize("broken", ["", "b"])
@pytest.mark.parametrize("method", ["hash $uri;", "hash $uri consistent;", "ip_hash;"])
def test_the_same_hash_as_nginx(scene, nginx, method, broken):
    theirs = nginx(method, ["weight=2", "", "weight=3"], broken=broken)
    paths = [{"path": f"{theirs.folder}/{name}.sock", "host": "", "port": 0} for name in "abc"]
    ours = scene(
        *({"weight": weight, "max_fails": 1} for weight in (2, 1, 3)),
        policy=method.split()[0].rstrip(";"),
        consistent="consistent" in method,
    )
    for plan, path in zip(ours.plan["servers"], paths, strict=True):
        plan.update(path, id=f"unix:{path['path']}")
    ours.upstream = ours.worker(0)
    for number in range(60):
        target, client = f"/film/{number}", f"10.{number}.7.1"
        key = bytes([10, number, 7, 1]) if method == "ip_hash;" else target.encode()
        assert request(ours, broken, key) == theirs.ask(target, client)
