"""Durations: of one process, and of several of which all but the last were killed."""

import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recap.runtime import timing as timing_module
from recap.runtime.scratch import discard
from recap.runtime.timing import ELAPSED, stage_timing

WORK_UNTIL_KILLED = """
import sys, time
from pathlib import Path
from recap.runtime import timing
timing.HEARTBEAT_S = 0.02
with timing.stage_timing(Path(sys.argv[1]) / "timing.json", "work") as clock:
    clock.keep_in(Path(sys.argv[1]))
    time.sleep(60)
"""


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def elapsed(scratch: Path) -> float:
    return float((scratch / ELAPSED).read_text()) if (scratch / ELAPSED).exists() else 0.0


def test_an_undisturbed_stage(tmp_path: Path) -> None:
    with stage_timing(tmp_path / "t.json", "explore") as timing:
        timing["items"] = 10
        time.sleep(0.05)
    found = read(tmp_path / "t.json")
    assert found["stage"] == "explore" and found["seconds"] == found["seconds_this_process"] >= 0.05
    assert 0 < found["items_per_second"] <= 200
    assert set(found["hardware"]) == {"machine", "processor", "cpus"}


@pytest.mark.slow
def test_a_timing_says_what_its_stage_ran_with(tmp_path: Path) -> None:
    work = "import torch; from recap.runtime.timing import stage_timing\nwith stage_timing('t.json', 'work'): pass"
    limits = {"OMP_NUM_THREADS": "1", "WORLD_SIZE": "2"}
    subprocess.run([sys.executable, "-c", work], cwd=tmp_path, env={**os.environ, **limits}, check=True)
    software = read(tmp_path / "t.json")["software"]
    assert software["threads"] == 1 and software["omp_num_threads"] == "1" and software["world_size"] == 2
    assert 1 <= software["visible_cpus"] <= (os.cpu_count() or 1)
    assert software["versions"]["python"] == platform.python_version()
    assert {"torch", "transformers", "peft", "py-data-juicer", "dvc"} <= set(software["versions"])


def test_the_seconds_of_killed_processes_are_counted(tmp_path: Path) -> None:
    spent = 0.0
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", WORK_UNTIL_KILLED, str(tmp_path)])
        deadline = time.monotonic() + 60
        while elapsed(tmp_path) < spent + 0.2:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        spent = elapsed(tmp_path)
    assert spent >= 0.4 and not (tmp_path / "timing.json").exists()

    with stage_timing(tmp_path / "timing.json", "work") as timing:
        timing.keep_in(tmp_path)
        time.sleep(0.1)
        timing |= {"items": 100, "kept": 90}
    found = read(tmp_path / "timing.json")
    assert 0.1 <= found["seconds_this_process"] < found["seconds"]
    assert found["seconds"] == pytest.approx(spent + found["seconds_this_process"], abs=0.011)
    # Of this process alone: what was kept took it no time.
    assert found["items_per_second"] == pytest.approx(10 / found["seconds_this_process"], rel=0.1)


def test_a_removed_scratch_folder_stays_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing_module, "HEARTBEAT_S", 0.001)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with stage_timing(tmp_path / "t.json", "work") as timing:
        timing.keep_in(scratch)
        time.sleep(0.02)
    discard(scratch)
    time.sleep(0.02)
    assert not scratch.exists()


def test_a_stage_that_fails_writes_no_timing_and_keeps_its_seconds(tmp_path: Path) -> None:
    def work() -> None:
        with stage_timing(tmp_path / "t.json", "work") as timing:
            timing.keep_in(tmp_path)
            raise KeyError("bug")

    with pytest.raises(KeyError):
        work()
    assert not (tmp_path / "t.json").exists()
    assert (tmp_path / ELAPSED).exists()


@pytest.mark.parametrize("content", ["", "1.5 seconds"])
def test_a_torn_file_of_seconds_counts_as_none(content: str, tmp_path: Path) -> None:
    (tmp_path / ELAPSED).write_text(content)
    with stage_timing(tmp_path / "t.json", "work") as timing:
        timing.keep_in(tmp_path)
    assert read(tmp_path / "t.json")["seconds"] == read(tmp_path / "t.json")["seconds_this_process"]
