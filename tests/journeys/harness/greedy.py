"""A client that wants a lot, as a process of its own so that it takes nothing from the one who measures.

python -S -E greedy.py PORT HOST passwords    four connections try wrong passwords at /secret, never the same twice
python -S -E greedy.py PORT HOST CODING       two connections fetch /text in this coding again and again
"""

from __future__ import annotations

import base64
import http.client
import os
import sys
import threading
from collections.abc import Callable

SIZE = 50_000_000


def try_passwords(port: int, host: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    while True:
        words = base64.b64encode(b"alice:" + os.urandom(8).hex().encode()).decode()
        connection.request("GET", "/secret", headers={"Host": host, "Authorization": f"Basic {words}"})
        answer = connection.getresponse()
        answer.read()
        print(answer.status, flush=True)


def fetch(port: int, host: str, coding: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    while True:
        connection.request("GET", f"/text?bytes={SIZE}", headers={"Host": host, "Accept-Encoding": coding})
        answer = connection.getresponse()
        while answer.read(65536):
            pass
        print(answer.getheader("content-encoding"), flush=True)


def main() -> None:
    port, host, what = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    greed: Callable[..., None] = try_passwords if what == "passwords" else fetch
    words = (port, host) if what == "passwords" else (port, host, what)
    for _ in range(4 if what == "passwords" else 2):
        threading.Thread(target=greed, args=words, daemon=True).start()
    sys.stdin.read()  # until the one who measures has enough


if __name__ == "__main__":
    main()
