"""The answer stage as a process: all benchmarks, killed and run again, byte for byte."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recap.data.benchmarks.registry import BENCHMARKS
from recap.evaluation.scoring.registry import scorer_of
from recap.io import read_jsonl

pytestmark = pytest.mark.slow


@pytest.fixture
def work(root: Path, tmp_path: Path) -> Path:
    """A folder to run in: the code, and parameters with small batches."""
    (tmp_path / "src").symlink_to(root / "src")
    text = (root / "params.yaml").read_text()
    text = re.sub(r"(answer_batch_size:) \d+", r"\1 2", text)
    (tmp_path / "params.yaml").write_text(text)
    return tmp_path


def command(root: Path, folder: Path, model: Path, out: str, benchmark: str | None = None) -> list[str]:
    return [
        sys.executable, str(root / "stages" / "answer.py"), "--benchmark", benchmark or folder.name,
        "--questions", str(folder), "--model", str(model), "--answers", f"{out}/answers.jsonl",
        "--blank-answers", f"{out}/blank.jsonl", "--timing", f"{out}/timing.json",
    ]  # fmt: skip


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize("name", list(BENCHMARKS))
def test_every_benchmark(root: Path, work: Path, folders: dict[str, Path], tiny_mgm: Path, name: str) -> None:
    folder = folders[BENCHMARKS[name].folder]
    result = subprocess.run(
        command(root, folder, tiny_mgm, "out", name), cwd=work, env=environment(), capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    questions = BENCHMARKS[name].load(folder)
    for file in ("answers.jsonl", "blank.jsonl"):
        metrics, _ = scorer_of(BENCHMARKS[name]).score(questions, read_jsonl(work / "out" / file))
        assert metrics["num_scored"] == len(questions)
    assert not list((work / ".scratch").rglob("*.jsonl"))


def test_killed_and_run_again_gives_the_same_bytes(
    root: Path, work: Path, mmbench_folder: Path, tiny_mgm: Path
) -> None:
    subprocess.run(command(root, mmbench_folder, tiny_mgm, "whole"), cwd=work, env=environment(), check=True)
    again = command(root, mmbench_folder, tiny_mgm, "again")
    process = subprocess.Popen(again, cwd=work, env=environment())
    while not (kept := [path for path in (work / ".scratch").rglob("*.jsonl") if path.stat().st_size]):
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert kept and not (work / "again" / "answers.jsonl").exists()
    subprocess.run(again, cwd=work, env=environment(), check=True)
    for file in ("answers.jsonl", "blank.jsonl"):
        assert (work / "again" / file).read_bytes() == (work / "whole" / file).read_bytes()


def test_a_missing_model_is_one_line_that_names_the_command(root: Path, work: Path, gqa_folder: Path) -> None:
    result = subprocess.run(
        command(root, gqa_folder, work / "nowhere", "out"), cwd=work, env=environment(), capture_output=True, text=True
    )
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "nowhere" in result.stderr and "make models" in result.stderr
