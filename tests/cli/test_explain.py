"""`explain URL`: from the configuration alone, and with what runs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from .conftest import FakeMaster, document


def asked(gapura: Any, url: str) -> Any:
    done = gapura("explain", url, "--json")
    assert done.status == 0, done.err
    return json.loads(done.out)


@pytest.mark.parametrize(
    ("url", "matched", "route", "upstream"),
    [
        ("http://alvin.xyz:8099/", "alvin.xyz", "/", "api"),
        ("ALVIN.xyz.", "alvin.xyz", "/", "api"),
        ("http://alvin.xyz:8099/films?x=/old/", "alvin.xyz", "/", "api"),
        ("http://alvin.xyz/old/a#b", "alvin.xyz", "/old/", None),
        ("http://alvin.xyz/x/../old/a", "alvin.xyz", "/old/", None),
        ("http://a.b.alvin.xyz/", "*.alvin.xyz", "/", None),
        ("https://shop.localhost", "shop.localhost", "/", "shop"),
    ],
)
def test_the_way_of_a_request(folder: Path, gapura: Any, url: str, matched: str, route: str, upstream: str | None) -> None:
    answer = asked(gapura, url)
    assert answer["site"]["matched"] == matched
    assert answer["route"]["path"] == route
    assert (answer["upstream"] or {}).get("name") == upstream
    assert answer["running"] is False


def test_a_path_without_its_slash(folder: Path, gapura: Any) -> None:
    (folder / "gapura.toml").write_text(
        '[sites."a.b"]\nroutes = [{ path = "/admin/", proxy = "127.0.0.1:9" }]\n[edge]\nhttp = 8099\n'
    )
    answer = asked(gapura, "http://a.b:8099/admin?x")
    assert (answer["route"]["path"], answer["route"]["action"], answer["route"]["status"]) == ("/admin", "redirect", 301)


def test_a_host_that_nobody_answers_for(folder: Path, gapura: Any) -> None:
    assert asked(gapura, "http://evil.example/")["status"] == 421
    assert "421, with a page that says so" in gapura("explain", "http://evil.example/").out


def test_shares_and_copies(folder: Path, gapura: Any) -> None:
    (folder / "gapura.toml").write_text(
        '[sites."alvin.xyz"]\nsplit = [{ proxy = "localhost:3000", share = 90 }, { proxy = "localhost:4000", share = 10 }]\n'
        'mirror = { proxy = "localhost:5000", share = 25 }\n'
    )
    told = gapura("explain", "http://alvin.xyz/").out
    assert "mirror    localhost:5000, 0.25 of the requests" in told
    assert "split     localhost:3000 90, localhost:4000 10, by the cookie gapura_" in told


def test_a_path_that_no_route_fits(folder: Path, gapura: Any) -> None:
    (folder / "gapura.toml").write_text('[[sites.x.routes]]\npath = "/a"\nrespond = "hello"\n')
    assert asked(gapura, "http://x/b")["status"] == 404
    assert "route     none fits /b: 404" in gapura("explain", "http://x/b").out


@pytest.mark.parametrize(("url", "listener"), [("http://alvin.xyz:8099/", "127.0.0.1:8099"), ("http://alvin.xyz/", "")])
def test_whether_anything_listens_there(folder: Path, gapura: Any, url: str, listener: str) -> None:
    assert asked(gapura, url)["listener"] == listener
    assert ("nothing listens on this URL's port" in gapura("explain", url).out) is not bool(listener)


def test_without_a_master_the_configuration_tells_who_may_be_picked(folder: Path, gapura: Any) -> None:
    picked = {one["id"]: (one["eligible"], one["why_not"]) for one in asked(gapura, "alvin.xyz")["servers"]}
    assert picked == {
        "127.0.0.1:3000": (True, ""),
        "127.0.0.1:3001": (False, "the configuration says `down = true`"),
        "127.0.0.1:3002": (False, "it is a backup, used when no other server can answer"),
    }
    assert "Gapura does not run here" in gapura("explain", "alvin.xyz").out


def test_with_a_master_the_live_state_tells(master: FakeMaster, gapura: Any) -> None:
    answer = asked(gapura, "alvin.xyz")
    picked = {one["id"]: (one["eligible"], one["why_not"]) for one in answer["servers"]}
    assert answer["running"] is True
    assert picked["127.0.0.1:3000"] == (False, "it fails its health checks")
    assert picked["127.0.0.1:3002"] == (True, ""), "the backup answers now"
    shop = {one["id"]: one for one in asked(gapura, "shop.localhost")["servers"]}
    assert shop["shop:0"]["address"] == "127.0.0.1:5000"
    assert shop["shop:1"]["why_not"] == "its process ended too often; see `gapura ps`"


def test_when_nobody_may_be_picked(master: FakeMaster, gapura: Any) -> None:
    dark = document()
    dark["upstreams"][0]["servers"] = [one | {"condition": "stopped", "state": "down"} for one in dark["upstreams"][0]["servers"]]
    master.says["status"] = [master.ok(**dark)]
    assert "No server may be picked: requests wait up to 3 s" in gapura("explain", "shop.localhost").out


def test_a_server_that_is_only_in_the_file_is_said_to_be(master: FakeMaster, gapura: Any) -> None:
    less = document()
    less["upstreams"][1]["servers"].pop(0)
    master.says["status"] = [master.ok(**less)]
    picked = {one["id"]: one for one in asked(gapura, "alvin.xyz")["servers"]}
    assert "gapura reload" in picked["127.0.0.1:3000"]["why_not"]


def test_an_older_master_that_tells_only_states(master: FakeMaster, gapura: Any) -> None:
    plain = document()
    for group in plain["upstreams"]:
        for one in group["servers"]:
            del one["condition"]
    master.says["status"] = [master.ok(**plain)]
    assert [one["eligible"] for one in asked(gapura, "alvin.xyz")["servers"]] == [False, False, True]


def test_conditions_of_routes(folder: Path, gapura: Any) -> None:
    (folder / "gapura.toml").write_text("""
[[sites."a.example".routes]]
path = "/x/"
methods = ["PUT"]
respond = "put"
[[sites."a.example".routes]]
path = "/x/"
methods = ["GET"]
match = { header = { X-Beta = "1" }, client = "10.0.0.0/8" }
respond = "beta"
""")
    told = gapura("explain", "a.example/x/", "-X", "PUT")
    assert "/x/ (prefix, with conditions)" in told.out
    told = gapura("explain", "a.example/x/", "-H", "X-Beta: 1", "--client", "10.1.1.1", "--json")
    assert json.loads(told.out)["route"]["body"] == "beta"
    told = gapura("explain", "a.example/x/")
    assert "405, with Allow: PUT" in told.out
    assert gapura("explain", "a.example/x/", "-H", "no header").status == 2


def test_what_somebody_would_have_to_show(folder: Path, gapura: Any) -> None:
    keys = 'respond = "in"\nallow = "10.0.0.0/8"\nbasic_auth = { users = { a = "{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=" } }\n'
    asking = 'forward_auth = { to = "127.0.0.1:9" }\n'
    (folder / "gapura.toml").write_text(f'[sites.x]\n{keys}{asking}[sites.y]\n{keys}satisfy = "any"\n')
    out = gapura("explain", "http://x/", "--client", "11.1.1.1").out
    assert "access    11.1.1.1 may not come in: 403" in out
    assert "access    a name and a password, of the configuration (basic_auth)" in out
    assert "access    127.0.0.1:9 decides, asked for / (forward_auth)" in out
    assert "10.1.1.1 may come in\n" in gapura("explain", "http://x/", "--client", "10.1.1.1").out
    assert 'needs nothing else (satisfy = "any")' in gapura("explain", "http://y/", "--client", "10.1.1.1").out
    assert "11.1.1.1 needs what follows" in gapura("explain", "http://y/", "--client", "11.1.1.1").out


def test_what_stands_before_the_action(folder: Path, gapura: Any) -> None:
    (folder / "gapura.toml").write_text("""
[edge]
https = 8443
[sites."a.example"]
respond = "in"
tls = "auto"
limit = ["10/s", { rate = "5/m", burst = 2, key = "$http_x_key" }]
limit_connections = 3
compress = true
redirects = [{ path = "/old", to = "/new" }, { match = "^/blog/(.*)$", to = "/$1", status = 301 }]
[[sites."a.example".routes]]
path = "/api/"
proxy = "localhost:3000"
rewrite = "/v2/"
[[sites."a.example".routes]]
path = "/x/"
proxy = "localhost:3000"
rewrite = { match = "^/x/(.*)$", to = "/y/$1", reroute = true }
[sites."b.example"]
respond = "in"
""")
    told = gapura("explain", "http://a.example/").out
    assert "https     visitors over HTTP are sent to https://a.example:8443 (301), once its certificate is there\n" in told
    assert "limit     10/s and a burst of 9 for each $remote_addr, else 429\n" in told
    assert "limit     5/m and a burst of 2 for each $http_x_key, else 429\n" in told
    assert "limit     3 at the same time for each $remote_addr, else 429\n" in told
    assert "compress  zstd, br, gzip, from 512 bytes\n" in told
    assert "redirects /old: 302 to /new; the route does not answer\n" in gapura("explain", "http://a.example/old").out
    assert "redirects ^/blog/(.*)$: 301 to /$1; the" in gapura("explain", "https://a.example/blog/a").out
    assert "https " not in gapura("explain", "https://a.example/").out
    assert "rewrite   /api/ becomes /v2/\n" in gapura("explain", "https://a.example/api/a").out
    assert "rewrite   ^/x/(.*)$: to /y/$1, and another route is looked for\n" in gapura("explain", "https://a.example/x/a").out
    assert "nobody gets to it over HTTPS" in gapura("explain", "https://b.example/").out


def test_a_site_in_maintenance(master: FakeMaster, folder: Path, gapura: Any) -> None:
    look = 'maintenance = { allow = ["10.0.0.0/8"] }'
    (folder / "gapura.toml").write_text(f'[sites."*"]\nrespond = "in"\n{look}')
    site = next(site for site in master.says["status"][-1]["sites"] if "*" in site["hosts"])
    assert asked(gapura, "http://alvin.xyz/")["maintenance"] is None
    site["closed"] = {"since": time.time() - 65, "until": 0, "message": "moving"}
    assert asked(gapura, "http://alvin.xyz/")["maintenance"]["message"] == "moving"
    told = gapura("explain", "http://alvin.xyz/").out
    assert "site      in maintenance, begun 1 min 5 s ago: moving: 503; `gapura maintenance off` opens it\n" in told
    told = gapura("explain", "http://alvin.xyz/", "--client", "10.1.1.1").out
    assert "10.1.1.1 sees it all the same (maintenance.allow)\n" in told
