"""The merge holds one model and one probe's logits at a time, at a vocabulary where a list of logits would show."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_no_second_model_and_no_list_of_logits(root: Path, tmp_path: Path, dtype: str) -> None:
    command = [sys.executable, "-m", "tests.training.merge_peak", str(tmp_path), dtype]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["dtype"] == dtype
    assert found["adapter_effect_max"] > found["logit_difference_max"]
    # A model is as large as all probes' logits together: one of either too many would be seen. Over the model there are
    # slices of logits and a trained part's copies, seen was half of it; at full size that is far below 2 GB.
    assert 0.9 < found["model"] / found["logits_of_all"] < 1.1
    assert found["peak"] - found["model"] < 0.7 * found["model"]
