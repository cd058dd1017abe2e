"""The whole stage, as DVC runs it: photographs, a broken one, kill -9, equal bytes."""

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from recap.captioning.blip2 import Decoding
from recap.data.corpus.records import Record
from recap.io import read_jsonl, write_jsonl
from recap.runtime.errors import UserError

from .conftest import paint

OUTPUTS = ("captions.jsonl", "captions_failed.jsonl", "caption.json", "details.json")


def write_params(root: Path, folder: Path, *, batch_size: int = 8, **caption: Any) -> None:
    params = YAML(typ="safe").load(root / "params.yaml")
    params["device"] |= {"device": "cpu", "dtype": "float32"}
    params["machine"] |= {"caption_batch_size": batch_size}
    params["caption"] |= caption
    YAML(typ="safe").dump(params, folder / "params.yaml")


def command(root: Path, corpus: Path, images: Path, model: Path) -> list[str]:
    outputs = dict(zip(("--captions", "--failed", "--metrics", "--details"), OUTPUTS, strict=True))
    flags = {"--corpus": corpus, "--images": images, "--model": model, "--timing": "timing.json", **outputs}
    return [
        sys.executable,
        str(root / "stages" / "caption.py"),
        *(str(part) for flag in flags.items() for part in flag),
    ]


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )


def has_text(folder: Path, name: str) -> bool:
    return any(path.stat().st_size for path in folder.glob(f".scratch/caption/*/{name}"))


def has_time(folder: Path) -> bool:
    """Whether the clock of the unfinished work has been written since the stage began."""
    return any(float(path.read_text()) > 0 for path in folder.glob(".scratch/caption/*/elapsed"))


def kill_after_first_batch(command: list[str], folder: Path) -> None:
    process = subprocess.Popen(
        command, cwd=folder, stderr=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    deadline = time.monotonic() + 120
    while not (has_text(folder, "captions.jsonl") and has_time(folder)):
        assert process.poll() is None, "the stage ended before it journaled anything"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_kill_9_loses_nothing_and_changes_nothing(root: Path, tmp_path: Path, blip2_folder: Path) -> None:
    images = [f"images/{index:03d}.bmp" for index in range(150)]
    for index, image in enumerate(images):
        paint(tmp_path / image, index)
    (tmp_path / images[40]).write_bytes(b"BM")
    corpus = tmp_path / "train.jsonl"
    write_jsonl(corpus, [Record(str(i), image, "raw").to_row() for i, image in enumerate(images)])
    results = {}
    for name in ("undisturbed", "killed"):
        folder = tmp_path / name
        folder.mkdir()
        write_params(root, folder, batch_size=2, max_new_tokens=24, do_sample=True, max_failed=10.0)
        stage = command(root, corpus, tmp_path, blip2_folder)
        if name == "killed":
            kill_after_first_batch(stage, folder)
            assert not (folder / "captions.jsonl").exists()
        finished = run(stage, folder)
        assert finished.returncode == 0, finished.stderr
        results[name] = [(folder / output).read_bytes() for output in OUTPUTS]
        assert not list(folder.glob(".scratch/caption/*"))
    assert results["killed"] == results["undisturbed"]
    timing = json.loads((tmp_path / "killed" / "timing.json").read_text())
    assert timing["items"] == 150 and 2 <= timing["kept"] < 150
    assert timing["seconds"] > timing["seconds_this_process"] > 0
    reasons = {row["where"]: row["reason"] for row in read_jsonl(tmp_path / "killed" / "captions_failed.jsonl")}
    assert reasons.pop(images[40]) == "broken_image"
    assert set(reasons.values()) <= {"empty_caption"}  # a random model may draw special tokens alone


def run_here(root: Path, corpus: Path, images: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the stage in this process, which has loaded PyTorch already, in the current folder."""
    monkeypatch.setattr(sys, "argv", command(root, corpus, images, model)[1:])
    runpy.run_path(str(root / "stages" / "caption.py"))["main"]()


def test_real_photographs(
    root: Path, shared: Path, tmp_path: Path, blip2_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_params(root, tmp_path)
    monkeypatch.chdir(tmp_path)
    corpus = shared / "photos" / "train.jsonl"
    run_here(root, corpus, shared / "photos", blip2_folder, monkeypatch)
    expected = list(dict.fromkeys(row["images"][0] for row in read_jsonl(corpus)))
    assert [row["image"] for row in read_jsonl("captions.jsonl")] == expected
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
    with pytest.raises(UserError, match=r"at most 5 percent of 2 images may fail, 1 \(50\.0 percent\) have already"):
        run_here(root, tmp_path / "train.jsonl", tmp_path, blip2_folder, monkeypatch)
    assert not any(Path(output).exists() for output in OUTPUTS)


def test_the_parameters_of_decoding_are_those_of_the_library(root: Path) -> None:
    caption = YAML(typ="safe").load(root / "params.yaml")["caption"]
    assert set(caption) - {"seed", "max_failed"} == set(Decoding.__dataclass_fields__)
