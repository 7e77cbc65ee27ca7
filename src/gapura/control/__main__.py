"""`python -P -m gapura.control FD`: executed by the master; FD is one end of its channel."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys

from gapura import log
from gapura.control.main import Control


def main(fd: int) -> None:
    """Serve, and end without waiting for name lookups that hang in their threads."""
    log.setup("control")
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)  # meant for the master, which says what it wants by message
    loop = asyncio.new_event_loop()
    control = Control(loop, socket.socket(fileno=fd))
    control.run()
    control.close()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
