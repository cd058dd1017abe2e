from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch

from recap.captioning.blip2 import Decoding
from recap.captioning.resume import resume_key
from recap.runtime import scratch


def key(model: Path, decoding: Decoding, seed: int = 1, dtype: torch.dtype = torch.float32) -> str:
    return resume_key(model, decoding, seed=seed, device=torch.device("cpu"), dtype=dtype)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return tmp_path


def test_the_key_covers_what_shapes_a_caption(model: Path) -> None:
    greedy, sampled = Decoding(), Decoding(do_sample=True)
    keys = [
        key(model, greedy),
        key(model, replace(greedy, prompt="a photo of")),
        key(model, greedy, dtype=torch.bfloat16),
        key(model, sampled),
        key(model, sampled, seed=2),
    ]
    (model / "model.safetensors").write_bytes(b"Weights")
    keys.append(key(model, greedy))
    assert len(set(keys)) == len(keys)


def test_greedy_captions_know_no_seed(model: Path) -> None:
    assert key(model, Decoding(), seed=1) == key(model, Decoding(), seed=2)


def test_large_weights_are_sampled_and_retraining_still_shows(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = numpy.random.default_rng(0).standard_normal(2**17).astype("float32")  # 512 KiB
    (model / "model.safetensors").write_bytes(weights.tobytes())
    whole = key(model, Decoding())
    monkeypatch.setattr(scratch, "SAMPLED_ABOVE", 2**18)
    monkeypatch.setattr(scratch, "SAMPLED_BLOCKS", 3)
    sampled = key(model, Decoding())
    assert sampled == key(model, Decoding()) != whole
    (model / "model.safetensors").write_bytes((weights * 1.001).tobytes())
    assert key(model, Decoding()) != sampled
    (model / "model.safetensors").write_bytes(weights[:-1].tobytes())
    assert key(model, Decoding()) != sampled
