from __future__ import annotations

import pytest

from gapura.config.local_names import is_address, is_local, top_level_domains


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "app.localhost", "*.localhost", "nas.local", "db.internal", "shop.test", "router", "*.lan", "nas.home.arpa",
        "10.0.0.5", "127.0.0.1", "192.168.1.20", "100.64.0.1", "169.254.3.4", "[::1]", "[fd00::1]", "[fe80::1]",
        "shop.madeup", "a.b.gapura", "hidden.onion", "1.example",
    ],
)  # fmt: skip
def test_names_that_only_this_network_knows(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize(
    "host",
    [
        "alvin.xyz", "www.alvin.xyz", "*.alvin.xyz", "gapura.dev", "example.co.id", "xn--mnchen-3ya.de", "shop.xn--p1ai",
        "8.8.8.8", "[2606:4700::1]",
    ],
)  # fmt: skip
def test_names_that_a_public_authority_may_vouch_for(host: str) -> None:
    assert not is_local(host)


def test_the_list_is_that_of_the_public_dns() -> None:
    names = top_level_domains()
    assert len(names) > 1400
    assert {"com", "id", "xyz", "dev", "app", "xn--p1ai"} <= names
    assert not {"localhost", "local", "test", "internal", "arpa", "onion", "example"} & names
    assert all(name == name.lower() and name.isascii() for name in names)


def test_what_is_an_address() -> None:
    assert is_address("10.0.0.1")
    assert is_address("[::1]")
    assert not is_address("10.example")
