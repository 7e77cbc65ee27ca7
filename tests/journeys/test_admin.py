"""The admin API and its doors: who gets in, who does not, and what happens when processes behind it die."""

from __future__ import annotations

import http.client
import json
import stat
from collections.abc import Iterator

import pytest

from .harness.admin import HERE, ask, knock
from .harness.client import visit
from .harness.site import Site, plain, section

# -- who gets in ------------------------------------------------------------------------------------------------------------------


def test_the_dashboard_is_there_without_being_written(site: Site) -> None:
    site.configure(proxy="")
    up = site.gapura("up", "-d")
    assert f"dashboard: http://{HERE}:{site.port}/" in up.stdout
    me = ask(site).json
    assert (me["rights"] in ("read", "full"), me["generation"]) == (True, 1)
    assert ask(site, "/v1/status").status == 200
    shown = plain(site.gapura("status").stdout)
    assert f"Dashboard: http://{HERE}:{site.port}/" in shown
    assert "gapura:dashboard" not in shown
    assert site.gapura("check").returncode == 0
    site.down()


def test_it_can_be_switched_off(site: Site) -> None:
    site.configure(site.app(instances=1), section("admin", dashboard=False))
    site.up()
    assert ask(site).status == 421
    assert visit(site.port).status == 200
    assert knock(site).json["rights"] == "full"
    assert "shows no dashboard" in site.gapura("dashboard", check=False).stderr
    site.write(site.file.read_text().replace("dashboard = false", "dashboard = true"))
    site.gapura("reload")
    assert ask(site).status == 200
    site.down()


@pytest.mark.parametrize(
    "fields",
    [
        {"X_Forwarded_For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"X_Real_IP": "127.0.0.1"},
        {"Via": "1.1 somebody"},
        {"X_Forwarded_Proto": "https"},
        {"X_Forwarded_Server": "a"},
        {"CF_Connecting_IP": "127.0.0.1"},
        {"True_Client_IP": "127.0.0.1"},
    ],
    ids=str,
)
def test_another_proxys_visitors_are_not_of_this_machine(shared: Site, fields: dict[str, str]) -> None:
    assert ask(shared, **fields).status == 403


@pytest.mark.parametrize(
    "host", ["evil.test", "127.0.0.1", "localhost", "GAPURA.localhost.evil.test", "", "gapura.localhost:1@evil.test"]
)
def test_rebinding(shared: Site, host: str) -> None:
    assert ask(shared, Host=host).status in (400, 421)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/status",
        "/x/../v1/status",
        "//v1/status",
        "/v1/%2e%2e/v1/status",
        "/v1%2fstatus",
        "/metrics",
        "http://gapura.localhost/v1/me",
    ],
)
def test_no_path_of_another_site_leads_to_the_api(shared: Site, path: str) -> None:
    """Except the whole URL of the dashboard itself, which names it (RFC 9112 §3.2.2)."""
    said = ask(shared, path, Host="shop.test")
    if "://" in path:
        assert said.json["rights"]
    else:
        assert '"rights"' not in said.text
        assert "generation" not in said.text


def test_a_visitor_cannot_speak_for_the_edge(shared: Site) -> None:
    far = "direct https 127.0.0.1 127.0.0.1 1 127.0.0.1 1"
    for name in ("X-Gapura-Visitor", "x-gapura-visitor", "X_Gapura_Visitor"):
        connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=60)
        connection.request("GET", "/v1/me", headers={"Host": HERE, name: far, "X-Forwarded-For": "1.2.3.4"})
        assert connection.getresponse().status == 403
        connection.close()
    assert knock(shared, door="dashboard").status == 403


def test_upgrades_lead_nowhere(shared: Site) -> None:
    """WebSockets end at the gate, and of h2c the edge lets nothing through but the plain request."""
    key = {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec_WebSocket_Version": "13"}
    assert ask(shared, "/v1/live", Connection="Upgrade", Upgrade="websocket", **key).status == 400
    said = ask(shared, Connection="Upgrade, HTTP2-Settings", Upgrade="h2c", HTTP2_Settings="AAMAAABkAARAAAAAAAIAAAAA")
    assert (said.status, "upgrade" in said.fields) == (200, False)


def test_large_bodies_end_at_the_edge(shared: Site) -> None:
    assert ask(shared, "/v1/session", "POST", {"token": "a" * (3 << 20)}).status == 413


def test_a_page_of_another_site_reaches_nothing(shared: Site) -> None:
    assert ask(shared, "/v1/reload", "POST", Origin="http://shop.test").status == 403
    assert ask(shared, "/v1/status", Sec_Fetch_Site="cross-site").status == 403
    assert ask(shared, "/v1/status", Sec_Fetch_Site="same-site").status == 403
    said = ask(shared, "/v1/status", "OPTIONS", Origin="http://shop.test", Access_Control_Request_Method="GET")
    assert (said.status, "access-control-allow-origin" in said.fields) == (403, False)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One Gapura for the tests that only ask."""
    site = Site(tmp_path_factory.mktemp("admin"))
    try:
        site.configure(section('sites."shop.test"', respond="a shop"), proxy="")
        site.up()
        yield site
        site.down()
    finally:
        site.sweep()


def test_a_site_may_not_lead_to_our_own_sockets(site: Site) -> None:
    for name in ("admin", "dashboard"):
        for path in (f"{site.folder}/.gapura/{name}.sock", f"{site.folder}/.gapura/../.gapura//{name}.sock"):
            site.configure(proxy=f"unix:{path}")
            done = site.gapura("check", check=False)
            assert (done.returncode, "Gapura's own" in done.stderr, "dashboard = true" in done.stderr) == (78, True, True)


# -- tokens -----------------------------------------------------------------------------------------------------------------------


def test_a_tokens_life(site: Site) -> None:
    site.configure(section("admin", loopback="none"), proxy="")
    site.up()
    assert ask(site, "/v1/status").status == 401
    made = site.gapura("token", "create", "grafana")
    token = made.stdout.strip()
    assert token.startswith("gapura_")
    assert "may read" in made.stderr
    bearer = {"Authorization": f"Bearer {token}"}
    assert ask(site, "/v1/status", **bearer).status == 200
    assert ask(site, "/v1/reload", "POST", **bearer).status == 403
    assert "grafana" in site.gapura("token", "list").stdout
    kept = site.folder / ".gapura" / "lib" / "tokens.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    for file in (kept, *site.logs.glob("*.log"), site.folder / ".gapura" / "state.json"):
        assert token not in file.read_text()
    session = ask(site, "/v1/session", "POST", {"token": token})
    cookie = {"Cookie": session.fields["set-cookie"].partition(";")[0]}
    assert ask(site, "/v1/status", **cookie).status == 200
    site.gapura("token", "revoke", "grafana")
    assert ask(site, "/v1/status", **bearer).status == 401
    assert ask(site, "/v1/status", **cookie).status == 401
    site.down()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("create", "a b"), 2, "cannot be the name of a token"),
        (("create", "../../etc/passwd"), 2, "cannot be the name of a token"),
        (("create", "-x"), 2, "No such option"),
        (("create", "x" * 100), 2, "cannot be the name of a token"),
        (("create", "x", "--role", "root"), 2, "Invalid value for '--role'"),
        (("create", "x", "--days", "-1"), 2, "Invalid value for '--days'"),
        (("create", "x", "--days", "nan"), 2, "days"),
        (("create", "x", "--days", "1e9"), 2, "Invalid value for '--days'"),
        (("create",), 2, "Missing argument"),
        (("revoke", "nobody"), 1, "there is no token nobody"),
        (("revoke",), 2, "Missing argument"),
        (("make", "x"), 2, "No such command"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, tuple) else None,
)
def test_bad_words(shared: Site, words: tuple[str, ...], status: int, said: str) -> None:
    done = shared.gapura("token", *words, check=False)
    assert (done.returncode, said in done.stderr) == (status, True), done.stderr


def test_gapura_dashboard_logs_one_browser_in(shared: Site) -> None:
    made = json.loads(shared.gapura("dashboard", "--json").stdout)
    url, _, code = made["url"].partition("#")
    assert url == f"http://{HERE}:{shared.port}/v1/login"
    page = ask(shared, "/v1/login", Sec_Fetch_Site="none", Sec_Fetch_Mode="navigate")
    assert "script-src 'sha256-" in page.fields["content-security-policy"]
    session = ask(shared, "/v1/session", "POST", {"token": code})
    assert session.json["rights"] == "full"
    cookie = {"Cookie": session.fields["set-cookie"].partition(";")[0]}
    assert ask(shared, "/v1/reload", "POST", **cookie).status == 200
    assert ask(shared, "/v1/session", "POST", {"token": code}).status == 401
    assert ask(shared, "/v1/session", "DELETE", **cookie).status == 204
    assert ask(shared, "/v1/me", **cookie).json["session"] is False
