"""What authorities complain of, in words that say what to do."""

from __future__ import annotations

import socket

import pytest
from acme import messages

from gapura.control import trouble


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trouble, "addresses", lambda host: ["127.0.1.1"])


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("dns", "finds no address for a.example in the public DNS; on this machine it leads to 127.0.1.1"),
        ("connection", "could not reach a.example on port 80"),
        ("unauthorized", "is not this Gapura"),
        ("caa", "the CAA record of a.example does not allow Let's Encrypt"),
        ("rateLimited", "too many requests for a.example"),
        ("rejectedIdentifier", "gives no certificates for a.example"),
        ("externalAccountRequired", "write external_account in [edge.acme]"),
        ("somethingNew", "Let's Encrypt refuses a.example"),
        ("", "Let's Encrypt refuses a.example"),
    ],
)
def test_problems_are_told_in_words_and_quoted(kind: str, words: str) -> None:
    problem = messages.Error(typ=f"urn:ietf:params:acme:error:{kind}", detail="what it says itself")
    told = trouble.of_problem(problem, "a.example", "Let's Encrypt")
    assert words in told
    assert told.endswith("(what it says itself)")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://acme-v02.api.letsencrypt.org/directory", "Let's Encrypt"),
        ("https://acme.zerossl.com/v2/DV90", "ZeroSSL"),
        ("https://dv.acme-v02.api.pki.goog/directory", "Google"),
        ("https://ca.internal:9000/acme", "ca.internal"),
        ("nonsense", "nonsense"),
    ],
)
def test_authorities_have_names(url: str, name: str) -> None:
    assert trouble.name_of(url) == name


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a\nb\tc\r\n", "a b c"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ("\u202eabc\x00", "abc"),
        ("x" * 999, "x" * 299 + "…"),
        ("", ""),
    ],
)
def test_what_strangers_say_is_one_harmless_line(said: str, shown: str) -> None:
    assert trouble.printable(said) == shown


@pytest.mark.parametrize(
    ("failure", "found"),
    [
        (socket.gaierror(socket.EAI_NONAME, "unknown"), None),
        (socket.gaierror(socket.EAI_NODATA, "no address"), None),
        (socket.gaierror(socket.EAI_AGAIN, "later"), []),
        (OSError(24, "too many files"), []),
        (UnicodeError(), []),
    ],
)
def test_only_a_name_that_does_not_exist_is_unknown(
    failure: Exception, found: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()

    def fails(*_: object, **__: object) -> list[object]:
        raise failure

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    assert trouble.addresses("a.example") == found
