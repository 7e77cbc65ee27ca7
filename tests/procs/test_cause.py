"""Causes in plain words: one row for each way to fail that people have met."""

from __future__ import annotations

import time

import pytest

from gapura.procs.cause import LINES, explain

NODE_EADDRINUSE = [
    "node:events:495",
    "      throw er; // Unhandled 'error' event",
    "Error: listen EADDRINUSE: address already in use :::3000",
    "    at Server.setupListenHandle [as _listen2] (node:net:1817:16)",
]
OPENSSL = [
    "Error: error:0308010C:digital envelope routines::unsupported",
    "  opensslErrorStack: [ 'error:03000086:digital envelope routines::initialization error' ],",
    "  code: 'ERR_OSSL_EVP_UNSUPPORTED'",
    "Node.js v20.11.0",
]


@pytest.mark.parametrize(
    ("status", "tail", "text", "hint"),
    [
        (1, OPENSSL, "ERR_OSSL_EVP_UNSUPPORTED", "--openssl-legacy-provider"),
        (1, ['npm ERR! Missing script: "start"'], 'no script "start"', "preview"),
        (1, ["npm error missing script: start"], 'no script "start"', "dev"),
        (1, ['npm ERR! Missing script: "serve"'], 'no script "serve"', "npm run"),
        (254, ["npm ERR! enoent ENOENT: no such file or directory, open '/srv/package.json'"], "no package.json", "directory"),
        (1, ["Error: Cannot find module 'express'", "Require stack:"], "not installed: express", "npm install"),
        (1, ["Error: Cannot find module '@babel/core'"], "not installed: @babel/core", "npm install"),
        (1, ["Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'koa' imported from /x"], "not installed: koa", "npm install"),
        (1, ["Error: Cannot find module '/srv/app/index.js'"], "file not found: /srv/app/index.js", "command"),
        (127, ["sh: 1: react-scripts: not found"], "not installed: react-scripts", "npm install"),
        (1, ["ModuleNotFoundError: No module named 'flask'"], "not installed: flask", "virtual environment"),
        (
            2,
            ["python3: can't open file '/srv/app.py': [Errno 2] No such file or directory"],
            "file not found: /srv/app.py",
            "command",
        ),
        (-6, ["FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory"], "Node ran out", "old-space"),
        (1, ["Traceback (most recent call last):", "MemoryError"], "out of memory", "fewer"),
        (1, ["Error: listen EACCES: permission denied 0.0.0.0:80"], "may not listen on port 3000", "1024"),
        (127, ["/bin/sh: 1: exec: gunicorn: not found"], "command not found: gunicorn", "install it"),
        (127, ["bash: line 1: foo: command not found"], "command not found: foo", "install it"),
        (126, ["/bin/sh: 1: ./run.sh: Permission denied"], "permission denied: ./run.sh", "chmod +x ./run.sh"),
        (1, ["  const x = ;", "SyntaxError: Unexpected token ';'"], "mistake in the source of the app: Unexpected token", "lines"),
        (127, [], "command not found", "install it"),
        (126, [], "permission denied", "chmod"),
        (0, [], "ended by itself with status 0", "foreground"),
        (0, ["Cannot find module 'x'"], "ended by itself with status 0", "foreground"),
        (3, ["nothing known"], "ended with status 3", "last lines"),
        (255, [], "ended with status 255", "last lines"),
        (-9, [], "ended by SIGKILL", "memory"),
        (137, [], "ended by SIGKILL", "memory"),
        (-15, [], "ended by SIGTERM", "other than Gapura"),
        (-11, [], "ended by SIGSEGV", "fault"),
        (-63, [], "ended by signal 63", ""),
        (None, [], "exit status is unknown", ""),
        (None, OPENSSL, "ERR_OSSL_EVP_UNSUPPORTED", "--openssl-legacy-provider"),
    ],
)
def test_the_table(status: int | None, tail: list[str], text: str, hint: str) -> None:
    cause = explain(status, tail, 3000, None)
    assert text in cause.text
    assert hint in cause.hint
    assert "{" not in cause.text


@pytest.mark.parametrize(
    "tail",
    [
        NODE_EADDRINUSE,
        ["OSError: [Errno 98] Address already in use"],
        ["Something is already running on port 3000."],
        ["Error: Port 3000 is already in use"],
        ["listen tcp :3000: bind: address already in use"],
    ],
)
def test_a_taken_port_names_its_holder(tail: list[str]) -> None:
    cause = explain(1, tail, 3000, (9202, "node server.js"))
    assert cause.text == "port 3000 is held by pid 9202, node server.js"
    assert "kill 9202" in cause.hint


def test_a_taken_port_whose_holder_is_not_seen() -> None:
    cause = explain(1, NODE_EADDRINUSE, 3000, None)
    assert cause.text == "port 3000 is taken (EADDRINUSE)"
    assert "$PORT" in cause.hint


@pytest.mark.parametrize(
    ("line", "port"),
    [
        ("Error: listen EADDRINUSE: address already in use :::3000", 3000),
        ("Error: listen EADDRINUSE: address already in use 127.0.0.1:8080", 8080),
        ("Something is already running on port 3000.", 3000),
        ("Error: Port 5173 is already in use", 5173),
        ("2026/11/22 14:03:07 listen tcp :3000: bind: address already in use", 3000),
        ("listen tcp [::]:80: bind: address already in use", 80),
        ("ERROR: [Errno 98] error while attempting to bind on address ('127.0.0.1', 8000): address already in use", 8000),
        ("[2026-11-22 14:03:07 +0000] [71] [ERROR] Connection in use: ('0.0.0.0', 8000)", 8000),
    ],
)
@pytest.mark.parametrize("owner", [(9202, "node server.js"), None])
def test_a_port_written_in_the_code_of_the_app(line: str, port: int, owner: tuple[int, str] | None) -> None:
    """Not the one it was told: the holder of that other port is looked for."""
    cause = explain(1, ["x", line, "y"], 43219, None, {port: owner}.__getitem__)
    assert cause.text == (f"port {port} is held by pid 9202, node server.js" if owner else f"port {port} is taken (EADDRINUSE)")
    assert "$PORT, which is 43219" in cause.hint


@pytest.mark.parametrize("line", ["OSError: [Errno 98] Address already in use", "bind: Address already in use :99999"])
def test_a_taken_port_that_is_not_named_is_the_one_it_was_told(line: str) -> None:
    assert explain(1, [line], 3000, (7, "x")).text == "port 3000 is held by pid 7, x"


def test_a_taken_port_that_is_not_named_and_has_no_holder_may_be_another() -> None:
    cause = explain(1, ["OSError: [Errno 98] Address already in use"], 3458, None)
    assert cause.text == "the port that it listens on is taken (EADDRINUSE)"
    assert "$PORT, which is 3458" in cause.hint


def test_a_dev_server_that_gives_way_with_status_0() -> None:
    cause = explain(0, ["Something is already running on port 3000."], 3000, (7, "node other.js"))
    assert cause.text.startswith("port 3000 is held by pid 7")


def test_old_lines_do_not_count() -> None:
    assert explain(1, NODE_EADDRINUSE + ["served"] * LINES, 3000, None).text == "ended with status 1"


@pytest.mark.parametrize("line", ["{name} {0} %s", "Cannot find module '{0}'", "SyntaxError: {port}", "\x00\xff" * 100, "(" * 5000])
def test_whatever_an_app_prints_is_no_template(line: str) -> None:
    assert explain(1, [line], 3000, None).text


@pytest.mark.parametrize("status", [*range(-70, 300), 100_000, -100_000])
def test_every_status_has_a_cause(status: int) -> None:
    assert explain(status, [], 3000, None).text


@pytest.mark.parametrize(
    "line", ["bind " * 13_000, "(" * 65_000, "sh: " * 16_000, "ENOENT" * 10_000, "a: " * 20_000, ":1" * 32_000]
)
def test_no_output_keeps_the_master_busy(line: str) -> None:
    begun = time.process_time()
    explain(1, [line] * LINES, 3000, None, lambda port: None)
    assert time.process_time() - begun < 1.0
