"""The two prctl settings, and that they cost nothing until used."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gapura.procs import prctl


def test_no_new_privileges_is_for_good() -> None:
    text = "from gapura.procs import prctl; prctl.no_new_privileges(); print(open('/proc/self/status').read())"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert "NoNewPrivs:\t1\n" in done.stdout


def test_an_unknown_option_is_an_error() -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        prctl._set(123456)


def test_importing_it_does_not_load_ctypes() -> None:
    text = "import sys; import gapura.procs.tree, gapura.procs.launch; print('ctypes' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
