"""A random MGM small enough for every test, and batches for it."""

from typing import Any

import torch
from torch import nn

from recap.models.mgm.configuration_mgm import MGMConfig
from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration

IMAGE, TOKENS = 99, 25  # 5 x 5 patches


def tiny(seed: int = 0, **changes: Any) -> MGMForConditionalGeneration:
    """A random model with an odd 5x5 patch grid and heads * head_dim != hidden size."""
    torch.manual_seed(seed)
    sizes: dict[str, Any] = {
        "text_config": {
            "vocab_size": 100,
            "hidden_size": 40,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 12,
        },
        "vision_config": {
            "hidden_size": 24,
            "intermediate_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 3,
            "image_size": 70,
            "patch_size": 14,
        },
        "vision_config_aux": {"hidden_sizes": [4, 6, 8, 10], "depths": [1, 1, 2, 1]},
        "image_size_aux": 96,
        "image_token_id": IMAGE,
    }
    model = MGMForConditionalGeneration(MGMConfig(**(sizes | changes)))
    with torch.no_grad():  # trained scales, or ConvNeXt's blocks would all but vanish
        for layer in model.model.vision_tower_aux.encoder.stages:
            for block in layer.layers:
                block.layer_scale_parameter.uniform_(0.5, 1.5)
    return model.eval()


def batch(counts: list[int], *, images: int | None = None, text: int = 4, seed: int = 0) -> dict[str, torch.Tensor]:
    """Rows of random text, each with so many images in front, padded on the right."""
    torch.manual_seed(seed)
    rows = [torch.cat([torch.full((n * TOKENS,), IMAGE), torch.randint(4, 90, (text,))]) for n in counts]
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=0)
    mask = nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    images = sum(counts) if images is None else images
    labels = torch.where((mask == 0) | (ids == IMAGE), -100, ids)
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "labels": labels,
        "pixel_values": torch.randn(images, 3, 70, 70),
        "pixel_values_aux": torch.randn(images, 3, 96, 96),
    }
