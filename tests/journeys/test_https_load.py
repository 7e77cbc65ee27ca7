"""Load over TLS while certificates are renewed and the configuration reloads: nobody notices."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.authority import Authority

from .harness.app import pattern
from .harness.load import Load
from .harness.proc import until
from .harness.site import Site, free_port, section

OURS, LOCAL = "ours.example", "local.test"
"""A site with a certificate from a file, and one with a certificate of the local CA."""
SIZE = 20_000
BODY = b"".join(pattern(SIZE))


class Secure:
    """The two sites before one app, their clients, and what changes under them."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site = site
        self.port = free_port()
        self.authority = Authority(folder)
        self.certificate, self.key = self.authority.issue(OURS)
        self.local_root = folder / ".gapura" / "lib" / "ca" / "root.pem"
        self.configure(0)

    def configure(self, turn: int) -> None:
        """Another file each turn: a site more or less, a header that counts."""
        more = section('sites."more.test"', respond="more", tls="local") if turn % 2 else ""
        self.site.write(
            section("edge", http=f"127.0.0.1:{self.site.port}", https=f"127.0.0.1:{self.port}", workers=2)
            + self.site.app()
            + section(f'sites."{OURS}"', proxy="shop", response_headers={"set": {"X-Turn": str(turn)}})
            + section(f'sites."{OURS}".tls', certificate=str(self.certificate), key=str(self.key))
            + section(f'sites."{LOCAL}"', proxy="shop", tls="local")
            + more
        )

    @contextmanager
    def load(self) -> Iterator[list[Load]]:
        """Four clients at once: kept and new connections to both sites, every certificate and every body verified."""
        roots = {OURS: self.authority.file, LOCAL: self.local_root}
        with ExitStack() as stack:
            yield [
                stack.enter_context(
                    Load(
                        self.port,
                        f"/download?bytes={SIZE}",
                        host=host,
                        total=1_000_000,
                        rate=rate,
                        clients=6,
                        tls=ssl.create_default_context(cafile=str(roots[host])),
                        fresh=fresh,
                        expected=BODY,
                    )
                )
                for host in (OURS, LOCAL)
                for fresh, rate in ((True, 25), (False, 75))
            ]


def await_certificates(loads: list[Load], count: int) -> None:
    """Wait until clients have seen so many certificates of each site."""
    until(lambda: common(loads, OURS) == common(loads, LOCAL) == count, 30, f"{count} certificates are seen")


def common(loads: list[Load], host: str) -> int:
    """How many certificates of a site were seen in five handshakes and more."""
    seen: Counter[str] = Counter()
    for load in loads:
        if load.host == host:
            seen.update(dict(load.report.serials))
    return sum(count >= 5 for count in seen.values())


@pytest.mark.parametrize("turns", [3, pytest.param(20, marks=pytest.mark.full)])
def test_certificates_are_renewed_and_the_file_reloads_under_load(site: Site, tmp_path: Path, turns: int) -> None:
    """Twenty turns are half a minute and more."""
    secure = Secure(site, tmp_path)
    site.up()
    until(secure.local_root.exists, 20)
    with secure.load() as loads:
        for turn in range(1, turns + 1):
            for load in loads:
                load.reached(len(load.report.sent) + 20)
            secure.authority.issue(OURS)
            assert site.ask("renew", host=LOCAL)["ok"]
            secure.configure(turn)
            assert site.ask("reload")["ok"]
            await_certificates(loads, turn + 1)
        for load in loads:
            load.reached(len(load.report.sent) + 20)
            load.enough()
    assert [load.report.failures for load in loads] == [{}] * 4
    site.down()
