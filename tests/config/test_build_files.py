"""The plan of how files are sent: defaults, inheritance, and nothing where nothing was said."""

from __future__ import annotations

from collections.abc import Callable

from gapura.config.load import load
from gapura.config.plan_files import FilesPlan

Configure = Callable[..., str]
DEFAULT: FilesPlan = {
    "listing": False, "tries": [], "missing": 404, "precompressed": [], "cache": [], "immutable": True, "types": {},
}  # fmt: skip


def plans(configure: Configure, text: str) -> list[FilesPlan | None]:
    (site,) = load(configure(text))["sites"]
    return [route["files"] for route in site["routes"]]


def test_nothing_said(configure: Configure) -> None:
    assert plans(configure, '[sites."a.b"]\nfiles = "www"\nfallback = "/index.html"\n') == [None]


def test_all_of_it(configure: Configure) -> None:
    text = """
[sites."a.b"]
files = "www"
listing = true
try_files = ["${uri}", "$uri/", "=403"]
precompressed = ["gzip", "zstd", "br", "gz"]
cache = { "/assets/*" = "1y immutable", "*.html" = "no-cache" }
immutable = false
types = { ".GPX" = "application/gpx+xml", "tar.gz" = "application/x-tgz" }
"""
    assert plans(configure, text) == [
        {
            "listing": True,
            "tries": ["$uri", "$uri/"],
            "missing": 403,
            "precompressed": ["gz", "zst", "br"],
            "cache": [{"pattern": "assets/*", "value": "max-age=31536000, immutable"}, {"pattern": "*.html", "value": "no-cache"}],
            "immutable": False,
            "types": {"gpx": "application/gpx+xml", "tar.gz": "application/x-tgz"},
        }
    ]


def test_short_forms(configure: Configure) -> None:
    text = '[sites."a.b"]\nfiles = "www"\nprecompressed = true\ntry_files = "$uri.html"\n'
    assert plans(configure, text) == [{**DEFAULT, "precompressed": ["br", "zst", "gz"], "tries": ["$uri.html"]}]
    assert plans(configure, '[sites."a.b"]\nfiles = "www"\nprecompressed = "br"\n') == [{**DEFAULT, "precompressed": ["br"]}]
    assert plans(configure, '[sites."a.b"]\nfiles = "www"\nprecompressed = false\n') == [DEFAULT]


def test_routes_have_what_their_site_says_unless_they_say_otherwise(configure: Configure) -> None:
    text = """
[sites."a.b"]
respond = "x"
precompressed = true
listing = true
[[sites."a.b".routes]]
path = "/one/"
files = "one"
[[sites."a.b".routes]]
path = "/two/"
files = "two"
listing = false
"""
    one, two, rest = plans(configure, text)
    assert one == {**DEFAULT, "listing": True, "precompressed": ["br", "zst", "gz"]}
    assert two == {**DEFAULT, "precompressed": ["br", "zst", "gz"]}
    assert rest is None
