"""Cache-Control by the name of the file, and which names hold a hash."""

from __future__ import annotations

import pytest

from gapura.edge.cache_rules import FOR_EVER, CacheRules, hashed


def rules(*pairs: tuple[str, str], immutable: bool = True) -> CacheRules:
    return CacheRules([{"pattern": pattern, "value": value} for pattern, value in pairs], immutable)


def test_the_first_rule_that_fits_counts() -> None:
    some = rules(("*.html", "no-cache"), ("assets/*", "max-age=60"), ("*.?s", "max-age=5"))
    for name, value in {
        b"index.html": b"no-cache", b"a/b/index.html": b"no-cache", b"assets/index.html": b"no-cache",
        b"assets/a/b.png": b"max-age=60",
        b"x/assets/b.png": b"", b"a.js": b"max-age=5", b"a.css": b"", b"assets/app.3f9a1c2b.js": b"max-age=60",
    }.items():  # fmt: skip
        assert some.value(name) == value, name


def test_patterns_are_no_regular_expressions() -> None:
    some = rules(("a.b+(c)[d]*", "no-store"))
    assert some.value(b"a.b+(c)[d].js") == b"no-store"
    assert some.value(b"axbb(c)[d]") == b""


@pytest.mark.parametrize(
    "name",
    [
        b"app.3f9a1c2b.js", b"main.8e0d1b6f.chunk.css", b"main-7d8f9e0a1b2c3d4e.js", b"index-BxD3f9aK.js", b"index-C7lS_b1Q.css",
        b"logo.1234567890abcdef1234567890abcdef.svg", b"chunk_0123456789abcdef.mjs",
        b"inter.a1b2c3d4.woff2", b"style.5e3f2a1b.css.map",
    ],
)  # fmt: skip
def test_a_hash(name: bytes) -> None:
    assert hashed(name)
    assert rules().value(b"static/" + name) == FOR_EVER
    assert rules(immutable=False).value(b"static/" + name) == b""


@pytest.mark.parametrize(
    "name",
    [
        b"app.js", b"index.html", b"photo-20260101.jpg", b"report.12345678.pdf", b"bootstrap.min.js", b"jquery-3.7.1.min.js",
        b"holiday-cabbaged.png", b"page-DEADBEEF.txt", b"deadbee1.js", b"a-Checking.js", b"app.3f9a1c2b", b"app.3f9a1c2b.exe",
        b"my-Document1.docx", b"x" * 300 + b".3f9a1c2b.js",
    ],
)  # fmt: skip
def test_no_hash(name: bytes) -> None:
    assert not hashed(name)
