"""What is in a folder, for people and for programs."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from tests.conftest import descriptors

from gapura.edge import listing

from .client import get
from .edge import Edge

SITE = '[sites."*"]\nfiles = "www"\nlisting = true\n'


@pytest.fixture
def www(tmp_path: Path) -> Path:
    """A folder with names that would be something else in HTML and in URLs."""
    folder = tmp_path / "www"
    (folder / "dir" / "deep").mkdir(parents=True)
    (folder / "indexed").mkdir()
    (folder / "indexed" / "index.html").write_text("<p>index")
    for name, size in {"a.txt": 10, "B.txt": 2_000, "<b>&\"'.html": 3_000_000, "x y?z#%.txt": 1, "javascript:alert(1)": 5}.items():
        (folder / "dir" / name).write_bytes(b"x" * size)
    (folder / "dir" / ".hidden").write_text("secret")
    (folder / "dir" / "outside").symlink_to("../../secret")
    (folder / "dir" / "broken").symlink_to("nowhere")
    (folder / "dir" / "inside").symlink_to("a.txt")
    (tmp_path / "secret").write_text("secret")
    os.mkfifo(folder / "dir" / "fifo")
    with open(os.fsencode(folder / "dir") + b"/latin-\xe9", "wb"):
        pass
    os.utime(folder / "dir" / "a.txt", (1e9, 1e9))
    return folder


def links(body: bytes) -> list[str]:
    return re.findall(r'<tr><td><a href="([^"]*)"', body.decode())


async def test_a_page(edge: Edge, www: Path) -> None:
    await edge.start(SITE)
    client = await edge.client()
    answer = await client.ask("/dir/", "Accept: text/html")
    assert answer.status == 200
    assert answer.get("content-type") == "text/html; charset=utf-8"
    assert answer.get("vary") == "Accept, Accept-Language"
    assert links(answer.body) == [
        "../", "./deep/", "./%3Cb%3E%26%22%27.html", "./a.txt", "./B.txt", "./inside", "./javascript%3Aalert%281%29", "./latin-%E9",
        "./x%20y%3Fz%23%25.txt",
    ]  # fmt: skip
    text = answer.body.decode()
    assert "&lt;b&gt;&amp;&quot;&#x27;.html" in text
    assert "<b>" not in text
    assert "2.9 MiB" in text
    assert "2.0 KiB" in text
    for absent in ("hidden", "outside", "fifo", "broken"):
        assert absent not in text
    for link in links(answer.body):
        if link != "../":
            assert (await client.ask("/dir/" + link[2:])).status == 200


async def test_the_top_has_nothing_above(edge: Edge, www: Path) -> None:
    await edge.start('[[sites."*".routes]]\npath = "/files/"\nfiles = "www"\nlisting = true\n')
    client = await edge.client()
    assert links((await client.ask("/files/")).body) == ["./dir/", "./indexed/"]
    assert (await client.ask("/files/indexed/")).body == b"<p>index"
    assert (await client.ask("/files/dir")).get("location") == "/files/dir/"
    assert (await client.ask("/files/dir/deep/")).body.count(b"This folder is empty") == 1
    assert b"Folder ini kosong" in (await client.ask("/files/dir/deep/", "Accept-Language: id")).body
    assert (await client.ask("/files/dir/a.txt/")).status == 404
    assert (await client.ask("/files/none/")).status == 404


async def test_json(edge: Edge, www: Path) -> None:
    await edge.start(SITE)
    client = await edge.client()
    answer = await client.ask("/dir/", "Accept: application/json")
    assert answer.get("content-type") == "application/json"
    found = {item["name"]: item for item in json.loads(answer.body)}
    assert found["a.txt"] == {"name": "a.txt", "type": "file", "mtime": "Sun, 09 Sep 2001 01:46:40 GMT", "size": 10}
    assert "size" not in found["deep"]
    assert found["deep"]["type"] == "directory"
    assert "latin-\ufffd" in found
    assert len(found) == 8
    assert json.loads((await client.ask("/dir/deep/", "Accept: application/json")).body) == []
    head = await client.ask("/dir/", "Accept: application/json", method="HEAD")
    assert head.get("content-length") == str(len(answer.body))


@pytest.mark.parametrize(
    ("query", "first", "last"),
    [
        ("", "<b>&\"'.html", "x y?z#%.txt"),
        ("?sort=name&order=desc", "x y?z#%.txt", "<b>&\"'.html"),
        ("?sort=size", "latin-\ufffd", "<b>&\"'.html"),
        ("?sort=size&order=desc", "<b>&\"'.html", "latin-\ufffd"),
        ("?order=desc&sort=date", "", "a.txt"),
        ("?sort=nonsense&order=%00", "<b>&\"'.html", "x y?z#%.txt"),
    ],
)
async def test_order(edge: Edge, www: Path, query: str, first: str, last: str) -> None:
    """Folders come first, whatever the order."""
    await edge.start(SITE)
    answer = await (await edge.client()).ask("/dir/" + query, "Accept: application/json")
    names = [item["name"] for item in json.loads(answer.body)]
    assert names[0] == "deep"
    assert not first or names[1] == first
    assert names[-1] == last


async def test_a_huge_folder_is_cut_off_and_others_are_served_meanwhile(
    edge: Edge, www: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST", 500)
    monkeypatch.setattr(listing, "SLICE", 20)
    huge = www / "huge"
    huge.mkdir()
    for number in range(600):
        (huge / f"{number:03}").touch()
    await edge.start(SITE)
    slow, fast = await edge.client(), await edge.client()
    slow.send(get("/huge/"))
    assert (await fast.ask("/dir/a.txt")).status == 200
    answer = await slow.answer()
    assert len(links(answer.body)) == 501
    assert b"Only 500 entries are shown" in answer.body


async def test_a_client_that_leaves_before_the_end(edge: Edge, www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "SLICE", 1)
    await edge.start(SITE)
    before = descriptors()
    for _ in range(3):
        client = await edge.client()
        client.send(get("/dir/"))
        client.reset()
        await edge.forgotten()
    assert descriptors() <= before


async def test_without_it_a_folder_shows_nothing(edge: Edge, www: Path) -> None:
    await edge.start('[sites."*"]\nfiles = "www"\n')
    assert (await (await edge.client()).ask("/dir/")).status == 404


class Scan:
    """What os.scandir gives, of a disk that says strange things: `entries`, then an error if there is one."""

    def __init__(self, entries: list[object], error: OSError | None = None) -> None:
        self.entries = iter(entries)
        self.error = error

    def __iter__(self) -> Scan:
        return self

    def __next__(self) -> object:
        for entry in self.entries:
            return entry
        raise self.error or StopIteration

    def close(self) -> None: ...


class Entry:
    """A file that was changed at the end of time."""

    name = "old.txt"

    def stat(self) -> os.stat_result:
        return os.stat_result((0o100644, 1, 1, 1, 0, 0, 7, 0, 1 << 60, 0))

    def is_symlink(self) -> bool:
        return False


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
async def test_a_time_that_no_date_can_say(edge: Edge, www: Path, accept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await edge.start(SITE)
    monkeypatch.setattr(os, "scandir", lambda fd: Scan([Entry()]))
    answer = await (await edge.client()).ask("/dir/", f"Accept: {accept}")
    assert answer.status == 200
    assert re.search(rb"9999|10000", answer.body)


async def test_a_disk_that_fails_in_the_middle(edge: Edge, www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await edge.start(SITE)
    monkeypatch.setattr(os, "scandir", lambda fd: Scan([Entry()], OSError(5, "Input/output error")))
    client = await edge.client()
    assert (await client.ask("/dir/")).status == 403
    assert (await client.ask("/dir/a.txt")).status == 200
