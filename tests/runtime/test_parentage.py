"""A process ends with its parent, also where it becomes another program; a worker with the owner of its pool."""

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
ORPHAN = """
import signal, sys
from recap.runtime.parentage import end_with_caller
signal.signal(signal.SIGTERM, lambda *_: (open("told", "w").close(), sys.exit()))
end_with_caller()
open("went_on", "w").close()
"""
OWNER = """
import os, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from recap.runtime.parentage import end_with_owner
pool = ProcessPoolExecutor(1, get_context("forkserver"), initializer=end_with_owner)
print(pool.submit(os.getpid).result(), flush=True)
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


@pytest.mark.parametrize("inner", ["exec {}", "{}; true"], ids=["shell that makes way", "shell that stays"])
def test_a_caller_that_was_gone_already_ends_it_at_once(tmp_path: Path, inner: str) -> None:
    """A stage imports for half a second before it asks; its dvc may be killed meanwhile."""
    command = inner.format(f"'{sys.executable}' -c '{ORPHAN}'")
    # The outer shell is the caller, and gone at once.
    subprocess.run(["/bin/sh", "-c", f"(sleep 0.3; {command}) &"], cwd=tmp_path, check=True)
    appears(tmp_path / "told")
    assert not (tmp_path / "went_on").exists()


def test_the_workers_of_a_pool_end_with_its_owner() -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        worker = Path("/proc") / owner.stdout.readline().strip()
        assert (worker / "cmdline").read_bytes()
        owner.kill()
    deadline = time.monotonic() + 20
    while is_alive(worker):
        assert time.monotonic() < deadline, "the worker outlives its owner"
        time.sleep(0.01)


def is_alive(process: Path) -> bool:
    """Whether a process runs: one that has ended has no command any more, though it may wait to be told of."""
    try:
        return bool((process / "cmdline").read_bytes())
    except OSError:
        return False


def appears(file: Path) -> None:
    deadline = time.monotonic() + 20
    while not file.exists():
        assert time.monotonic() < deadline, f"{file.name} did not appear"
        time.sleep(0.01)
