"""Log lines, files that are opened anew, and text that cannot break a line."""

from __future__ import annotations

import logging
import os
import re
import stat

import pytest
from tests.conftest import descriptors

from gapura import log


@pytest.fixture
def logger(tmp_path):
    """The root logger writing to a file of its own; everything is put back afterwards."""
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    root.handlers[:] = []
    path = tmp_path / "logs" / "error.log"
    log.setup("master", str(path))
    yield root, path
    log.setup("test")
    root.handlers[:] = kept
    root.setLevel(level)


def test_a_line_has_time_speaker_and_text(logger):
    root, path = logger
    root.info("2 workers")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d master: 2 workers\n", path.read_text())


@pytest.mark.parametrize(("level", "words"), [(logging.WARNING, "warning: "), (logging.ERROR, "error: "), (logging.INFO, "")])
def test_only_what_is_wrong_names_its_level(logger, level, words):
    root, path = logger
    root.log(level, "x")
    assert path.read_text().endswith(f" master: {words}x\n")


def test_debug_is_left_out(logger):
    root, path = logger
    root.debug("x")
    assert path.read_text() == ""


def test_more_lines_are_indented_so_that_none_can_be_forged(logger):
    root, path = logger
    root.info("first\n2026-01-01 00:00:00 master: forged\r\nthird")
    lines = path.read_text().splitlines()
    assert len(lines) == 3
    assert all(line.startswith("    ") for line in lines[1:])


def test_control_characters_are_shown_not_sent_to_the_terminal(logger):
    root, path = logger
    root.info("GET /\x1b[31m\x00")
    assert path.read_text().endswith(r"GET /\x1b[31m\x00" + "\n")


def test_lone_surrogates_do_not_stop_the_log(logger):
    root, path = logger
    # straight to the handler: pytest would capture the record too, and its processes cannot tell each other such a text
    record = logging.LogRecord("test", logging.INFO, __file__, 1, "name \udcff", None, None)
    next(handler for handler in root.handlers if hasattr(handler, "reopen")).emit(record)
    assert r"\xdcff" in path.read_text()


def test_an_exception_is_logged_with_its_traceback(logger):
    root, path = logger
    try:
        raise KeyError("lost")
    except KeyError:
        root.exception("it failed")
    lines = path.read_text().splitlines()
    assert lines[0].endswith("error: it failed")
    assert lines[1] == "    Traceback (most recent call last):"
    assert lines[-1] == "    KeyError: 'lost'"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain", "plain"), ("café ☕", "café ☕"), ("a\tb", r"a\x09b"), ("\x7f", r"\x7f"), ("a\nb", r"a\x0ab"), ("", "")],
)
def test_escape(text, shown):
    assert log.escape(text) == shown


def test_reopen_after_rotation(logger):
    root, path = logger
    root.info("before")
    path.rename(path.with_suffix(".1"))
    root.info("still to the old file")
    log.reopen()
    root.info("after")
    assert path.with_suffix(".1").read_text().count("\n") == 2
    assert path.read_text().endswith("after\n")


def test_reopen_keeps_the_old_file_when_the_new_one_cannot_be_opened(logger):
    root, path = logger
    moved = path.with_suffix(".1")
    path.rename(moved)
    path.mkdir()
    log.reopen()
    root.info("not lost")
    assert "not lost" in moved.read_text()


def test_setup_again_leaves_one_handler_and_no_descriptor(logger, tmp_path):
    root, _ = logger
    before = descriptors()
    log.setup("master", str(tmp_path / "other.log"))
    assert len(root.handlers) == 1
    assert descriptors() == before


def test_without_a_path_lines_go_to_standard_error(logger, capfd):
    root, _ = logger
    log.setup("worker 1")
    root.info("hello")
    assert capfd.readouterr().err.endswith("worker 1: hello\n")
    log.reopen()
    root.info("again")
    assert capfd.readouterr().err.endswith("worker 1: again\n")


def test_a_full_disk_loses_lines_not_the_process(logger):
    root, _ = logger
    log.setup("master", "/dev/full")
    root.info("lost")


def test_open_log_appends_with_mode_0640(tmp_path):
    path = tmp_path / "deep" / "er" / "access.log"
    umask = os.umask(0)
    try:
        for text in (b"one\n", b"two\n"):
            fd = log.open_log(str(path))
            os.write(fd, text)
            assert not os.get_inheritable(fd)
            os.close(fd)
    finally:
        os.umask(umask)
    assert path.read_bytes() == b"one\ntwo\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_open_log_does_not_follow_a_symbolic_link(tmp_path):
    (tmp_path / "log").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic links"):
        log.open_log(str(tmp_path / "log"))
    assert not (tmp_path / "target").exists()


def test_open_log_refuses_a_folder(tmp_path):
    with pytest.raises(IsADirectoryError):
        log.open_log(str(tmp_path))
