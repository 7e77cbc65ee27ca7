"""Targets and hosts: one reading of a path for the route, the file and the server behind."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapura.errors import ClientError
from gapura.wire.target import MAX_SEGMENTS, host_name, resolve, split_absolute, unescape, unquoted


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (b"example.com", b"example.com"),
        (b"EXAMPLE.com:8080", b"example.com"),
        (b"example.com.", b"example.com"),
        (b"example.com:", b"example.com"),
        (b"a_b.example", b"a_b.example"),
        (b"127.0.0.1:80", b"127.0.0.1"),
        (b"[::1]:3000", b"[::1]"),
        (b"[2001:DB8::1]", b"[2001:db8::1]"),
        (b"a:65535", b"a"),
    ],
)
def test_the_name_in_a_host_header(host: bytes, name: bytes) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize(
    "host",
    [
        b"", b"a b", b"a:b", b"a:65536", b"a:123456", b"a:1:2",
        b"-a", b"a/b", b"user@a", b"a,b", b"[::1", b"::1", b"[::1]x", b"[zz]",
        b"a\n", b"a%2eb", b"a\xe4", b"a#", b"a?", b".", b"x" * 261, b'a"', b"<a>",
    ],
)  # fmt: skip
def test_what_is_no_host(host: bytes) -> None:
    with pytest.raises(ClientError) as caught:
        host_name(host)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("target", "authority", "origin"),
    [
        (b"http://a/b?c", b"a", b"/b?c"),
        (b"HTTPS://a:1", b"a:1", b"/"),
        (b"http://a?c", b"a", b"/?c"),
        (b"http://a?c/d", b"a", b"/?c/d"),
        (b"http://[::1]:1/", b"[::1]:1", b"/"),
    ],
)
def test_an_absolute_target_falls_apart(target: bytes, authority: bytes, origin: bytes) -> None:
    assert split_absolute(target) == (authority, origin)


@pytest.mark.parametrize(
    "target", [b"ftp://a/", b"http:/a", b"http:///a", b"a", b"http://u@a/", b"http://u:p@a", b"http://?a", b"*a"]
)
def test_a_target_that_is_neither_path_nor_url(target: bytes) -> None:
    with pytest.raises(ClientError) as caught:
        split_absolute(target)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("target", "path", "forwarded"),
    [
        (b"/", b"/", b"/"),
        (b"/a?b=%zz/../c", b"/a", b"/a?b=%zz/../c"),
        (b"/a%20b", b"/a b", b"/a%20b"),
        (b"/a%2Fb", b"/a%2Fb", b"/a%2Fb"),
        (b"/a%2fb", b"/a%2Fb", b"/a%2fb"),
        (b"/a/./b", b"/a/b", b"/a/b"),
        (b"/a/../b", b"/b", b"/b"),
        (b"/a/%2e%2E/b?q", b"/b", b"/b?q"),
        (b"/a/.%2e/b", b"/b", b"/b"),
        (b"/a/..", b"/", b"/"),
        (b"/a/.", b"/a/", b"/a/"),
        (b"/a/b/..", b"/a/", b"/a/"),
        (b"/.a/...", b"/.a/...", b"/.a/..."),
        (b"/a//../b", b"/a/b", b"/a/b"),
        (b"/a/..%2fb", b"/a/..%2Fb", b"/a/..%2fb"),
        (b"/%2e%2e%2f..%2fetc", b"/..%2F..%2Fetc", b"/%2e%2e%2f..%2fetc"),
        (b"/a/x%20y/../%7Eb", b"/a/~b", b"/a/%7Eb"),
    ],
)
def test_a_path_is_decoded_once_and_dot_segments_are_gone(target: bytes, path: bytes, forwarded: bytes) -> None:
    assert resolve(target) == (path, forwarded)


@pytest.mark.parametrize(
    "target", [b"/..", b"/a/../..", b"/%2e%2e/a", b"/a%", b"/a%2", b"/a%zz", b"/%00", b"/a%u0041", b"/." * (MAX_SEGMENTS + 1)]
)
def test_a_path_that_cannot_be_served(target: bytes) -> None:
    with pytest.raises(ClientError) as caught:
        resolve(target)
    assert caught.value.status == 400


@given(st.lists(st.sampled_from([b".", b"..", b"%2e", b"%2E.", b"a", b"", b"%2F", b"..%2f", b"%41", b"...", b".b"]), max_size=8))
def test_resolving_ends_it(segments: list[bytes]) -> None:
    """What is forwarded has no dot segments in any spelling, means the path that was matched, and resolves to itself."""
    try:
        path, forwarded = resolve(b"/" + b"/".join(segments))
    except ClientError:
        return
    assert not {b".", b".."} & set(path.split(b"/"))
    assert unescape(forwarded) == path
    assert resolve(forwarded) == (path, forwarded)


def test_a_slash_may_be_decoded_where_that_is_asked_for() -> None:
    assert unescape(b"a%2Fb%25", keep_slash=False) == b"a/b%"


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        (b"/a%2fb", b"/a%2Fb"),
        (b"/a%2Fb", b"/a%2Fb"),
        (b"/a%252Fb", b"/a%252Fb"),
        (b"/a%25252Fb", b"/a%25252Fb"),
        (b"/a%25%32Fb", b"/a%252Fb"),
        (b"/a%252fb", b"/a%2fb"),
        (b"/a%2541", b"/a%41"),
    ],
)
def test_what_only_looks_like_an_encoded_slash_is_told_apart(raw: bytes, plain: bytes) -> None:
    assert unescape(raw) == plain
    assert resolve(raw)[0] == plain


def test_unquoted() -> None:
    assert unquoted(b"a%2Fb%2fc%25%2G%") == b"a/b/c%%2G%"
    assert unquoted(b"plain+") == b"plain+"
