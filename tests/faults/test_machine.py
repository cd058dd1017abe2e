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

from .conftest import SEED, Note
from .project import Run, Undisturbed, copy_of, finish

pytestmark = [pytest.mark.slow, pytest.mark.faults_on_demand]

RIGHT = "the next `dvc repro` without it ends with all outputs as undisturbed"


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
    while (code := (run := Run(clone)).end()) != 0:
        print(f"{small_disk.size} MiB: exit code {code} in {run.under_way}: {run.errors}", flush=True)
        assert small_disk.size < 1000, run.said[-3000:]
        assert run.errors and "Traceback" not in run.said, run.said[-3000:]
        note("full disk (tmpfs)", run.under_way, f"one line; {RIGHT}")
        small_disk.grow(draw.randint(1, 9))
    finish(clone, undisturbed)


@pytest.mark.parametrize("stage", ["prepare", "finetune", "merge"])
def test_files_that_may_not_grow(undisturbed: Undisturbed, tmp_path: Path, stage: str, note: Note) -> None:
    """As on a disk that takes no large files."""
    clone = copy_of(undisturbed.clone, tmp_path, without=[stage])
    run = Run(clone, limit=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)))
    assert run.end() != 0
    print(run.errors, flush=True)
    assert run.errors and "Traceback" not in run.said, run.said[-3000:]
    finish(clone, undisturbed)
    note("a limit on the size of files (40 kB)", stage, f"one line; {RIGHT}")


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
    limits = [("caption", 700), ("caption", 2000), ("quality", 900), ("merge", 2000)]
    clone = copy_of(undisturbed.clone, tmp_path, without={stage for stage, _ in limits})
    for stage, mebibytes in limits:
        run = Run(clone)
        run.reach(stage)
        resource.prlimit(run.stage_process(), resource.RLIMIT_AS, (mebibytes << 20, mebibytes << 20))
        code = run.end()
        print(f"{mebibytes} MiB: {run.errors}", run.said[-1500:], flush=True)
        assert code != 0 and f"failed to reproduce '{stage}'" in run.said
        note(f"a memory limit ({mebibytes} MiB of addresses)", stage, f"dvc names the stage; {RIGHT}")
    finish(clone, undisturbed)


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
        note("SIGKILL to a process that loads data", stage, f"one line; {RIGHT}")
    finish(clone, undisturbed)
