"""`python -P -m gapura.edge FD`: a worker, executed by the master."""

from __future__ import annotations

import sys

from gapura.edge.worker import run

if __name__ == "__main__":
    run(int(sys.argv[1]))
