"""The prctl settings, and that they cost nothing until used."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from gapura.procs import prctl


def test_no_new_privileges_is_for_good() -> None:
    text = "from gapura.procs import prctl; prctl.no_new_privileges(); print(open('/proc/self/status').read())"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert "NoNewPrivs:\t1\n" in done.stdout


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs capabilities to drop")
def test_ambient_capabilities_are_dropped() -> None:
    text = "from gapura.procs import prctl; prctl.drop_ambient_capabilities(); print(open('/proc/self/status').read())"
    given = ["setpriv", "--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service"]
    for drops in (text, text.replace("prctl.drop_ambient_capabilities();", "")):
        done = subprocess.run([*given, sys.executable, "-c", drops], capture_output=True, text=True, check=True)
        assert ("CapAmb:\t0000000000000400\n" in done.stdout) == (drops != text)


def test_without_ambient_capabilities_nothing_is_loaded() -> None:
    text = "import sys; from gapura.procs import prctl; prctl.drop_ambient_capabilities(); print('ctypes' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_an_unknown_option_is_an_error() -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        prctl._set(123456)


def test_importing_it_does_not_load_ctypes() -> None:
    text = "import sys; import gapura.procs.tree, gapura.procs.launch; print('ctypes' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
