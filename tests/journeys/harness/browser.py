"""A visitor with a real browser: Debian's chromium, driven by playwright."""

from __future__ import annotations

import base64
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright
from tests.conftest import peer

import gapura.control

ROOT = Path(__file__).resolve().parents[3]
BUILD = Path(gapura.control.__file__).with_name("dashboard")
AXE = ROOT / "dashboard" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
PATIENCE = 30_000
"""Milliseconds that anything may take on a busy machine."""
SHIFTS = """
window.shifted = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""


def built() -> None:
    """Skip, or fail where nothing may go untested, when the dashboard or what judges it is not there."""
    if (BUILD / "index.html").is_file() and AXE.is_file():
        return
    if os.environ.get("GAPURA_PEERS") == "required":
        pytest.fail("the dashboard is not built: run tools/dashboard")
    pytest.skip("the dashboard is not built (make dashboard)")


class Chromium:
    """One browser for many tests; each test has a `context` of its own."""

    def __init__(self) -> None:
        built()
        program = peer("chromium")
        expect.set_options(timeout=PATIENCE)
        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])

    def visitor(self, port: int, host: str = "gapura.localhost", **options: Any) -> Visitor:
        """Somebody at this Gapura; options are those of a browser context of playwright."""
        return Visitor(
            self._browser.new_context(**{"locale": "en-GB", "viewport": {"width": 1280, "height": 860}, **options}), port, host
        )

    def close(self) -> None:
        """End it."""
        self._browser.close()
        self._playwright.stop()


class Visitor:
    """A person with a tab. `errors` holds what the page complained about, `strangers` requests to other hosts."""

    def __init__(self, context: BrowserContext, port: int, host: str) -> None:
        self.origin = f"http://{host}:{port}"
        self.context = context
        self.errors: list[str] = []
        self.strangers: list[str] = []
        self.expected: tuple[str, ...] = ()
        """Parts of complaints that a test brings about."""
        context.add_init_script(SHIFTS)
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((f"{self.origin}/", "data:", "blob:")):
            self.strangers.append(request.url)

    def go(self, view: str) -> Page:
        """Open a view, as from a link."""
        self.page.goto(f"{self.origin}/#/{view}")
        self.page.locator("main").wait_for()
        return self.page

    def node(self, key: str) -> Any:
        """A node of the picture."""
        return self.page.locator(f'[data-key="{key}"]')

    def edge(self, to: str) -> Any:
        """The edge of the picture that leads to a node."""
        return self.page.locator(f'path[data-to="{to}"]')

    def width(self, to: str) -> float:
        """How wide an edge is drawn, in pixels."""
        return float(self.edge(to).first.evaluate("edge => parseFloat(edge.style.strokeWidth)"))

    def violations(self) -> list[str]:
        """What axe finds against WCAG AA."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("rules => axe.run(document, { runOnly: rules, resultTypes: ['violations'] })", RULES)
        return [
            f"{one['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:300]}"
            for one in found["violations"]
            for node in one["nodes"]
        ]

    def overflow(self) -> list[str]:
        """What is wider than the window, or sticks out of it."""
        return list(self.page.evaluate(OVERFLOW))

    def overlaps(self) -> list[str]:
        """Nodes of the picture that cover each other."""
        return list(self.page.evaluate(OVERLAPS))

    def shifted(self) -> float:
        """How far the layout has moved by itself (cumulative layout shift)."""
        return float(self.page.evaluate("window.shifted"))

    def keep(self, name: str) -> None:
        """Keep a screenshot, when tools/screenshots asks for them."""
        folder = os.environ.get("GAPURA_SCREENSHOTS")
        if not folder:
            return
        self.page.wait_for_timeout(1500)  # charts and transitions, for the eye
        self.page.evaluate(ELSEWHERE, [str(Path(sys.executable).parent), str(ROOT), tempfile.gettempdir()])
        wish = {"format": "webp", "quality": 60, "captureBeyondViewport": False}
        shot = self.context.new_cdp_session(self.page).send("Page.captureScreenshot", wish)
        Path(folder, f"{name}.webp").write_bytes(base64.b64decode(shot["data"]))

    def leave(self) -> None:
        """Close the tab; nothing may have gone wrong in it, and nobody else been asked."""
        self.page.close()
        self.context.close()
        left = [error for error in self.errors if not any(part in error for part in self.expected)]
        assert not left, left
        assert not self.strangers, self.strangers


OVERFLOW = """() => {
  const wide = document.documentElement.clientWidth;
  const scrolls = ".scroll, pre, textarea, .log, .numbers, svg, .u-wrap, .hidden-text, .skip";
  const found = [];
  const whole = document.documentElement.scrollWidth;
  if (whole > innerWidth) found.push(`the page: ${whole} > ${innerWidth}`);
  for (const element of document.querySelectorAll("main *, header *, aside *")) {
    const box = element.getBoundingClientRect();
    if (!box.width || !box.height || element.closest(scrolls)) continue;
    if (box.right > wide + 1 || box.left < -1) found.push(`${element.outerHTML.slice(0, 90)}: ${box.left}–${box.right} of ${wide}`);
  }
  return found;
}"""
ELSEWHERE = """(folders) => {
  const plain = (text) => folders.reduce((kept, folder) => kept.replaceAll(folder, "/srv"), text);
  for (const element of document.querySelectorAll(".code")) {
    if (element.value !== undefined) element.value = plain(element.value);
    else if (!element.childElementCount) element.textContent = plain(element.textContent);
  }
}"""
"""Folders of one machine are not for pictures."""
OVERLAPS = """() => {
  const nodes = [...document.querySelectorAll("[data-key]")];
  const boxes = nodes.map((node) => [node.dataset.key, node.getBoundingClientRect()]);
  const apart = (a, b) => a.left >= b.right - 1 || b.left >= a.right - 1 || a.top >= b.bottom - 1 || b.top >= a.bottom - 1;
  const found = [];
  for (const [index, [one, a]] of boxes.entries()) {
    for (const [other, b] of boxes.slice(index + 1)) if (!apart(a, b)) found.push(`${one} and ${other}`);
  }
  return found;
}"""
