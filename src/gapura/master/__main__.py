"""`python -P -m gapura.master FILE`."""

import sys

from gapura.master.main import main

sys.exit(main(sys.argv[1:]))
