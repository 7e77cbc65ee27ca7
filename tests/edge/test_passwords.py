"""Hashes as other programs make them, against what is computed here."""

from __future__ import annotations

import base64
import hashlib
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import peer

from gapura.config.htpasswd import family
from gapura.edge import passwords
from gapura.edge.passwords import decoy, verify

KNOWN = {
    "bcrypt": ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),  # of crypt_blowfish's wrapper.c
    "apr1": ("myPassword", "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/"),  # of Apache's manual
    "SHA": ("myPassword", "{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE="),  # of Apache's manual
    "SHA-256": ("Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),  # Drepper's test vectors
    "SHA-512": (
        "Hello world!",
        "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
    ),
    "SHA-512 rounds": (
        "Hello world!",
        "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.",
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_published_hashes(name: str) -> None:
    password, hashed = KNOWN[name]
    assert verify(password.encode(), hashed)
    assert not verify(password.encode() + b"!", hashed)
    assert not verify(b"", hashed)
    assert not verify(password.encode(), decoy([hashed]))


@pytest.mark.parametrize(
    "password", ["secret", "a", "", "pässwörd", "with : colon", "x" * 72, "x" * 100, "0123456789abcdef", "x" * 17]
)
@pytest.mark.parametrize("option", ["-B", "-m", "-s"])
def test_what_htpasswd_makes(option: str, password: str) -> None:
    line = subprocess.run([peer("htpasswd"), "-nb", option, "u", password], capture_output=True, text=True, check=True).stdout
    hashed = line.strip().partition(":")[2]
    assert family(hashed)
    assert verify(password.encode(), hashed)
    assert not verify(b"!" + password.encode(), hashed)


@pytest.mark.parametrize("password", ["secret", "x" * 30])
@pytest.mark.parametrize("option", ["-1", "-apr1", "-5", "-6"])
def test_what_openssl_makes(option: str, password: str) -> None:
    hashed = subprocess.run(
        [peer("openssl"), "passwd", option, password], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert verify(password.encode(), hashed)
    assert not verify(b"!" + password.encode(), hashed)


def test_salted_sha() -> None:
    hashed = "{SSHA}" + base64.b64encode(hashlib.sha1(b"secret" + b"salt").digest() + b"salt").decode()
    assert verify(b"secret", hashed)
    assert not verify(b"secreT", hashed)


@pytest.mark.parametrize(
    "hashed",
    [
        "", "secret", "{PLAIN}secret", "$2b$99$" + "a" * 53, "$2b$04$short", "{SHA}secret", "$apr1$$",
        "$6$x$y", "abcdefghijklm", "\xff", "$apr1$a$b$c",
    ],
)  # fmt: skip
def test_what_is_no_hash_fits_nothing(hashed: str) -> None:
    assert not verify(b"secret", hashed)
    assert not verify(hashed.encode("latin-1"), hashed)


@given(st.binary(max_size=40), st.sampled_from([hashed for _, hashed in (KNOWN["apr1"], KNOWN["SHA"])]))
def test_any_password_is_an_answer(password: bytes, hashed: str) -> None:
    assert verify(password, hashed) is (password == b"myPassword")


@pytest.mark.parametrize("password", [b"secret\0", b"\0", b"x" * 1025])
def test_what_no_program_would_take(password: bytes) -> None:
    for _, hashed in KNOWN.values():
        assert not verify(password, hashed)


def test_a_machine_without_crypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_library", lambda: None)
    password, hashed = KNOWN["SHA-512"]
    assert not verify(password.encode(), hashed)


def test_the_decoy_costs_what_the_dearest_costs() -> None:
    hashes = [KNOWN["SHA"][1], KNOWN["apr1"][1], "$2b$05$" + "a" * 53, "$2b$04$" + "a" * 53]
    found = decoy(hashes)
    assert found[:7] == "$2b$05$"
    assert family(found) == "bcrypt"
    assert found not in hashes
    assert decoy([]) == ""
    assert family(decoy([KNOWN["SHA"][1]])) == "sha1"
