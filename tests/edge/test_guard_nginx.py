"""The same lists of networks and the same file of passwords as the machine's nginx: the same visitors come in."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import peer

from .client import Client
from .edge import Edge

LISTS = {
    "documentation": (
        "deny 192.168.1.1; allow 192.168.1.0/24; allow 10.1.0.0/16; allow 2001:db8::/32; deny all;",
        'allow = ["192.168.1.0/24", "10.1.0.0/16", "2001:db8::/32"]\ndeny = "192.168.1.1"',
    ),
    "only": ("allow 10.0.0.0/8; deny all;", 'allow = "10.0.0.0/8"'),
    "but": ("deny 10.0.0.0/8; deny 2001:db8::1;", 'deny = ["10.0.0.0/8", "2001:db8::1"]'),
    "hole": ("allow 10.1.2.3; deny 10.0.0.0/8; allow all;", 'allow = ["all", "10.1.2.3"]\ndeny = "10.0.0.0/8"'),
    "nobody": ("deny all;", 'deny = "all"'),
}
CLIENTS = (
    "192.168.1.1", "192.168.1.2", "192.168.2.1", "10.1.2.3", "10.1.255.255", "10.2.0.0", "11.0.0.0", "9.255.255.255", "127.0.0.2",
    "2001:db8::1", "2001:db8:ffff::", "2001:db9::", "::1", "::ffff:10.1.2.3",
)  # fmt: skip
PASSWORDS = (
    ("bcrypt", "secret"), ("apr1", "secret"), ("sha", "secret"), ("sha256", "secret"), ("sha512", "secret"),
    ("bcrypt", "wrong"), ("apr1", "secret "), ("sha", ""), ("nobody", "x"), ("bcrypt", "x" * 100), ("apr1", "sécret"),
    ("", "secret"), ("sha512", "Secret"),
)  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def htpasswd() -> str:
    """A user for each kind of hash, all with the password "secret"."""
    program = peer("htpasswd")
    lines = []
    for name, option in (("bcrypt", "-B"), ("apr1", "-m"), ("sha", "-s")):
        lines.append(
            subprocess.run([program, "-nb", option, name, "secret"], capture_output=True, text=True, check=True).stdout.strip()
        )
    for name, option in (("sha256", "-5"), ("sha512", "-6")):
        made = subprocess.run([peer("openssl"), "passwd", option, "secret"], capture_output=True, text=True, check=True).stdout
        lines.append(f"{name}:{made.strip()}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def nginx(tmp_path: Path, htpasswd: str) -> Iterator[int]:
    """The port of an nginx with a location for each list, and one with passwords."""
    program, port = peer("nginx"), free_port()
    folder = tmp_path / "nginx"
    folder.mkdir()
    (folder / "htpasswd").write_text(htpasswd)
    os.chmod(tmp_path, 0o755)
    locations = "".join(f"location /{name} {{ {rules} return 204; }}\n" for name, (rules, _) in LISTS.items())
    # `return` answers before access is checked: files do not
    locations = locations.replace("return 204;", "try_files /page =404;")
    (folder / "page").write_text("in")
    (folder / "nginx.conf").write_text(
        f"""
        daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
        {"user root;" if os.geteuid() == 0 else ""}
        events {{ }}
        http {{
            access_log off; root {folder};
            client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
            uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
            set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;
            server {{
                listen 127.0.0.1:{port};
                {locations}
                location /login {{ auth_basic "x"; auth_basic_user_file {folder}/htpasswd; try_files /page =404; }}
            }}
        }}
        """
    )
    process = subprocess.Popen([program, "-p", str(folder), "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL)
    try:
        limit = time.monotonic() + 60
        while True:
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", port)):
                    break
            assert time.monotonic() < limit, "nginx does not start"
            assert process.poll() is None, (folder / "error.log").read_text()
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder)


async def statuses(client: Client, asked: list[tuple[str, str]]) -> dict[tuple[str, str], int]:
    return {(target, line): (await client.ask(target, line)).status for target, line in asked}


async def test_networks_as_in_nginx(edge: Edge, nginx: int) -> None:
    routes = "".join(f'[[sites."*".routes]]\npath = "/{name}"\nrespond = "in"\n{keys}\n' for name, (_, keys) in LISTS.items())
    await edge.start(f'[sites."*"]\nrespond = "x"\n{routes}', trusted_proxies=["127.0.0.1"])
    asked = [(f"/{name}", f"X-Forwarded-For: {client}") for name in LISTS for client in CLIENTS]
    ours = await statuses(await edge.client(), asked)
    theirs = await statuses(await edge.client(nginx), asked)
    # nginx does not take ::ffff:10.1.2.3 for 10.1.2.3 when a header tells it
    assert {key: status for key, status in ours.items() if "::ffff:" not in key[1]} == {
        key: status for key, status in theirs.items() if "::ffff:" not in key[1]
    }
    assert ours["/only", "X-Forwarded-For: ::ffff:10.1.2.3"] == 200


async def test_passwords_as_in_nginx(edge: Edge, nginx: int, tmp_path: Path, htpasswd: str) -> None:
    (tmp_path / "htpasswd").write_text(htpasswd)
    await edge.start('[sites."*"]\nrespond = "in"\nbasic_auth = "htpasswd"\n')
    coded = [base64.b64encode(f"{name}:{password}".encode()).decode() for name, password in PASSWORDS]
    asked = [("/login", f"Authorization: Basic {code}") for code in coded]
    asked += [
        ("/login", line)
        for line in ("X-None: 1", "Authorization: Basic", "Authorization: Bearer x", "Authorization: basic " + coded[0])
    ]
    ours = await statuses(await edge.client(), asked)
    theirs = await statuses(await edge.client(nginx), asked)
    assert ours == theirs
    assert set(ours.values()) == {200, 401}
