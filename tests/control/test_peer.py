from __future__ import annotations

import os
import socket

import pytest

from gapura.control.peer import uid_of


def pair(family: int, host: str, reach: str) -> tuple[socket.socket, socket.socket]:
    with socket.socket(family) as listening:
        listening.bind((host, 0))
        listening.listen()
        client = socket.create_connection((reach, listening.getsockname()[1]))
        return client, listening.accept()[0]


@pytest.mark.parametrize(("family", "host", "reach"), [(socket.AF_INET, "127.0.0.1", "127.0.0.1"), (socket.AF_INET6, "::1", "::1")])
def test_whose_connection_it_is(family: int, host: str, reach: str) -> None:
    try:
        client, server = pair(family, host, reach)
    except OSError:
        pytest.skip("no such addresses here")
    with server:
        peer, local = server.getpeername()[:2], server.getsockname()[:2]
        assert uid_of(peer, local) == os.geteuid()
        assert uid_of((peer[0], peer[1] ^ 1), local) is None
        client.close()
        assert uid_of(peer, local) is None, "what is closed belongs to nobody, and must not pass for root's"


def test_an_ipv6_socket_that_speaks_ipv4() -> None:
    with socket.socket(socket.AF_INET) as listening, socket.socket(socket.AF_INET6) as client:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        try:
            client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            client.connect(("::ffff:127.0.0.1", listening.getsockname()[1]))
        except OSError:
            pytest.skip("no IPv6 here")
        with listening.accept()[0] as server:
            assert uid_of(server.getpeername(), server.getsockname()) == os.geteuid()


@pytest.mark.parametrize("peer", [("unknown", 0), ("", 1), ("127.0.0.1", -1), ("999.1.1.1", 5), ("::1%lo", 5), ("a\nb", 1)])
def test_what_is_no_address(peer: tuple[str, int]) -> None:
    assert uid_of(peer, ("127.0.0.1", 80)) is None
