"""A real master with stand-ins for its children: python master.py FILE BEHAVIOUR [OPTION...]."""

from __future__ import annotations

import sys
from pathlib import Path

from gapura import log
from gapura.master.invocation import open_standard_streams, parse
from gapura.master.main import Master

fake = [sys.executable, "-P", str(Path(__file__).with_name("child.py"))]
options = parse([sys.argv[1], *sys.argv[3:]])
assert options is not None
open_standard_streams()
log.setup("master")
argv = {"worker": [*fake, "worker", sys.argv[2]], "control": [*fake, "control", "good"]}
config = [sys.executable, "-S", "-E", str(Path(__file__).with_name("config.py"))]
sys.exit(Master(options._replace(argv={**argv, "config": config})).run())
