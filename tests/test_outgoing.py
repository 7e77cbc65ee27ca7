"""Contexts for TLS to servers: made once, anew when their files change, and kept when those are no good."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from tests.authority import Authority, write_key

from gapura.outgoing import LOOK, Files, Outgoing, expected_name, why


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_a_context_is_kept_until_a_file_changes(authority: Authority) -> None:
    certificate, key = authority.issue("me", client=True)
    files = Files(True, str(authority.file), str(certificate), str(key))
    contexts = Outgoing()
    first = contexts.context(files, 0)
    assert first.verify_mode == ssl.CERT_REQUIRED
    assert first.minimum_version == ssl.TLSVersion.TLSv1_2
    assert contexts.context(files, 5 * LOOK) is first
    authority.issue("me", client=True)
    assert contexts.context(files, 5 * LOOK + 1) is first  # one look a second
    second = contexts.context(files, 7 * LOOK)
    assert second is not first
    key.write_text("nonsense")
    assert contexts.context(files, 9 * LOOK) is second
    key.unlink()
    assert contexts.context(files, 11 * LOOK) is second
    authority.issue("me", client=True)
    assert contexts.context(files, 13 * LOOK) not in (first, second)


def test_rules_of_their_own_make_contexts_of_their_own(authority: Authority) -> None:
    contexts = Outgoing()
    verified, unverified = (contexts.context(Files(verify, "", "", ""), 0) for verify in (True, False))
    assert (verified.check_hostname, unverified.check_hostname) == (True, False)
    assert unverified.verify_mode == ssl.CERT_NONE
    assert contexts.context(Files(True, str(authority.file), "", ""), 0) is not verified


def test_files_that_are_no_good_from_the_beginning(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue("me", client=True)
    locked = write_key(tmp_path / "locked.key", authority.key, b"secret")
    _, other = authority.issue("other", client=True)
    for ca, mine in (("", locked), ("", other), ("", tmp_path / "missing"), (str(key), key)):
        with pytest.raises((OSError, ValueError)):
            Outgoing().context(Files(True, ca, str(certificate), str(mine)), 0)


def test_files_may_be_elsewhere_for_this_process(authority: Authority) -> None:
    contexts = Outgoing()
    contexts.place = lambda path: str(authority.folder / path)
    assert contexts.context(Files(True, authority.file.name, "", ""), 0).get_ca_certs()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionResetError(104, "reset"), "closed the connection during the TLS handshake"),
        (FileNotFoundError(2, "No such file or directory", "/x.pem"), "/x.pem: No such file or directory"),
        (OSError(113, "No route to host"), "No route to host"),
        (ValueError("the key is protected by a passphrase"), "passphrase"),
    ],
)
def test_what_is_wrong_is_said_in_words(error: Exception, words: str) -> None:
    said = why(error, "b.example")
    assert "b.example" in said
    assert words in said


def test_whom_a_certificate_must_be_for() -> None:
    assert expected_name("x.example", "b.example:443", "10.0.0.1") == "x.example"
    assert expected_name("", "b.example:443", "10.0.0.1") == "b.example"
    assert expected_name("", "", "10.0.0.1") == "10.0.0.1"
