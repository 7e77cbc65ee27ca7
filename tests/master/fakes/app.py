"""A small app: answers with its instance and pid. Options: --status N, --deaf (ignores SIGTERM), --late S, --fail, --fork (leaves a
grandchild in a session of its own), --grow BYTES."""

import os
import signal
import socket
import sys
import time

words = sys.argv[1:]


def option(name: str, default: str = "") -> str:
    return words[words.index(name) + 1] if name in words else default


if "--fail" in words:
    print("this app fails", flush=True)
    sys.exit(3)
if "--deaf" in words:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "--fork" in words and os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(1000)
    os._exit(0)
grown = b"x" * int(option("--grow", "0"))
time.sleep(float(option("--late", "0")))
status = option("--status", "200")
listening = socket.socket()
listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listening.bind(("127.0.0.1", int(os.environ["PORT"])))
listening.listen(64)
print("listening", flush=True)
while True:
    client, _ = listening.accept()
    client.recv(65536)
    body = f"{os.environ.get('GAPURA_INSTANCE')} {os.getpid()} {os.environ.get('COLOUR', '')}"
    client.sendall(f"HTTP/1.0 {status} x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    client.close()
