"""A hello in the smallest pieces, and clients that ask for new keys over TLS 1.3, some of which do nothing else."""

from __future__ import annotations

import _ssl
import asyncio
import contextlib
import ctypes
import ssl
import sys
from collections.abc import Callable

import pytest
from tests.authority import Authority

from .client import Client, get
from .test_encrypted import Secure, authority, client_hello, secure, site

__all__ = ["authority", "secure"]  # fixtures


class Rekeying:
    """A client over TLS 1.3 that says KeyUpdate as often as it likes, which ssl has no word for."""

    def __init__(self, context: ssl.SSLContext, client: Client) -> None:
        self.client = client
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="a.example")
        library = ctypes.CDLL(_ssl.__file__)
        self.key_update, self.do_handshake = library.SSL_key_update, library.SSL_do_handshake
        self.key_update.argtypes, self.do_handshake.argtypes = (ctypes.c_void_p, ctypes.c_int), (ctypes.c_void_p,)
        inner = self.tls._sslobj  # type: ignore[attr-defined]
        self.pointer = ctypes.c_void_p.from_address(id(inner) + object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p)).value

    async def hear(self, step: Callable[[], object]) -> None:
        while True:
            try:
                step()
                break
            except ssl.SSLWantReadError:
                self.client.send(self.outgoing.read())
                self.incoming.write(await self.client.reader.read(65536))
        self.client.send(self.outgoing.read())

    def update(self, times: int) -> None:
        for _ in range(times):
            assert self.key_update(self.pointer, 1) == 1
            assert self.do_handshake(self.pointer) == 1
        self.client.send(self.outgoing.read())


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="looks into CPython's objects")
async def test_new_keys_now_and_then_but_not_all_the_time(secure: Secure, authority: Authority) -> None:
    """A KeyUpdate costs far more here than there: some are fine, a flood of them ends the connection before it holds up others."""
    await secure.start(site("a.example", authority.issue("a.example")))
    rekeying = Rekeying(secure.context(), await secure.edge.client(secure.port))
    await rekeying.hear(rekeying.tls.do_handshake)
    for _ in range(5):
        rekeying.update(100)
        rekeying.tls.write(get("/"))
        await rekeying.hear(lambda: rekeying.tls.read(1))
        await rekeying.hear(lambda: rekeying.tls.read(65536))
    rekeying.update(5000)
    with contextlib.suppress(ConnectionError):
        while await rekeying.client.reader.read(65536):
            pass
    assert (await secure.get()).status == 200


async def test_a_hello_in_single_bytes(secure: Secure, authority: Authority) -> None:
    await secure.start(site("a.example", authority.issue("a.example")))
    hello = client_hello("a.example")
    client = await secure.edge.client(secure.port)
    for at in range(len(hello)):
        client.send(hello[at : at + 1])
        await asyncio.sleep(0)
    assert (await client.reader.readexactly(1)) == b"\x16"
