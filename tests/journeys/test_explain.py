"""`gapura explain ID` and `gapura why` tell the truth about what went wrong."""

from __future__ import annotations

import json
import signal
from concurrent.futures import ThreadPoolExecutor

from .harness.client import Answer, visit
from .harness.proc import state, until
from .harness.site import Site, servers, settled

SLOW = "/slow?seconds=1"


def busy(site: Site) -> int:
    """The copy that a request waits on."""
    status = site.wait(lambda status: any(server["active"] for server in servers(status).values()))
    return next(int(name[-1]) for name, server in servers(status).items() if server["active"])


def explained(site: Site, answer: Answer) -> str:
    """What `gapura explain` says of an answer's request."""
    return site.gapura("explain", answer.fields["x-request-id"]).stdout


def test_a_killed_copy_and_none_at_all(site: Site) -> None:
    site.configure(site.app())
    site.up()
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(visit, site.port, SLOW)
        dead = busy(site)
        site.kill(dead)
        answer = asked.result()
    assert answer.status == 200
    other = 1 - dead
    told = explained(site, answer)
    assert f"shop:{other} answered with 200" in told
    assert f"after shop:{dead} closed the connection before it answered." in told
    site.wait(settled)
    site.gapura("stop", "shop")
    missing = visit(site.port, "/?token=secret")
    assert missing.status == 503
    told = explained(site, missing)
    assert "No server of shop could answer: they were stopped." in told
    assert "`gapura start shop` starts it." in told
    assert "secret" not in told
    visit(site.port)
    failures = json.loads(site.gapura("why", "--json").stdout)["failures"]
    assert failures[0]["why"] == "No server of shop could answer: they were stopped."
    assert failures[0]["alike"] == 2
    assert failures[0]["last"]["status"] == 503
    assert "were stopped" in site.gapura("why").stdout
    site.down()


def test_a_hung_copy(site: Site) -> None:
    site.configure(site.app())
    site.up()
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(visit, site.port, SLOW)
        hung = busy(site)
        pid = site.kill(hung, signal.SIGSTOP)
        until(lambda: state(pid) == "T")
        answer = asked.result()
    assert answer.status == 200
    told = explained(site, answer)
    assert f"shop:{1 - hung} answered with 200" in told
    assert f"after shop:{hung} stopped answering health checks" in told
    site.kill(hung, signal.SIGCONT)
    site.down()


def test_after_a_takeover_the_log_is_asked(site: Site) -> None:
    """Records are the master's; a new one begins with none. The access log still knows the request."""
    site.configure(site.app())
    site.up()
    answer = visit(site.port, "/before")
    assert "answered with 200" in explained(site, answer)
    site.up()
    site.wait(settled)
    told = explained(site, answer)
    assert "There is no record of it any more" in told
    assert "GET /before" in told
    site.down()
