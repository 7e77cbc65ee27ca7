"""Errors by whose fault they are, and how a problem is shown."""

from __future__ import annotations

import pytest

from gapura.errors import (
    EXIT_CONFIG,
    EXIT_FAILURE,
    EXIT_USAGE,
    ClientError,
    CommandError,
    ConfigError,
    GapuraError,
    Problem,
    ServerError,
)


@pytest.mark.parametrize(
    ("problem", "lines"),
    [
        (Problem("bad"), ["bad"]),
        (Problem("bad", file="g.toml"), ["g.toml: bad"]),
        (Problem("bad", file="g.toml", line=3), ["g.toml:3: bad"]),
        (Problem("bad", file="g.toml", line=3, column=5), ["g.toml:3:5: bad"]),
        (Problem("bad", file="g.toml", column=5), ["g.toml: bad"]),
        (Problem("odd", file="g.toml", line=1, warning=True), ["g.toml:1: warning: odd"]),
        (Problem("odd", warning=True), ["warning: odd"]),
        (
            Problem("unknown key", file="g.toml", line=2, column=3, text="  prot = 1", hint='did you mean "port"?', width=4),
            ["g.toml:2:3: unknown key", "      prot = 1", "      ^^^^", '    did you mean "port"?'],
        ),
        (Problem("bad", text="x = 1", column=1, width=0), ["bad", "    x = 1", "    ^"]),
        (Problem("bad", text="x = 1"), ["bad", "    x = 1"]),
    ],
)
def test_a_problem_as_people_read_it(problem, lines):
    assert problem.render() == "\n".join(lines)


def test_the_caret_stands_under_the_column():
    shown = Problem("bad", file="f", line=1, column=8, text="port = 99999", width=5).render().splitlines()
    caret = shown[2].index("^")
    assert shown[1][caret : caret + 5] == "99999"


def test_a_problem_travels_as_a_dictionary():
    problem = Problem("bad", file="g.toml", line=3, column=5, text="t", hint="h", width=2, warning=True)
    assert Problem(**problem.as_dict()) == problem


def test_a_config_error_shows_all_problems():
    error = ConfigError([Problem("first", file="a"), Problem("second", file="b")])
    assert str(error) == "a: first\nb: second"
    assert [problem.message for problem in error.problems] == ["first", "second"]


def test_a_command_error_shows_its_message():
    error = CommandError("nothing runs here", hint="gapura up")
    assert (str(error), error.hint, error.exit_status, error.problems) == ("nothing runs here", "gapura up", EXIT_FAILURE, [])
    assert CommandError("no").problems is not error.problems


@pytest.mark.parametrize("kind", [ClientError, ServerError])
def test_faults_of_client_and_server_carry_their_status(kind):
    error = kind(502, "the server closed the connection")
    assert (error.status, error.reason, str(error)) == (502, "the server closed the connection", "the server closed the connection")


def test_one_tree():
    for kind in (ConfigError, CommandError, ClientError, ServerError):
        assert issubclass(kind, GapuraError)


def test_exit_statuses_are_what_scripts_expect():
    assert (EXIT_FAILURE, EXIT_USAGE, EXIT_CONFIG) == (1, 2, 78)
