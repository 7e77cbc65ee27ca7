"""The dashboard in a real browser, over a real Gapura: what happens is drawn, and what is clicked happens."""

from __future__ import annotations

import gzip
import http.client
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType

import pytest
from playwright.sync_api import expect

from .harness.browser import BUILD, Chromium, Visitor
from .harness.client import visit
from .harness.site import Site, route, section, servers, toml

pytestmark = pytest.mark.xdist_group("dashboard")  # one browser for all of them
LEFT, RIGHT = "server/shop/shop:0", "server/shop/shop:1"
ADMIN = section("admin", loopback="full")
"""As root's master has it, visitors of this machine may only read."""
VIEWS = (
    *("live", "live?panel=gate", "live?panel=site/shop.test", "live?panel=upstream/shop", f"live?panel={LEFT}"),
    *(
        "traffic",
        "requests",
        "requests?show=failed",
        "requests?show=why",
        "apps",
        "certificates",
        "config",
        "events",
        "events?show=audit",
    ),
)


class Steady:
    """Requests one after the other, some twenty a second, until the end of the block."""

    def __init__(self, port: int, path: str = "/films", host: str = "shop.test", pause: float = 0.05) -> None:
        self._port, self._path, self._host, self._pause = port, path, host, pause
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._pause):
            try:
                visit(self._port, self._path, host=self._host)
            except (OSError, http.client.HTTPException):
                continue


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    browser = Chromium()
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, chromium: Chromium) -> Iterator[Site]:
    """Two copies behind a site, and another site that is in trouble, with visitors who never stop."""
    site = Site(tmp_path_factory.mktemp("dashboard"))
    try:
        nobody = section("upstreams.orders", policy="least_conn", servers=["127.0.0.1:9", {"address": "127.0.0.2:9", "weight": 2}])
        routes = "".join(route(path, "api.test", **words) for path, words in (("/v1/", {"proxy": "orders"}), ("/", {"files": "."})))
        site.configure(ADMIN, site.app(), nobody, routes)
        site.up()
        with Steady(site.port), Steady(site.port, "/v1/orders", "api.test", 1.0), Steady(site.port, "/none", "api.test", 0.7):
            yield site
        site.down()
    finally:
        site.sweep()


@pytest.fixture
def visitor(chromium: Chromium, shop: Site) -> Iterator[Visitor]:
    one = chromium.visitor(shop.port)
    yield one
    one.leave()


def within(seconds: float, condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


# -- what happens is drawn ------------------------------------------------------------------------------------------------


def test_a_killed_copy_is_drawn_dead_and_returns(visitor: Visitor, shop: Site) -> None:
    visitor.go("live")
    for key in (LEFT, RIGHT):
        expect(visitor.node(key)).to_have_attribute("data-state", "up")
        expect(visitor.edge(key)).to_have_attribute("data-kind", "busy")
    before = visitor.width(RIGHT)
    shop.kill(0)
    expect(visitor.node(LEFT)).to_have_attribute("data-state", "down", timeout=2000)
    expect(visitor.edge(LEFT)).to_have_attribute("data-kind", "dead", timeout=2000)
    expect(visitor.edge(RIGHT)).to_have_attribute("data-kind", "busy")
    visitor.keep("killed")
    assert visitor.width(RIGHT) >= before * 0.7, "traffic goes on over the other edge"
    expect(visitor.node(LEFT)).to_have_attribute("data-state", "up")
    expect(visitor.edge(LEFT)).to_have_attribute("data-kind", "busy")


def test_requests_travel_as_dots(visitor: Visitor) -> None:
    page = visitor.go("live")
    page.locator(".picture circle.dot[visibility=visible]").first.wait_for()
    page.locator(".picture circle.good").first.wait_for()


def test_who_wants_no_motion_sees_none(chromium: Chromium, shop: Site) -> None:
    visitor = chromium.visitor(shop.port, reduced_motion="reduce")
    page = visitor.go("live")
    expect(page.get_by_role("table").locator("tbody tr").first).to_be_visible()
    expect(visitor.edge(LEFT)).to_have_attribute("data-kind", "busy")
    assert page.locator(".picture circle").count() == 0
    visitor.leave()


def test_control_dies_and_the_page_comes_back(visitor: Visitor, shop: Site) -> None:
    page = visitor.go("live")
    visitor.expected = ("ERR_", "502", "503")
    expect(page.locator(".pulse")).to_have_class(re.compile(r"\blive\b"))
    os.kill(int(shop.status()["control"]["pid"]), signal.SIGKILL)
    expect(page.locator(".pulse")).to_have_class(re.compile(r"\bstale\b"))
    expect(page.locator(".pulse")).to_have_class(re.compile(r"\blive\b"))
    expect(visitor.edge(LEFT)).to_have_attribute("data-kind", "busy")


def test_a_request_tells_where_its_time_went(visitor: Visitor) -> None:
    page = visitor.go("requests?site=shop.test")
    page.locator("tbody .link").first.click()
    panel = page.get_by_role("complementary")
    expect(panel.get_by_text("Where the time went")).to_be_visible()
    assert panel.locator(".stages li").count() >= 3
    expect(panel.locator(".why")).to_contain_text("answered with 200")


# -- what is clicked happens ----------------------------------------------------------------------------------------------


def test_restart_drain_and_enable(visitor: Visitor, shop: Site) -> None:
    page = visitor.go("live")
    visitor.node(RIGHT).click()
    panel = page.get_by_role("complementary")
    pid = shop.instances()[1]["pid"]
    panel.get_by_role("button", name="Restart").click()
    shop.wait(lambda _: shop.instances()[1]["pid"] not in (pid, None))
    expect(page.get_by_text("shop:1 was restarted.")).to_be_visible()
    panel.get_by_role("button", name="Drain").click()
    expect(visitor.node(RIGHT)).to_have_attribute("data-state", "wait")
    within(10, lambda: visitor.edge(RIGHT).get_attribute("data-kind") == "rest")
    panel.get_by_role("button", name="Enable").click()
    expect(visitor.node(RIGHT)).to_have_attribute("data-state", "up")
    expect(visitor.edge(RIGHT)).to_have_attribute("data-kind", "busy")


def test_scale_up_and_down(visitor: Visitor, shop: Site) -> None:
    page = visitor.go("live")
    visitor.node("upstream/shop").click()
    page.get_by_role("button", name="One instance more").click()
    expect(visitor.node("server/shop/shop:2")).to_have_attribute("data-state", "up")
    page.get_by_role("button", name="One instance less").click()
    expect(visitor.node("server/shop/shop:2")).to_have_count(0)
    assert len(shop.instances()) == 2


def test_servers_are_added_weighed_and_removed(visitor: Visitor, shop: Site) -> None:
    page = visitor.go("live?panel=upstream/orders")
    page.get_by_label("Address").fill("127.0.0.3:9")
    page.get_by_role("button", name="Add a server").click()
    expect(visitor.node("server/orders/127.0.0.3:9")).to_be_visible()
    visitor.node("server/orders/127.0.0.3:9").click()
    page.get_by_label("Weight").fill("5")
    page.get_by_role("button", name="Set").click()
    shop.wait(lambda status: servers(status, "orders")["127.0.0.3:9"]["weight"] == 5)
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(visitor.node("server/orders/127.0.0.3:9")).to_have_count(0)
    page.get_by_role("complementary").wait_for(state="detached")


def test_maintenance(visitor: Visitor, shop: Site) -> None:
    page = visitor.go("live?panel=site/shop.test")
    page.get_by_role("button", name="Close the site").click()
    expect(visitor.node("site/shop.test")).to_have_class(re.compile(r"\bclosed\b"))
    within(10, lambda: visit(shop.port).status == 503)
    page.get_by_role("button", name="Open the site").click()
    within(10, lambda: visit(shop.port).status == 200)
    expect(visitor.node("site/shop.test")).not_to_have_class(re.compile(r"\bclosed\b"))


def test_a_page_without_traffic_sends_some(chromium: Chromium, site: Site) -> None:
    site.configure(ADMIN, section('sites."quiet.test"', respond="hush"), proxy="")
    site.up()
    visitor = chromium.visitor(site.port)
    page = visitor.go("live")
    expect(page.get_by_text("No traffic just now.")).to_be_visible()
    page.get_by_role("button", name="Send 60 requests").click()
    expect(page.get_by_text("60 requests were sent to quiet.test.").last).to_be_visible()
    expect(page.locator("tbody tr").first).to_be_visible()
    visitor.leave()
    site.down()


def test_the_log_is_followed(visitor: Visitor) -> None:
    page = visitor.go(f"live?panel={LEFT}")
    expect(page.get_by_role("log")).to_be_visible()


def test_the_configuration_is_checked_compared_and_applied(chromium: Chromium, site: Site) -> None:
    text = section("edge", http=[f"127.0.0.1:{site.port}"]) + ADMIN + section('sites."one.test"', respond="first")
    site.write(text)
    site.up()
    visitor = chromium.visitor(site.port)
    visitor.expected = ("412",)
    page = visitor.go("config")
    editor = page.get_by_label("Text of the configuration")
    expect(editor).to_have_value(text)
    editor.fill(text.replace("respond", "respnd"))
    page.get_by_role("button", name="Check").click()
    line = text[: text.index("respond")].count("\n") + 1
    expect(page.locator(".outcome")).to_contain_text(f"line {line}, column")
    expect(page.locator(".numbers .wrong")).to_have_text(str(line))
    expect(page.get_by_role("button", name="Apply")).to_be_disabled()
    editor.fill(text.replace("first", "second"))
    page.get_by_role("button", name="Check").click()
    expect(page.locator("pre .added")).to_contain_text("second")
    expect(page.locator("pre .removed")).to_contain_text("first")
    assert visit(site.port, host="one.test").body.strip() == "first"
    page.get_by_role("button", name="Apply").click()
    within(10, lambda: visit(site.port, host="one.test").body.strip() == "second")
    # Somebody else is quicker: nothing of theirs is overwritten unasked.
    editor.fill(text.replace("first", "mine"))
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_role("button", name="Apply")).to_be_enabled()
    site.write(text.replace("first", "theirs"))
    site.gapura("reload")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("Somebody has applied another configuration meanwhile.")).to_be_visible()
    assert visit(site.port, host="one.test").body.strip() == "theirs"
    page.get_by_role("button", name="Take theirs").click()
    expect(editor).to_have_value(text.replace("first", "theirs"))
    visitor.leave()
    site.down()


def test_who_has_no_rights_logs_in_with_a_token(chromium: Chromium, site: Site) -> None:
    site.configure(section("admin", loopback="none"), section('sites."quiet.test"', respond="hush"), proxy="")
    site.up()
    found = re.search(r"\b(gpr_\S+|[A-Za-z0-9_-]{30,})\b", site.gapura("token", "create", "reader", "--role", "read").stdout)
    assert found
    visitor = chromium.visitor(site.port)
    visitor.expected = ("401",)
    page = visitor.go("live")
    page.get_by_label("Token").fill("not this one")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    page.get_by_label("Token").fill(found[0])
    page.get_by_role("button", name="Log in").click()
    expect(visitor.node("site/quiet.test")).to_be_visible()
    expect(page.get_by_text("you may look, not change")).to_be_visible()
    assert page.get_by_role("button", name="Send 60 requests").count() == 0
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    visitor.leave()
    site.down()


# -- for everybody --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "views"),
    [("light", VIEWS), ("dark", VIEWS[::4]), pytest.param("dark", VIEWS, marks=pytest.mark.full)],
    ids=["light", "some-dark", "dark"],
)
def test_every_view_meets_wcag_aa_and_holds_still(
    chromium: Chromium, shop: Site, scheme: str, views: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    # Where other tests run at the same time an answer may come a frame too late: then only what people would notice counts.
    bound = 0.01 if request.node.get_closest_marker("full") else 0.1
    visitor = chromium.visitor(shop.port, color_scheme=scheme)
    for view in views:
        page = visitor.go(view)
        page.wait_for_timeout(400)
        assert visitor.violations() == [], view
        assert visitor.overflow() == [], view
        assert visitor.shifted() < bound, view
        visitor.keep(f"{re.sub('[^a-z]+', '-', view)}-{scheme}")
    visitor.leave()


@pytest.mark.parametrize("language", ["id-ID", pytest.param("en-GB", marks=pytest.mark.full)])
def test_a_phone_shows_everything_without_scrolling_sideways(chromium: Chromium, shop: Site, language: str) -> None:
    visitor = chromium.visitor(shop.port, viewport={"width": 360, "height": 740}, locale=language)
    for view in VIEWS:
        page = visitor.go(view)
        page.wait_for_timeout(300)
        assert visitor.overflow() == [], view
        assert visitor.overlaps() == [], view
    visitor.go("live")
    visitor.keep(f"phone-{language}")
    visitor.leave()


def test_the_keyboard_reaches_and_closes_everything(visitor: Visitor) -> None:
    page = visitor.go("live")
    visitor.node(LEFT).focus()
    page.keyboard.press("Enter")
    panel = page.get_by_role("complementary")
    expect(panel).to_be_focused()
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    expect(visitor.node(LEFT)).to_be_focused()
    reached = set()
    page.evaluate("document.activeElement.blur()")
    page.evaluate("scrollTo(0, 0)")
    for _ in range(90):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.dataset.key ?? document.activeElement.textContent.trim()"))
    assert {"Traffic", "Configuration", "gate", "site/shop.test", "upstream/shop", LEFT, RIGHT} <= reached


def test_the_picture_has_a_table_beside_it(visitor: Visitor) -> None:
    page = visitor.go("live")
    page.get_by_role("button", name="Show as a table").click()
    expect(page.get_by_role("row").filter(has_text="shop:0").first).to_contain_text("up")


def test_language_and_colours_are_chosen_and_kept(visitor: Visitor) -> None:
    page = visitor.go("live")
    page.get_by_label("Language").select_option("id")
    expect(page.get_by_role("heading", name="Jalan sebuah permintaan")).to_be_visible()
    page.locator(".theme").click()
    page.locator(".theme").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    expect(page.get_by_role("heading", name="Jalan sebuah permintaan")).to_be_visible()
    assert page.evaluate("[document.documentElement.lang, document.documentElement.dataset.theme]") == ["id", "dark"]


def test_charts_zoom_by_keyboard_and_mouse(visitor: Visitor) -> None:
    page = visitor.go("traffic")
    canvas = page.locator(".u-over").first
    canvas.wait_for()
    page.get_by_role("button", name="Zoom in").press("Enter")
    expect(page.get_by_role("button", name="Whole span")).to_be_enabled()
    page.get_by_role("button", name="Whole span").click()
    box = canvas.bounding_box()
    assert box
    page.mouse.move(box["x"] + 50, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 50, steps=5)
    page.mouse.up()
    expect(page.get_by_role("button", name="Whole span")).to_be_enabled()


# -- many of everything ---------------------------------------------------------------------------------------------------


def crowd(site: Site, sites: int, servers: int) -> str:
    """A configuration of many sites and of servers that nobody answers at."""
    names = ("catalogue", "a-service-with-rather-a-long-name", "search", "images", "legacy")
    shares = [servers // len(names)] * len(names)
    text = section("edge", http=[f"127.0.0.1:{site.port}"]) + ADMIN
    for number, (name, count) in enumerate(zip(names, shares, strict=True)):
        text += section(f'upstreams."{name}"', servers=[f"127.0.{number + 1}.{one + 1}:9" for one in range(count)])
    for number in range(sites):
        host = f"shop{number:02}.example.test" if number != 3 else "a-rather-long-name.of-a-department.company.example.test"
        if number == 1:
            routes = (("/api/", names[1]), ("/pictures/of/all/kinds/", names[3]), ("/", names[0]))
            text += "".join(f'[[sites."{host}".routes]]\npath = {toml(path)}\nproxy = {toml(name)}\n\n' for path, name in routes)
        else:
            text += section(f'sites."{host}"', proxy=names[number % len(names)])
    return text


@pytest.mark.parametrize(
    "width", [360, 1280, pytest.param(800, marks=pytest.mark.full), pytest.param(1920, marks=pytest.mark.full)]
)
def test_nothing_overlaps_with_forty_sites_and_thirty_servers(chromium: Chromium, crowded: Site, width: int) -> None:
    visitor = chromium.visitor(crowded.port, viewport={"width": width, "height": 900})
    page = visitor.go("live")
    page.locator("[data-key]").nth(20).wait_for()
    visitor.keep(f"crowd-{width}")
    assert visitor.overlaps() == []
    assert visitor.overflow() == []
    while page.locator("button.more").count():
        page.locator("button.more").first.click()
    assert page.locator("[data-key^='site/']").count() == 40
    assert page.locator("[data-key^='server/']").count() == 30
    assert visitor.overlaps() == []
    assert visitor.overflow() == []
    for view in ("traffic", "apps", "live?panel=upstream/catalogue"):
        visitor.go(view)
        page.wait_for_timeout(200)
        assert visitor.overflow() == [], view
    visitor.leave()


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory, chromium: Chromium) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("crowded"))
    try:
        site.write(crowd(site, 40, 30))
        site.up()
        yield site
        site.down()
    finally:
        site.sweep()


# -- what is loaded -------------------------------------------------------------------------------------------------------


def test_the_first_load_is_small_and_asks_nobody_else(chromium: Chromium, shop: Site) -> None:
    visitor = chromium.visitor(shop.port)
    loaded: list[str] = []
    visitor.page.on("request", lambda request: loaded.append(request.url))
    visitor.go("live")
    visitor.node(LEFT).wait_for()
    files = {url.removeprefix(f"{visitor.origin}/").partition("?")[0] or "index.html" for url in loaded if "/v1/" not in url}
    sizes = {name: len(gzip.compress((BUILD / name).read_bytes(), 9)) for name in files}
    assert any(name.endswith(".js") for name in sizes)
    assert sum(sizes.values()) <= 80_000, sizes
    visitor.leave()
