"""Pretrained models as others publish them, and pictures."""

from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import ConvNextModel


def timm_name(name: str) -> str:
    """The inverse of `weight_names.convnext_name`, written apart from it."""
    if name.startswith("embeddings"):
        return name.replace("embeddings.patch_embeddings", "stem.0").replace("embeddings.layernorm", "stem.1")
    _, _, stage, kind, rest = name.split(".", 4)
    if kind == "downsampling_layer":
        return f"stages.{stage}.downsample.{rest}"
    parts = {"dwconv": "conv_dw", "layernorm": "norm", "pwconv1": "mlp.fc1", "pwconv2": "mlp.fc2"}
    block, layer = rest.split(".", 1)
    if layer == "layer_scale_parameter":
        return f"stages.{stage}.blocks.{block}.gamma"
    part, tensor = layer.split(".")
    return f"stages.{stage}.blocks.{block}.{parts[part]}.{tensor}"


def write_openclip(folder: Path, tower: ConvNextModel, *, file: str = "open_clip_pytorch_model.bin") -> None:
    """A ConvNeXt as OpenCLIP publishes it: timm's names, a head, a text tower."""
    folder.mkdir(parents=True)
    tensors = {
        f"visual.trunk.{timm_name(name)}": tensor.clone()
        for name, tensor in tower.state_dict().items()
        if not name.startswith("layernorm")
    }
    tensors |= {
        "visual.trunk.head.norm.weight": torch.ones(32),
        "visual.head.mlp.fc1.weight": torch.ones(4, 32),
        "text.token_embedding.weight": torch.ones(3, 3),
        "logit_scale": torch.ones(1),
    }
    if file.endswith(".bin"):
        torch.save(tensors, folder / file)
    else:
        save_file(tensors, folder / file)
    mean, std = "[0.48145466, 0.4578275, 0.40821073]", "[0.26862954, 0.26130258, 0.27577711]"
    (folder / "open_clip_config.json").write_text(
        '{"model_cfg": {"embed_dim": 8, "vision_cfg": {"timm_model_name": "convnext_large", "timm_drop_path": 0.1}},'
        f'"preprocess_cfg": {{"mean": {mean}, "std": {std}}}}}'
    )


def picture(width: int = 50, height: int = 40, seed: int = 0) -> Image.Image:
    """An image of coloured noise."""
    pixels = torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return Image.fromarray(pixels.numpy())
