"""The admin API when processes behind it die, folders vanish, and many look at once."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from .harness.admin import Stream, ask, knock
from .harness.client import visit
from .harness.proc import alive, until
from .harness.site import Site, section


def test_the_api_outlives_control(site: Site) -> None:
    """Killed with an answer under way: it breaks off, and who asks next gets an answer from the next control."""
    site.configure(section('sites."shop.test"', respond="a shop"), proxy="")
    site.up()
    stream = Stream(site)
    stream.until(b"event: picture")
    before = site.status()["control"]["pid"]
    os.kill(before, signal.SIGKILL)
    assert stream.ends()
    assert ask(site).status == 200
    assert site.status()["control"]["pid"] != before
    assert visit(site.port).status == 200
    site.down()


def test_without_a_master_it_tells_what_it_can(site: Site) -> None:
    site.configure(section('sites."shop.test"', respond="a shop"), section("admin", loopback="full"), proxy="")
    site.up()
    token = site.gapura("token", "create", "ci", "--role", "full").stdout.strip()
    bearer = {"Authorization": f"Bearer {token}"}
    assert ask(site, **bearer).json["user"] == "token ci"
    master = site.status()["master"]["pid"]
    os.kill(master, signal.SIGKILL)
    until(lambda: not alive(master))
    until(lambda: ask(site, "/v1/reload", "POST", **bearer).status == 503)
    said = ask(site, "/v1/reload", "POST", **bearer)
    assert "gapura up" in said.json["hint"]
    assert ask(site, **bearer).json["user"] == "token ci"
    assert knock(site).status == 200
    site.up()
    assert ask(site, "/v1/reload", "POST", **bearer).status == 200
    assert knock(site).status == 200
    site.gapura("up", "-d")
    assert ask(site, "/v1/reload", "POST", **bearer).status == 200
    site.down()


def test_many_viewers_are_no_load(site: Site) -> None:
    """200 pages that stay open: so many as are allowed are served, the others told; control stays, and others get in."""
    site.configure(section('sites."shop.test"', respond="a shop"), proxy="")
    site.up()
    control = site.status()["control"]["pid"]
    streams = [Stream(site) for _ in range(200)]
    try:
        served = [stream for stream in streams if stream.served()]
        assert 50 <= len(served) < 200
        for stream in served:
            stream.until(b"event: tick")
        assert ask(site, "/v1/status").status == 200
    finally:
        for stream in streams:
            stream.close()
    again = Stream(site)
    until(lambda: again.served() or again.once_more(), what="those that left have made room")
    again.close()
    assert site.status()["control"]["pid"] == control
    site.down()


def test_a_state_folder_that_was_deleted_comes_back_with_its_sockets(site: Site) -> None:
    site.configure(proxy="")
    site.up()
    assert knock(site).status == 200
    shutil.rmtree(site.folder / ".gapura")
    until((site.folder / ".gapura" / "admin.sock").exists)
    assert knock(site).status == 200
    assert ask(site).status == 200
    site.down()


def test_a_long_path(site: Site, tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100) / "y"
    deep.mkdir(parents=True)
    far = Site(deep)
    try:
        far.configure(proxy="")
        far.up()
        assert ask(far).status == 200
        far.down()
    finally:
        far.sweep()


def test_a_port_of_its_own(site: Site) -> None:
    port = Site(site.folder).port
    site.configure(section("admin", listen=port), proxy="")
    site.up()
    until(lambda: answers(site, port))
    assert ask(site, port=port, Host=f"127.0.0.1:{port}").json["rights"] in ("read", "full")
    assert ask(site, port=port, Host="evil.test").status == 421
    assert ask(site, "/v1/status", port=port, Host=f"localhost:{port}", Origin="http://evil.test").status == 403
    site.up()
    until(lambda: answers(site, port), what="the new control has the port")
    site.configure(section("admin", dashboard=True), proxy="")
    site.gapura("reload")
    until(lambda: not answers(site, port))
    site.down()


def answers(site: Site, port: int) -> bool:
    try:
        return ask(site, port=port, Host=f"localhost:{port}").status == 200
    except OSError:
        return False
