"""The tiny run's models, at sizes that every stage can also be run with."""

import contextlib
import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recap.rehearsal.profile import Profile


@pytest.fixture
def tiny(root: Path) -> Profile:
    return read_tiny(root)


@pytest.fixture
def shallow(root: Path) -> Profile:
    """The tiny run's models with two layers of a kind, one block a stage: a count takes as long as models are deep."""
    tiny = read_tiny(root)
    mgm, captioner = copy.deepcopy((tiny.mgm, tiny.captioner))
    for config in (mgm.text_config, mgm.vision_config, captioner.text_config):
        config.num_hidden_layers = 2
    mgm.vision_config_aux.depths = [1, 1, 1, 1]
    return replace(tiny, mgm=mgm, captioner=captioner)


def read_tiny(root: Path) -> Profile:
    """The project's params.yaml in float32, without dropout: a CPU keeps other masks of it than a GPU does."""
    with contextlib.chdir(root):
        profile = Profile.read("params.yaml", torch.float32)
    lora = profile.params.lora.model_copy(update={"dropout": 0.0})
    return replace(profile, params=profile.params.model_copy(update={"lora": lora}))
