import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import SPECIAL, WORDS, build_blip2, paint


@pytest.mark.slow
def test_every_system_runs_and_is_timed(root: Path, tmp_path: Path) -> None:
    model = build_blip2(tmp_path / "model", image_token_index=len(SPECIAL) + len(WORDS))
    for index in range(2):
        paint(tmp_path / "images" / f"{index}.png", index)
    command = [
        *(sys.executable, root / "bench" / "captioning.py", "--model", model, "--images", tmp_path / "images"),
        *("--count", "3", "--batch-sizes", "1", "2", "--max-new-tokens", "6", "--device", "cpu"),
        *("--output", tmp_path / "result.json"),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(list(map(str, command)), cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    systems = [(row["system"], row["decoding"], row["batch_size"]) for row in result["rows"]]
    ours = [("recap", decoding, size) for decoding in ("greedy", "sampled", "beam 3") for size in (1, 2)]
    assert systems == [*ours, ("transformers loop", "greedy", 1), ("data-juicer mapper", "sampled", 8)]
    assert all(row["images_per_second"] > 0 for row in result["rows"])
    assert all(row["same_percent"] == 100 for row in result["rows"][:6])
    assert result["hardware"]["cpus"] and result["setting"]["versions"]["torch"]
