"""A machine that refuses: a full disk, files that may not grow, folders that may not be written, too little memory.

Each costs a line that says what was refused, and the next `dvc repro` on a better machine ends as the undisturbed run.
"""

import os
import random
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clones import Clone

from .conftest import SEED
from .project import Note, Run, Undisturbed, copy_of, finish, mend

pytestmark = [pytest.mark.slow, pytest.mark.faults_on_demand]

RIGHT = "the next `dvc repro` without it ends with all outputs as undisturbed"
FULL = "full disk (tmpfs)"


class Disk:
    """A tmpfs that holds so many MiB."""

    def __init__(self, folder: Path, size: int) -> None:
        folder.mkdir()
        self.folder = folder
        self.size = size
        self._mount()

    def grow(self, by: int) -> None:
        self.size += by
        self._mount("remount,")

    def _mount(self, how: str = "") -> None:
        command = ["mount", "-t", "tmpfs", "-o", f"{how}size={self.size}m", "tmpfs", str(self.folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"needs a small disk to fill: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk that has room for a clone and for one more MiB."""
    if shutil.which("mount") is None:
        pytest.skip("needs mount")
    probe = Clone(tmp_path / "probe")
    used = int(subprocess.check_output(["du", "-sm", str(probe.root.parent)], text=True).split()[0])
    disk = Disk(tmp_path / "disk", used + 1)
    yield disk
    subprocess.run(["umount", "-l", str(disk.folder)], check=True)


def test_a_disk_that_is_full_again_and_again(undisturbed: Undisturbed, small_disk: Disk, note: Note) -> None:
    """A whole run, cache and all, on a disk that gets a little more room whenever it is full."""
    draw = random.Random(SEED)
    clone = Clone(small_disk.folder / "work")
    full = []
    while (code := (run := Run(clone)).end()) != 0:
        print(f"{small_disk.size} MiB: exit code {code} in {run.under_way}: {run.errors}", flush=True)
        assert small_disk.size < 1000, run.said[-3000:]
        assert run.errors and "Traceback" not in run.said, run.said[-3000:]
        full.append(run.under_way)
        mend(clone, note, FULL)
        small_disk.grow(draw.randint(1, 9))
    finish(clone, undisturbed)
    for stage in full:
        note(FULL, stage, f"one line; {RIGHT}")


def test_files_that_may_not_grow(undisturbed: Undisturbed, tmp_path: Path, note: Note) -> None:
    """As on a disk that takes no large files."""
    stages = ["prepare", "finetune", "merge"]
    clone = copy_of(undisturbed.clone, tmp_path, without=stages)
    for stage in stages:
        run = limited(clone, stage, resource.RLIMIT_FSIZE, 40_000)
        assert run.errors and "Traceback" not in run.said, run.said[-3000:]
    finish(clone, undisturbed)
    for stage in stages:
        note("a limit on the size of files (40 kB)", stage, f"one line; {RIGHT}")


def limited(clone: Clone, stage: str, kind: int, limit: int) -> Run:
    """A run that failed in a stage under a limit."""
    run = Run(clone)
    run.reach(stage)
    resource.prlimit(run.stage_process(), kind, (limit, limit))
    code = run.end()
    print(f"{stage}, {limit}: {run.errors}", run.said[-1500:], flush=True)
    assert code != 0 and f"failed to reproduce '{stage}'" in run.said, run.said[-3000:]
    return run


@pytest.mark.parametrize(("folder", "stage"), [("data", "caption"), ("metrics", "process"), ("models", "merge")])
def test_a_folder_that_may_not_be_written(
    undisturbed: Undisturbed, tmp_path: Path, folder: str, stage: str, unprivileged: None, note: Note
) -> None:
    clone = copy_of(undisturbed.clone, tmp_path, without=[stage])
    (clone.root / folder).chmod(0o555)
    run = Run(clone)
    code = run.end()
    (clone.root / folder).chmod(0o755)
    print(run.errors, flush=True)
    assert code != 0 and run.errors and "Traceback" not in run.said, run.said[-3000:]
    finish(clone, undisturbed)
    note("a folder of outputs that is read-only", folder, f"one line; {RIGHT}")


def test_too_little_memory(undisturbed: Undisturbed, tmp_path: Path, note: Note) -> None:
    """Of addresses, which is what a limit can be set to; where it strikes is the libraries' affair."""
    limits = [("caption", 500), ("caption", 800), ("quality", 300), ("merge", 700)]
    clone = copy_of(undisturbed.clone, tmp_path, without={stage for stage, _ in limits})
    for stage, mebibytes in limits:
        limited(clone, stage, resource.RLIMIT_AS, mebibytes << 20)
    finish(clone, undisturbed)
    for stage, _ in limits:
        note("a memory limit (300 to 800 MiB of addresses)", stage, f"dvc names the stage; {RIGHT}")


def test_a_process_that_loads_data_dies(undisturbed: Undisturbed, tmp_path: Path, note: Note) -> None:
    """As the kernel picks one when memory runs out. A rank that dies: tests/training/test_stages.py."""
    stages = ["pretrain", "finetune"]
    clone = copy_of(undisturbed.clone, tmp_path, without=stages)
    for stage in stages:
        run = Run(clone)
        run.reach(stage)
        os.kill(run.worker_process(), signal.SIGKILL)
        code = run.end()
        print(run.errors, run.said[-1500:], flush=True)
        assert code != 0 and f"failed to reproduce '{stage}'" in run.said and "Traceback" not in run.said
    finish(clone, undisturbed)
    for stage in stages:
        note("SIGKILL to a process that loads data", stage, f"one line; {RIGHT}")
