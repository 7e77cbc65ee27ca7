from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapura.config.addresses import (
    Address,
    AddressError,
    ascii_name,
    is_made_up,
    is_private,
    network,
    parse_listener,
    parse_server,
    site_host,
)


@pytest.mark.parametrize(
    ("text", "address", "label"),
    [
        ("10.0.0.1:3000", Address("10.0.0.1", 3000), "10.0.0.1:3000"),
        ("10.0.0.1", Address("10.0.0.1", 80), "10.0.0.1:80"),
        ("LocalHost:3000", Address("localhost", 3000), "localhost:3000"),
        ("[2001:DB8:0::1]:3000", Address("2001:db8::1", 3000), "[2001:db8::1]:3000"),
        ("[::1]", Address("::1", 80), "[::1]:80"),
        ("::1", Address("::1", 80), "[::1]:80"),
        ("unix:/run/x.sock", Address("", 0, "/run/x.sock"), "unix:/run/x.sock"),
        ("web_1.internal.:80", Address("web_1.internal", 80), "web_1.internal:80"),
        ("bücher.example:80", Address("xn--bcher-kva.example", 80), "xn--bcher-kva.example:80"),
    ],
)
def test_servers(text: str, address: Address, label: str) -> None:
    assert parse_server(text) == address
    assert str(address) == label


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":80",
        "a:",
        "a:0",
        "a:65536",
        "a:8_0",
        "a:٣",
        "a:-1",
        "http://a",
        "a/b",
        "[::1",
        "[::1]x",
        "[a]b:1",
        "a b:1",
        "a\n:1",
        "1.2.3:80",
        "1.2.3.256:80",
        "fe80::1%eth0",
        "unix:x",
        "unix:",
        "unix:/" + "x" * 108,
        "unix:/a\nb",
        "-a:1",
        "a..b:1",
        "a" * 64 + ":1",
        "\u200b:1",
    ],
)
def test_bad_servers(text: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_server(text)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (8080, [("0.0.0.0", 8080), ("::", 8080)]),
        ("8080", [("0.0.0.0", 8080), ("::", 8080)]),
        ("*:80", [("0.0.0.0", 80), ("::", 80)]),
        (":80", [("0.0.0.0", 80), ("::", 80)]),
        ("127.0.0.1:80", [("127.0.0.1", 80)]),
        ("[::1]:80", [("::1", 80)]),
        ("localhost:80", [("127.0.0.1", 80), ("::1", 80)]),
    ],
)
def test_listeners(value: object, expected: list[tuple[str, int]]) -> None:
    assert parse_listener(value) == expected


@pytest.mark.parametrize(
    "value", [0, -1, 65536, True, 1.5, None, "", "x", "127.0.0.1", "http://a", "alvin.xyz:80", "::1", "[::1]", {}]
)
def test_bad_listeners(value: object) -> None:
    with pytest.raises(AddressError):
        parse_listener(value)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("alvin.xyz", "alvin.xyz"),
        ("Alvin.XYZ.", "alvin.xyz"),
        ("*.Alvin.xyz", "*.alvin.xyz"),
        ("*", "*"),
        ("10.0.0.5", "10.0.0.5"),
        ("::1", "[::1]"),
        ("[::1]", "[::1]"),
        ("münchen.de", "xn--mnchen-3ya.de"),
        ("*.münchen.de", "*.xn--mnchen-3ya.de"),
    ],
)
def test_site_hosts(text: str, host: str) -> None:
    assert site_host(text) == host


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("http://alvin.xyz/", "write just alvin.xyz"),
        ("https://alvin.xyz:443/x", "write just alvin.xyz"),
        ("alvin.xyz:8080", "write just alvin.xyz"),
        ("alvin.xyz/", "write just alvin.xyz"),
        ("[::1]:80", "write just ::1"),
        ("www.*", 'write "*.example.com", or "*" for all the rest'),
        ("~^www", "letters, digits, - and . only"),
        ("", "letters, digits, - and . only"),
        ("/", "write just the name"),
        ("a b", "letters, digits, - and . only"),
        ("*.", "letters, digits, - and . only"),
        ("a\r\nb", "letters, digits, - and . only"),
    ],
)
def test_bad_site_hosts(text: str, hint: str) -> None:
    with pytest.raises(AddressError) as caught:
        site_host(text)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    "host", ["10.1.2.3", "172.16.0.1", "192.168.1.1", "127.0.0.1", "169.254.1.1", "100.64.0.1", "::1", "fd00::1", "fe80::1"]
)
def test_private(host: str) -> None:
    assert is_private(host)


@pytest.mark.parametrize("host", ["8.8.8.8", "172.32.0.1", "2606:4700::1111", "100.128.0.1"])
def test_public(host: str) -> None:
    assert not is_private(host)


def test_made_up_names() -> None:
    assert [is_made_up(name) for name in ("web", "a.local", "a.internal", "example.com", "local.com")] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_networks() -> None:
    assert [network(text) for text in ("10.0.0.1/8", "127.0.0.1", "fd00::/8")] == ["10.0.0.0/8", "127.0.0.1/32", "fd00::/8"]
    for text in ("", "10.0.0.0/33", "alvin.xyz", "10.0.0.0/8/8"):
        with pytest.raises(AddressError):
            network(text)


@given(st.text(max_size=300))
def test_any_text_is_an_address_or_an_error(text: str) -> None:
    for parse in (parse_server, parse_listener, site_host, ascii_name, network):
        try:
            said = str(parse(text))
        except AddressError as error:
            said = f"{error} {error.hint}"
        assert said.isprintable()
