"""Tiny pretrained folders, and the reference sets: the whole one beside the project, a slice of it in assets."""

import shutil
from pathlib import Path

import pytest
import torch
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPVisionModel,
    ConvNextConfig,
    ConvNextModel,
    GemmaConfig,
    GemmaForCausalLM,
)

CLIP_SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
CONVNEXT_SIZES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1], "drop_path_rate": 0.1}


@pytest.fixture(scope="session")
def reference(shared: Path) -> Path:
    """Every case that the original MGM was run on."""
    return shared / "mgm" / "golden"


@pytest.fixture(scope="session")
def slice_of_reference(assets: Path) -> Path:
    """The weights, the batch with a loss, the text cases and one image of the reference set."""
    return assets / "mgm"


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory, assets: Path) -> Path:
    """Folders `gemma` (with tokenizer), `clip` (whole), `clip_vision`, `convnext`, all with random weights."""
    root = tmp_path_factory.mktemp("pretrained")
    torch.manual_seed(0)
    gemma = GemmaForCausalLM(
        GemmaConfig(
            vocab_size=320,
            hidden_size=48,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=1,
            head_dim=16,
        )
    )
    gemma.save_pretrained(root / "gemma")
    for file in (assets / "toy_tokenizer").iterdir():
        shutil.copyfile(file, root / "gemma" / file.name)
    text = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "vocab_size": 9,
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    clip = CLIPModel(CLIPConfig(vision_config=CLIP_SIZES, text_config=text, projection_dim=8))
    clip.save_pretrained(root / "clip")
    vision = CLIPVisionModel(clip.config.vision_config)
    vision.load_state_dict(clip.vision_model.state_dict())
    vision.save_pretrained(root / "clip_vision")
    ConvNextModel(ConvNextConfig(**CONVNEXT_SIZES)).save_pretrained(root / "convnext")
    return root
