import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import SPECIAL, WORDS, build_blip2, paint


def bench(root: Path, folder: Path, *arguments: Any) -> dict[str, Any]:
    command = [sys.executable, root / "bench" / "captioning.py", "--device", "cpu", "--output", folder / "result.json"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        list(map(str, [*command, *arguments])), cwd=folder, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    assert not [row["remark"] for row in result["rows"] if "remark" in row]
    assert all(row["images_per_second"] > 0 and row["cpu_ms"] > 0 for row in result["rows"])
    assert result["hardware"]["cpus"] and result["setting"]["versions"]["torch"]
    return result


@pytest.mark.slow
def test_every_system_runs_and_is_timed(root: Path, tmp_path: Path) -> None:
    model = build_blip2(tmp_path / "model", image_token_index=len(SPECIAL) + len(WORDS))
    for index in range(2):
        paint(tmp_path / "images" / f"{index}.png", index)
    arguments = ("--model", model, "--images", tmp_path / "images", "--count", 6, "--batch-sizes", 1, 2)
    rows = bench(root, tmp_path, *arguments, "--new-tokens", 6)["rows"]
    systems = ("recap", "transformers", "data-juicer")
    tasks = [("sampled", 1, 0), ("sampled", 1, 30), ("sampled", 4, 0), ("sampled", 4, 30), ("greedy", 1, 0)]
    assert [
        (row["system"], row["decoding"], row["candidates"], row["duplicates"], row["batch_size"]) for row in rows
    ] == [
        (system, *task, size)
        for task in tasks
        for system in systems
        for size in ((1, 2) if task[1:] == (1, 0) else (2,))
    ]
    ours = [row for row in rows if row["system"] == "recap"]
    assert all(row["times"] > 0 and 0 < row["products_percent"] < 100 and row["peak_percent"] >= 0 for row in ours)


@pytest.mark.slow
def test_a_random_model_writes_every_token(root: Path, tmp_path: Path) -> None:
    arguments = (
        "--random",
        "tiny",
        "--quick",
        "--dtypes",
        "float32",
        "--batch-sizes",
        1,
        4,
        "--systems",
        "recap",
        "transformers",
    )
    rows = bench(root, tmp_path, *arguments)["rows"]
    assert [(row["decoding"], row["candidates"], row["batch_size"], row["images"]) for row in rows[::2]] == [
        ("greedy", 1, 1, 8), ("greedy", 1, 4, 8), ("sampled", 4, 4, 8),
    ]  # fmt: skip
