"""The tiny run's models, at sizes that every stage can also be run with."""

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recap.rehearsal.profile import Profile


@pytest.fixture
def tiny(root: Path) -> Profile:
    return read_tiny(root)


def read_tiny(root: Path) -> Profile:
    """The project's params.yaml in float32, without dropout: a CPU keeps other masks of it than a GPU does."""
    with contextlib.chdir(root):
        profile = Profile.read("params.yaml", torch.float32)
    lora = profile.params.lora.model_copy(update={"dropout": 0.0})
    return replace(profile, params=profile.params.model_copy(update={"lora": lora}))
