"""The compiled byte path (tools/compile) does what its source says: the tests of the protocol and of balancing run on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.full
@pytest.mark.timeout(1200)
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_the_tests_of_the_byte_path_pass_when_it_is_compiled() -> None:
    made = subprocess.run([ROOT / "tools" / "compile"], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".compiled")}
    loaded = "import gapura.wire.request, gapura.edge.forward; print(gapura.wire.request.__file__, gapura.edge.forward.__file__)"
    where = subprocess.run([sys.executable, "-P", "-c", loaded], env=environment, capture_output=True, text=True, check=True)
    assert all(path.endswith(".so") and ".compiled" in path for path in where.stdout.split())
    subjects = ["tests/wire", "tests/balance", "tests/edge/test_forward.py", "tests/edge/test_files.py"]
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", *subjects]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:]
