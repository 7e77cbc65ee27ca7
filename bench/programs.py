"""The other people's programs that the benchmark needs: found, installed from Debian, asked whether they answer."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .process import Tree

PACKAGES = {
    "nginx": "nginx-light",
    "haproxy": "haproxy",
    "caddy": "caddy",
    "lighttpd": "lighttpd",
    "apache2": "apache2-bin",
    "openssl": "openssl",
    "wrk": "wrk",
}
"""Program → Debian package."""

_POLICY = Path("/usr/sbin/policy-rc.d")
_PATH = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"


class Missing(Exception):
    """A program is not there and cannot be installed; the text says what to do."""


def find(program: str) -> str:
    """Path of a program, also of one that Debian keeps in /usr/sbin. Raises `Missing`."""
    path = shutil.which(program, path=_PATH)
    if path is None:
        raise Missing(f"{program} is not installed: apt-get install {PACKAGES.get(program, program)}")
    return path


def install(programs: list[str]) -> None:
    """Install what is missing, as root, without starting the packages' services. Raises `Missing`."""
    packages = [PACKAGES[program] for program in programs if shutil.which(program, path=_PATH) is None]
    if not packages:
        return
    command = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Missing(f"Not installed: {', '.join(packages)}. As root: {command}")
    print(f"installing {', '.join(packages)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with _services_stay_down():
        for step in ("apt-get update -q", command + " -q"):
            if subprocess.run(step.split(), env=environment, stdout=subprocess.DEVNULL).returncode:
                raise Missing(f"`{step}` failed; the benchmark needs {', '.join(packages)}")


@contextmanager
def _services_stay_down() -> Iterator[None]:
    """Debian asks /usr/sbin/policy-rc.d before a package starts its service; 101 forbids it."""
    before = _POLICY.read_bytes() if _POLICY.exists() else None
    mode = _POLICY.stat().st_mode if before is not None else 0o755
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        if before is None:
            _POLICY.unlink()
        else:
            _POLICY.write_bytes(before)
            _POLICY.chmod(mode)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that the kernel says is free."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def wait_until_answering(port: int, host: str, tree: Tree, timeout: float = 15.0, tls: bool = False) -> int:
    """Ask for `/` until the answer is 200; returns how many answers that took.

    Raises TimeoutError when there is none in time or the program has ended; the text holds what the program said.
    """
    answers, deadline = 0, time.monotonic() + timeout
    while tree.running() and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("localhost", port, timeout=2)
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = http.client.HTTPSConnection("localhost", port, timeout=2, context=context)
        try:
            connection.request("GET", "/", headers={"Host": host, "Connection": "close"})
            response = connection.getresponse()
            response.read()
            answers += 1
            if response.status == 200:
                return answers
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.02)
    raise TimeoutError(f"it did not answer on port {port}:\n{tree.last_output()}")
