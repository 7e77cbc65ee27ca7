"""Another text in the place of a file: whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gapura.errors import CommandError
from gapura.master.replacement import Replacement


def replace(file: Path, text: str) -> Replacement:
    replacement = Replacement(str(file), text)
    replacement.prepare()
    replacement.commit()
    return replacement


def test_the_text_its_rights_and_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "gapura.toml"
    file.write_text("before\n")
    file.chmod(0o640)
    replacement = replace(file, "äfter\n")
    assert file.read_text(encoding="utf-8") == "äfter\n"
    assert Path(replacement.before).read_text() == "before\n"
    assert replacement.before == str(file) + ".before"
    assert [path.stat().st_mode & 0o7777 for path in (file, Path(replacement.before))] == [0o640, 0o640]
    assert sorted(os.listdir(tmp_path)) == ["gapura.toml", "gapura.toml.before"]
    replace(file, "later\n")
    assert Path(replacement.before).read_text() == "äfter\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_stays(tmp_path: Path) -> None:
    file = tmp_path / "gapura.toml"
    file.write_text("before\n")
    os.chown(file, 1234, 2345)
    replace(file, "after\n")
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 2345)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of groups that are not its own")
@pytest.mark.parametrize(("mode", "kept"), [(0o644, True), (0o664, False), (0o640, False)])
def test_a_group_that_cannot_be_kept_matters_if_it_may_do_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, kept: bool
) -> None:
    def refuse(fd: int, user: int, group: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    file = tmp_path / "gapura.toml"
    file.write_text("before\n")
    os.chown(file, -1, 2345)
    file.chmod(mode)
    monkeypatch.setattr(os, "fchown", refuse)
    if kept:
        replace(file, "after\n")
    else:
        with pytest.raises(CommandError, match="Operation not permitted"):
            replace(file, "after\n")
    assert file.read_text() == ("after\n" if kept else "before\n")
    assert file.stat().st_mode & 0o777 == mode


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "shop.toml"
    target.write_text("before\n")
    link = tmp_path / "gapura.toml"
    link.symlink_to("real/shop.toml")
    replace(link, "after\n")
    assert link.is_symlink()
    assert target.read_text() == "after\n"
    assert sorted(os.listdir(tmp_path / "real")) == ["shop.toml", "shop.toml.before"]


def test_nothing_changes_before_the_commit(tmp_path: Path) -> None:
    file = tmp_path / "gapura.toml"
    file.write_text("before\n")
    replacement = Replacement(str(file), "after\n")
    replacement.prepare()
    assert file.read_text() == "before\n"
    replacement.discard()
    assert os.listdir(tmp_path) == ["gapura.toml"]


def test_what_lies_in_the_way_is_replaced_and_not_followed(tmp_path: Path) -> None:
    file, precious = tmp_path / "gapura.toml", tmp_path / "precious"
    file.write_text("before\n")
    precious.write_text("mine")
    for name in ("gapura.toml.new", "gapura.toml.before.new", "gapura.toml.before"):
        (tmp_path / name).symlink_to(precious)
    replace(file, "after\n")
    assert precious.read_text() == "mine"
    assert not (tmp_path / "gapura.toml.before").is_symlink()


def test_a_file_system_without_links_gets_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*words: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", none)
    file = tmp_path / "gapura.toml"
    file.write_text("before\n")
    assert Path(replace(file, "after\n").before).read_text() == "before\n"


def failing(code: int) -> Callable[..., Any]:
    def fail(*words: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize(
    ("what", "code", "said", "hint"),
    [
        ("fsync", errno.ENOSPC, "No space left on device", "The disk is full"),
        ("fsync", errno.EDQUOT, "", "quota"),
        ("open", errno.EACCES, "Permission denied", "has to be able to write into"),
        ("open", errno.EROFS, "Read-only file system", "read-only; change the file where it comes from"),
        ("fchmod", errno.EPERM, "Operation not permitted", "Its owner or group cannot be kept"),
        ("fsync", errno.EIO, "Input/output error", "by hand"),
    ],
)
def test_whatever_fails_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, code: int, said: str, hint: str
) -> None:
    file = tmp_path / "gapura.toml"
    file.write_text("before\n")
    with monkeypatch.context() as patch:
        patch.setattr(os, what, failing(code))
        with pytest.raises(CommandError) as caught:
            Replacement(str(file), "after\n").prepare()
    assert str(file) in caught.value.message
    assert said in caught.value.message
    assert hint in caught.value.hint
    assert (file.read_text(), os.listdir(tmp_path)) == ("before\n", ["gapura.toml"])


def test_a_file_that_is_gone_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        Replacement(str(tmp_path / "gapura.toml"), "after\n").prepare()
    assert os.listdir(tmp_path) == []
