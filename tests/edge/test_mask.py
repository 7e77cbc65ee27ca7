"""What a log does not tell."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapura.config.plan_log import SECRETS
from gapura.edge.mask import anonymous, masking

mask = masking(("token", "password"))
NAMES = st.text("abcdefghij", min_size=1, max_size=6).map(str.encode)
VALUES = st.text("abcXYZ0123456789%-._~", max_size=12).map(str.encode)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (b"/", b"/"),
        (b"/token=1", b"/token=1"),
        (b"/?token=abc", b"/?token=***"),
        (b"/?token=", b"/?token="),
        (b"/?token", b"/?token"),
        (b"/a?b=1&token=abc&c=2", b"/a?b=1&token=***&c=2"),
        (b"/a?b=1;token=abc;c", b"/a?b=1;token=***;c"),
        (b"/?ToKeN=abc", b"/?ToKeN=***"),
        (b"/?tok%65n=abc", b"/?tok%65n=***"),
        (b"/?tok%6", b"/?tok%6"),
        (b"/?user[password]=x&user.token=y&token2=z", b"/?user[password]=***&user.token=***&token2=z"),
        (b"/?user%5Bpassword%5D=x", b"/?user%5Bpassword%5D=***"),
        (b"/?a=token=x", b"/?a=token=x"),
        (b"/?token=a=b", b"/?token=***"),
        (b"/?token=a?token=b", b"/?token=***"),
        (b"/?a=b?token=c", b"/?a=b?token=***"),
        (b"https://a.example/?token=x#f", b"https://a.example/?token=***#f"),
        (b"https://a.example/?x#token=y", b"https://a.example/?x#token=***"),
        (b"GET /?token=x HTTP/1.1", b"GET /?token=*** HTTP/1.1"),
    ],
)
def test_secrets(text: bytes, masked: bytes) -> None:
    assert mask(text) == masked


@given(st.lists(st.tuples(st.one_of(NAMES, st.sampled_from([b"token", b"TOKEN", b"a[password]"])), VALUES), max_size=8))
def test_values_of_secrets_go_and_all_else_stays(pairs: list[tuple[bytes, bytes]]) -> None:
    def secret(name: bytes) -> bool:
        return name in (b"token", b"TOKEN", b"a[password]")

    def query(pairs: list[tuple[bytes, bytes]]) -> bytes:
        return b"/x?" + b"&".join(b"%b=%b" % pair for pair in pairs)

    assert mask(query(pairs)) == query([(name, b"***" if secret(name) and value else value) for name, value in pairs])


@pytest.mark.parametrize("text", [b"?a=", b"?a[]=", b"?token", b"?%25", b"&a=", b"?" + b"b" * 70 + b"="])
def test_urls_within_urls_cost_no_more_than_their_length(text: bytes) -> None:
    """As deep as a target may be long: neither the stack nor the time runs out."""
    long = b"/" + text * (8000 // len(text))
    assert mask(long) == long
    assert mask(long + b"?token=1").endswith(b"?token=***")


def test_a_name_once_harmless_hides_nothing_later() -> None:
    fresh = masking(("token",))
    assert fresh(b"/?a=1") == b"/?a=1"
    assert fresh(b"/?a=1") == b"/?a=1"
    assert fresh(b"/?token") == b"/?token"  # no value: nothing to hide
    assert fresh(b"/?token=1&a=2") == b"/?token=***&a=2"


@given(st.binary(max_size=200))
def test_whatever_comes(text: bytes) -> None:
    assert mask(mask(text)) == mask(text)


def test_the_usual_secrets() -> None:
    usual = masking(SECRETS)
    assert usual(b"/?code=1&page=2&q=x&X-Amz-Signature=3") == b"/?code=***&page=2&q=x&X-Amz-Signature=***"
    assert list(SECRETS) == [name.lower() for name in SECRETS]


@pytest.mark.parametrize(
    ("address", "cut"),
    [
        (b"192.0.2.77", b"192.0.2.0"),
        (b"2001:db8:1:2:3:4:5:6", b"2001:db8:1::"),
        (b"2001:db8::1", b"2001:db8::"),
        (b"::1", b"::"),
        (b"::ffff:192.0.2.77", b"192.0.2.0"),
        (b"fe80::1%eth0", b"fe80::"),
        (b"unix", b"unix"),
        (b"", b""),
    ],
)
def test_addresses(address: bytes, cut: bytes) -> None:
    assert anonymous(address) == cut


@given(st.ip_addresses())
def test_every_address_is_cut_to_its_network(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    bits = 24 if address.version == 4 else 48
    network = ipaddress.ip_network(f"{address}/{bits}", strict=False).network_address
    assert ipaddress.ip_address(anonymous(str(address).encode()).decode()) == network
