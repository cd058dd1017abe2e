"""A process ends with its parent, also where it becomes another program."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs prctl")

CHILD = """
import os, signal, sys, time
from recap.runtime.parentage import end_with_parent
end_with_parent(int(sys.argv[1]), signal.SIGTERM)
os.execv(sys.executable, [sys.executable, "-c", '''
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (open("told", "w").close(), sys.exit()))
open("ready", "w").close()
time.sleep(20)
'''])
"""
PARENT = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())])
time.sleep(20)
"""


def test_a_signal_comes_when_the_parent_ends(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, CHILD], cwd=tmp_path)
    appears(tmp_path / "ready")
    assert not (tmp_path / "told").exists()
    parent.kill()
    parent.wait()
    appears(tmp_path / "told")


def test_a_parent_that_was_gone_already_ends_it_at_once(tmp_path: Path) -> None:
    """The parent may end between the start of its child and the child's word to the kernel."""
    child = subprocess.run([sys.executable, "-c", CHILD, str(os.getpid() + 1)], cwd=tmp_path, check=False)
    assert child.returncode == -signal.SIGTERM


def appears(file: Path) -> None:
    deadline = time.monotonic() + 20
    while not file.exists():
        assert time.monotonic() < deadline, f"{file.name} did not appear"
        time.sleep(0.01)
