"""The whole stage, as DVC runs it: photographs, a broken one, kill -9, two processes, equal bytes."""

import json
import os
import runpy
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from recap.data.corpus.records import Record
from recap.io import read_jsonl, write_jsonl
from recap.runtime.errors import UserError
from recap.runtime.store import Store
from recap.runtime.upkeep import structure_problems

from .conftest import paint

OUTPUTS = ("candidates.jsonl", "captions_failed.jsonl", "caption.json", "details.json")
STORE = Path(".scratch/recap-store/store.sqlite")


def write_params(root: Path, folder: Path, machine: dict[str, Any] | None = None, **caption: Any) -> None:
    params = YAML(typ="safe").load(root / "params.yaml")
    params["device"] |= {"device": "cpu", "dtype": "float32"}
    params["machine"] |= {"caption_batch_size": 8, **(machine or {})}
    # Random models write until the token limit ends them, which is junk.
    params["caption"] |= {"max_failed": 100.0, **caption}
    YAML(typ="safe").dump(params, folder / "params.yaml")


def command(root: Path, corpus: Path, images: Path, model: Path) -> list[str]:
    outputs = dict(zip(("--candidates", "--failed", "--metrics", "--details"), OUTPUTS, strict=True))
    flags = {"--corpus": corpus, "--images": images, "--model": model, "--timing": "timing.json", **outputs}
    return [
        sys.executable,
        "-m",
        "recap.launch",
        str(root / "stages" / "caption.py"),
        *(str(part) for flag in flags.items() for part in flag),
    ]


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )


def kept_in(folder: Path) -> int:
    """Captions in the folder's store, as another process sees them."""
    if not (folder / STORE).exists():
        return 0
    connection = sqlite3.connect(folder / STORE, timeout=10)
    try:
        return int(connection.execute("SELECT count(*) FROM results").fetchone()[0])
    except sqlite3.OperationalError:  # no table yet
        return 0
    finally:
        connection.close()


def has_time(folder: Path) -> bool:
    """Whether the clock of the unfinished work has been written since the stage began."""
    return any(float(path.read_text() or 0) > 0 for path in folder.glob(".scratch/caption/*/elapsed"))


def started(command: list[str], folder: Path) -> subprocess.Popen[str]:
    """The stage, once it has kept its first batches."""
    process = subprocess.Popen(
        command, cwd=folder, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    deadline = time.monotonic() + 120
    while not (kept_in(folder) and has_time(folder)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return process


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150 images, one of them broken and two of them equal."""
    folder = tmp_path_factory.mktemp("corpus")
    images = [f"images/{index:03d}.bmp" for index in range(150)]
    for index, image in enumerate(images):
        paint(folder / image, index)
    (folder / images[40]).write_bytes(b"BM")
    (folder / images[50]).write_bytes((folder / images[51]).read_bytes())
    write_jsonl(folder / "train.jsonl", [Record(str(i), image, "raw").to_row() for i, image in enumerate(images)])
    return folder


def results(folder: Path) -> list[bytes]:
    return [(folder / output).read_bytes() for output in OUTPUTS]


DECODING = {"max_new_tokens": 24, "do_sample": True, "candidates": 2}


@pytest.fixture(scope="module")
def undisturbed(root: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory, blip2_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    write_params(root, folder, {"caption_batch_size": 2, "caption_threads": 1}, **DECODING)
    finished = run(command(root, corpus / "train.jsonl", corpus, blip2_folder), folder)
    assert finished.returncode == 0, finished.stderr
    assert not list(folder.glob(".scratch/caption/*"))
    return folder


@pytest.mark.slow
def test_kill_9_loses_a_batch_and_changes_nothing(
    root: Path, corpus: Path, undisturbed: Path, tmp_path: Path, blip2_folder: Path
) -> None:
    write_params(root, tmp_path, {"caption_batch_size": 2}, **DECODING)
    stage = command(root, corpus / "train.jsonl", corpus, blip2_folder)
    process = started(stage, tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not any((tmp_path / output).exists() for output in OUTPUTS)
    kept = kept_in(tmp_path)
    # What goes on has another batch size and other threads.
    write_params(root, tmp_path, {"caption_batch_size": 7, "caption_threads": 3}, **DECODING)
    finished = run(stage, tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert results(tmp_path) == results(undisturbed)
    timing = json.loads((tmp_path / "timing.json").read_text())
    assert timing["items"] == 149 and 2 <= timing["kept"] == kept < 148
    assert timing["seconds"] > timing["seconds_this_process"] > 0
    reasons = {row["where"]: row["reason"] for row in read_jsonl(tmp_path / "captions_failed.jsonl")}
    assert reasons.pop("images/040.bmp") == "broken_image"
    assert all(reason.startswith("junk_") for reason in reasons.values())
    assert not list(tmp_path.glob(".scratch/caption/*"))


@pytest.mark.slow
def test_two_processes_write_the_file_of_one_and_a_killed_rank_costs_a_batch(
    root: Path, corpus: Path, undisturbed: Path, tmp_path: Path, blip2_folder: Path
) -> None:
    machine = {"caption_batch_size": 3, "launcher": "torchrun", "processes": 2}
    write_params(root, tmp_path, machine, **DECODING)
    stage = command(root, corpus / "train.jsonl", corpus, blip2_folder)
    launcher = started(stage, tmp_path)
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    ranks = [pid for pid in children if "caption.py" in Path(f"/proc/{pid}/cmdline").read_text()]
    assert len(ranks) == 2
    os.kill(int(ranks[-1]), signal.SIGKILL)
    _, said = launcher.communicate(timeout=60)
    assert launcher.returncode == 128 + signal.SIGKILL
    assert [line for line in said.splitlines() if "error" in line.lower()] == [
        "error: process 1 of 2 was ended by signal 9 (Killed); the same command goes on from what is kept"
    ]
    assert "Traceback" not in said
    kept = kept_in(tmp_path)
    finished = run(stage, tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert results(tmp_path) == results(undisturbed)
    assert json.loads((tmp_path / "timing.json").read_text())["kept"] == kept < 148
    assert finished.stderr.count("caption:") >= 1 and "different ones" in finished.stderr


@pytest.mark.slow
def test_two_worktrees_caption_into_one_store_at_once(
    root: Path, corpus: Path, undisturbed: Path, tmp_path: Path, blip2_folder: Path
) -> None:
    """Both end as one alone, and keep each caption once: the store is beside the cache that both name."""
    first, second = tmp_path / "first", tmp_path / "second"
    signed = ("-c", "user.name=Recap", "-c", "user.email=recap@example.invalid")
    dvc = (sys.executable, "-m", "dvc")
    first.mkdir()
    for words, folder in (
        (("git", "init", "-q"), first),
        ((*dvc, "init", "-q"), first),
        (("git", *signed, "commit", "-qm", "start"), first),
        (("git", "worktree", "add", "-q", str(second)), first),
        ((*dvc, "cache", "dir", "--local", str(tmp_path / "cache")), first),
        ((*dvc, "cache", "dir", "--local", str(tmp_path / "cache")), second),
    ):
        subprocess.run(words, cwd=folder, check=True, capture_output=True)
    stage = command(root, corpus / "train.jsonl", corpus, blip2_folder)
    for folder in (first, second):
        write_params(root, folder, {"caption_batch_size": 3, "caption_threads": 1}, **DECODING)
    running = [
        subprocess.Popen(
            stage, cwd=folder, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        for folder in (first, second)
    ]
    for folder, process in zip((first, second), running, strict=True):
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
        assert results(folder) == results(undisturbed)
        assert not list(folder.glob(".scratch/*/*"))
    with Store(tmp_path / "recap-store" / "store.sqlite", new=False) as store:
        assert store.execute("SELECT count(*), count(DISTINCT item) FROM results") == [(148, 148)]
        assert structure_problems(store) == []


def run_here(root: Path, corpus: Path, images: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the stage in this process, which has loaded PyTorch already, in the current folder."""
    monkeypatch.setattr(sys, "argv", command(root, corpus, images, model)[3:])
    runpy.run_path(str(root / "stages" / "caption.py"))["main"]()


def test_real_photographs(root: Path, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_params(root, tmp_path, max_failed=5.0)
    monkeypatch.chdir(tmp_path)
    corpus = shared / "photos" / "train.jsonl"
    run_here(root, corpus, shared / "photos", root / "models" / "tiny" / "captioner", monkeypatch)
    expected = list(dict.fromkeys(row["images"][0] for row in read_jsonl(corpus)))
    assert [row["image"] for row in read_jsonl("candidates.jsonl")] == expected
    metrics = json.loads(Path("caption.json").read_text())["caption"]
    details = json.loads(Path("details.json").read_text())["caption"]
    assert details["num_images"] == details["num_captioned"] == len(expected) == 20
    assert metrics["num_failed"] == 0


def test_too_many_failures_leave_no_output(
    root: Path, tmp_path: Path, blip2_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_params(root, tmp_path, max_failed=5.0)
    monkeypatch.chdir(tmp_path)
    paint(tmp_path / "a.png", 1)
    write_jsonl("train.jsonl", [Record("a", "a.png", "raw").to_row(), Record("b", "b.png", "raw").to_row()])
    with pytest.raises(
        UserError, match=r"at most 5 percent of 2 images may fail, 1 \(50\.0 percent\) have already: missing_image 1"
    ):
        run_here(root, tmp_path / "train.jsonl", tmp_path, blip2_folder, monkeypatch)
    assert not any(Path(output).exists() for output in OUTPUTS)
