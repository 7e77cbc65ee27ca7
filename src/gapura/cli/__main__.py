"""`python -m gapura.cli`: the same as the command `gapura`."""

from gapura.cli.main import main

if __name__ == "__main__":
    main()
