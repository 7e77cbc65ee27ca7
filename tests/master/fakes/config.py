"""A quick stand-in for the config process: prints what the test prepared beside the file."""

import sys

with open(sys.argv[-1] + ".json") as stream:
    print(stream.read())
