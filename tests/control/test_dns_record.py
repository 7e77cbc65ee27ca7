"""TXT records by RFC 2136 and by a command: with a name server that checks signatures, and with ones that misbehave."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gapura.control import dns_record
from gapura.control.dns_record import Server, published, run_hook
from gapura.control.trouble import Trouble

from ..journeys.harness.authority import KEY_NAME, SECRET, NameServer
from .authorities import Relayed, plan

NAME = "_acme-challenge.www.example.net"


@pytest.fixture
def names() -> Iterator[NameServer]:
    server = NameServer()
    yield server
    server.close()


def update(port: int, **changes: Any) -> Any:
    words = {"server": "127.0.0.1", "port": port, "zone": "", "key_name": KEY_NAME, "key_file": "/key", "algorithm": "hmac-sha256"}
    return {**words, **changes}


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(SECRET),
        base64.b64encode(SECRET) + b"\n",
        b'key "gapura-test" {\n\talgorithm hmac-sha256;\n\tsecret "%s";\n};\n' % base64.b64encode(SECRET),
    ],
)
def test_a_record_comes_and_goes(names: NameServer, text: bytes) -> None:
    relay = Relayed()
    relay.files["/key"] = text
    acme: Any = plan(update=update(names.port))
    with published(relay, acme, NAME, "value"):  # type: ignore[arg-type]
        assert names.texts[f"{NAME}."] == ['"value"']
    assert names.texts[f"{NAME}."] == []


def test_other_records_of_the_name_stay(names: NameServer) -> None:
    server = Server(update(names.port), base64.b64encode(SECRET))
    server.change(NAME, "one", present=True)
    server.change(NAME, "two", present=True)
    server.change(NAME, "one", present=False)
    assert names.texts[f"{NAME}."] == ['"two"']


@pytest.mark.parametrize(
    ("changes", "secret", "message"),
    [
        ({"key_name": "unknown."}, SECRET, "it seems not to know our key unknown."),
        ({}, b"another secret", ""),
        ({"zone": "other.example"}, SECRET, "REFUSED"),
        ({"server": "no-such-host.invalid"}, SECRET, "is not found"),
    ],
)
def test_a_server_that_refuses(names: NameServer, changes: dict[str, Any], secret: bytes, message: str) -> None:
    with pytest.raises(Trouble) as caught:
        Server(update(names.port, **changes), base64.b64encode(secret)).change(NAME, "value", present=True)
    assert message in caught.value.text
    assert names.texts == {}


def test_a_name_in_no_zone(names: NameServer) -> None:
    with pytest.raises(Trouble, match="has no zone for it"):
        Server(update(names.port), base64.b64encode(SECRET)).change("a.other.example", "value", present=True)


def test_a_secret_that_is_none() -> None:
    with pytest.raises(Trouble, match="holds no TSIG secret"):
        Server(update(1), b"not base64 !")


def test_nobody_there() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(Trouble, match="cannot be reached: connection refused"):
            Server(update(sock.getsockname()[1], zone="example.net"), base64.b64encode(SECRET)).change(NAME, "value", present=True)


@pytest.mark.parametrize("answer", [b"", b"\0", b"\0\x05hello", b"\xff\xff" + b"x" * 100, b"\0\x0c" + b"\0" * 12])
def test_garbage(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_record, "PATIENCE", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(4096)
                client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        server = Server(update(listener.getsockname()[1], zone="example.net"), base64.b64encode(SECRET))
        with pytest.raises(Trouble):
            server.change(NAME, "value", present=True)
        thread.join()


def test_a_server_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_record, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(Trouble, match="does not answer"):
        Server(update(listener.getsockname()[1], zone="example.net"), base64.b64encode(SECRET)).change(NAME, "value", present=True)


def test_a_record_that_is_taken_but_never_shown(names: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_record, "SEEN", 0.3)
    server = Server(update(names.port), base64.b64encode(SECRET))
    with pytest.raises(Trouble, match="does not show it"):
        server.await_record(NAME, "value")


def test_without_its_key_file_nothing_is_asked(names: NameServer) -> None:
    acme: Any = plan(update=update(names.port))
    with pytest.raises(Trouble, match="/key cannot be read"), published(Relayed(), acme, NAME, "value"):  # type: ignore[arg-type]
        raise AssertionError
    assert names.updates == []


# -- a command ----------------------------------------------------------------------------------------------------------------


def test_a_command_gets_what_it_needs_and_nothing_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_OURS", "x")
    hook = tmp_path / "a hook"
    hook.write_text(f'#!/bin/sh\nprintf "%s|" "$@" >{tmp_path}/said\nenv >{tmp_path}/env\n')
    hook.chmod(0o755)
    run_hook(f"'{hook}' -v", "present", NAME, "-value")
    assert (tmp_path / "said").read_text() == f"-v|present|{NAME}|-value|"
    assert "SECRET_OF_OURS" not in (tmp_path / "env").read_text()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("/no/such/program", "cannot be run: No such file or directory"),
        ("'unclosed", "cannot be run: No closing quotation"),
        ("sh -c 'echo the API is down >&2; exit 3'", "ended with 3: the API is down"),
        ("false", "present ended with 1"),
    ],
)
def test_a_command_that_fails_is_quoted(command: str, message: str) -> None:
    with pytest.raises(Trouble) as caught:
        run_hook(command, "present", NAME, "value")
    assert message in caught.value.text


def test_a_command_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_record, "HOOK", 0.2)
    with pytest.raises(Trouble, match="has not ended within"):
        run_hook("sh -c 'sleep 20'", "present", NAME, "value")


def test_cleanup_is_run_whatever_happens(tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.write_text(f'#!/bin/sh\necho "$1" >>{tmp_path}/said\n')
    hook.chmod(0o755)
    acme: Any = plan(exec=str(hook))
    with pytest.raises(ZeroDivisionError), published(Relayed(), acme, NAME, "value"):  # type: ignore[arg-type]
        raise ZeroDivisionError
    assert (tmp_path / "said").read_text() == "present\ncleanup\n"
