"""Dumbflix: a small film catalogue. Python's standard library is all that it needs.

It listens on 127.0.0.1:$PORT (3000 when nothing is said) and shows which copy answered. Start it by itself with
`python3 app.py`, or in two copies behind a domain with `gapura up`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import asdict, fields
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pages
from pages import Film

FOLDER = Path(__file__).resolve().parent
DATABASE = Path(os.environ.get("DUMBFLIX_DATABASE") or FOLDER / "films.sqlite3")
GRACE = 10.0
"""Seconds that requests under way get after SIGTERM."""
COLUMNS = ", ".join(field.name for field in fields(Film))


def seed(database: Path) -> None:
    """Make the database unless it is there.

    It is made whole under another name and then linked: when two copies start at once, one link fails and nobody ever
    sees half a table.
    """
    if database.exists():
        return
    with tempfile.TemporaryDirectory(dir=database.parent, prefix=".dumbflix-") as folder:
        fresh = Path(folder) / "films.sqlite3"
        with contextlib.closing(sqlite3.connect(fresh)) as db:
            db.executescript((FOLDER / "films.sql").read_text(encoding="utf-8"))
        with contextlib.suppress(FileExistsError):
            os.link(fresh, database)


class Catalogue:
    """The films as one connection's thread sees them, read-only (SQLite connections do not change threads)."""

    def __init__(self, database: Path) -> None:
        self._db = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)

    def films(self, query: str = "", genre: str = "") -> list[Film]:
        pattern = "%" + query.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        rows = self._db.execute(
            f"SELECT {COLUMNS} FROM films WHERE :genre IN ('', genre) AND (title LIKE :like ESCAPE '\\' OR about LIKE :like"
            " ESCAPE '\\' OR director LIKE :like ESCAPE '\\') ORDER BY rating DESC, title",
            {"like": pattern, "genre": genre},
        )
        return [Film(*row) for row in rows]

    def film(self, number: int) -> Film | None:
        row = self._db.execute(f"SELECT {COLUMNS} FROM films WHERE id = ?", (number,)).fetchone()
        return Film(*row) if row else None

    def genres(self) -> list[str]:
        return [name for (name,) in self._db.execute("SELECT DISTINCT genre FROM films ORDER BY genre")]

    def close(self) -> None:
        self._db.close()


class Handler(BaseHTTPRequestHandler):
    """One connection. An answer leaves in one send, so that neither Nagle nor a slow second packet holds it up."""

    protocol_version = "HTTP/1.1"
    server_version = "Dumbflix"
    disable_nagle_algorithm = True
    wbufsize = 1 << 20
    timeout = 90  # longer than a proxy keeps idle connections: the proxy closes first and never writes to a closed one

    server: Server

    def setup(self) -> None:
        super().setup()
        self.catalogue = Catalogue(DATABASE)

    def finish(self) -> None:
        self.catalogue.close()
        with contextlib.suppress(OSError):  # the client has left
            super().finish()

    def do_GET(self) -> None:
        with self.server.request_under_way():
            url = urlsplit(self.path)
            words = {name: values[0].strip()[:100] for name, values in parse_qs(url.query).items()}
            query, genre = words.get("q", ""), words.get("genre", "")
            match url.path.strip("/").split("/"):
                case [""]:
                    films = self.catalogue.films(query, genre)
                    self.answer(pages.catalogue(films, self.catalogue.genres(), query, genre, self.server.copy))
                case ["films", number] if number.isdecimal() and len(number) < 10 and (film := self.catalogue.film(int(number))):
                    self.answer(pages.film_page(film, self.server.copy))
                case ["api", "films"]:
                    document = {
                        "answered_by": asdict(self.server.copy),
                        "films": [asdict(film) for film in self.catalogue.films(query, genre)],
                    }
                    self.answer(json.dumps(document, ensure_ascii=False), kind="application/json")
                case _:
                    text = "There is no such page in this catalogue."
                    self.answer(pages.message("Not found", text, self.server.copy), HTTPStatus.NOT_FOUND)
            self.wfile.flush()  # inside: a request is under way until its answer has left

    do_HEAD = do_GET

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: the proxy in front keeps the access log."""

    def answer(self, text: str, status: HTTPStatus = HTTPStatus.OK, kind: str = "text/html; charset=utf-8") -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")  # a reload has to show which copy answers now
        if self.server.stopping:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """A thread for each connection; knows how many requests are under way, to end without cutting one off."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.copy = pages.Copy(os.environ.get("GAPURA_INSTANCE", "–"), os.getpid(), self.server_port)
        self.stopping = False
        self._under_way = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def request_under_way(self) -> Iterator[None]:
        with self._changed:
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify()

    def stop(self) -> None:
        """Accept no more, finish what is under way (for GRACE seconds at most), leave idle connections to the exit."""
        self.stopping = True
        self.shutdown()
        with self._changed:
            self._changed.wait_for(lambda: self._under_way == 0, timeout=GRACE)
        self.server_close()


def main() -> None:
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # before any thread starts: they inherit it, and sigwait gets the signal
    seed(DATABASE)
    server = Server(int(os.environ.get("PORT", "3000")))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    print(f"dumbflix: copy {server.copy.number} on http://127.0.0.1:{server.copy.port}", flush=True)
    signal.sigwait(ends)
    server.stop()


if __name__ == "__main__":
    main()
