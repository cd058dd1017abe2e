"""Reading pretrained weights from a folder, in whichever of the published layouts they come.

In: a folder with safetensors or PyTorch files, one or sharded, transformers' or OpenCLIP's names. Out: a flat
dict of tensors on the CPU. Pickles are read with `weights_only`, so a checkpoint cannot run code.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import CLIPVisionConfig, ConvNextConfig

from recap.io import read_object
from recap.models.mgm.modeling_mgm import MGMConvNextModel
from recap.models.mgm.weight_names import convnext_name
from recap.models.presence import LAYOUTS, stored_files
from recap.runtime.errors import UserError, one_line

_OPENCLIP_TRUNK = "visual.trunk."


def weight_files(folder: Path) -> list[Path]:
    """The files that a folder's tensors are in; safetensors are preferred where both kinds lie there.

    Raises:
        UserError: No weights.
    """
    if files := stored_files(folder):
        return files
    names = ", ".join(name for index, singles in LAYOUTS for name in (*singles, index))
    raise UserError(f"{folder}: expected weights ({names}), found none of these")


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a folder.

    Raises:
        UserError: No weights, a shard that the index names is missing, or a file is damaged.
    """
    return {name: tensor for file in weight_files(folder) for name, tensor in read_tensors(file).items()}


def stream_weights(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of a folder one after the other; of safetensors no more than one is in memory.

    Raises:
        UserError: See `read_weights`.
    """
    for file in weight_files(folder):
        if file.suffix != ".safetensors":
            yield from read_tensors(file).items()
            continue
        with _reading(file), safe_open(file, framework="pt") as stored:
            names = list(stored.keys())
        for name in names:
            # Opened anew, because the pages of a mapped file stay in memory until it is closed.
            with _reading(file), safe_open(file, framework="pt") as stored:
                tensor = stored.get_tensor(name)
            yield name, tensor


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of one file.

    Raises:
        UserError: It is missing, damaged, or holds more than tensors.
    """
    with _reading(path):
        if path.suffix == ".safetensors":
            return load_file(path)
        stored = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(stored, dict):
        raise UserError(f"{path}: expected tensors by name, found {type(stored).__name__}; fetch the checkpoint again")
    for name, tensor in stored.items():
        if not (isinstance(name, str) and isinstance(tensor, torch.Tensor)):
            raise UserError(
                f"{path}: expected tensors by name, found {type(tensor).__name__} as {name!r}; "
                "fetch the checkpoint again"
            )
    return stored


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    if not path.is_file():
        raise UserError(f"{path}: expected a file of weights, found nothing; fetch the checkpoint again")
    try:
        yield
    except Exception as error:  # what damage makes an unpickler raise is of any kind
        reason = one_line(error, 300)
        raise UserError(f"{path}: expected a file of tensors and nothing else: {reason}") from None


def clip_config_of(weights: Mapping[str, torch.Tensor]) -> CLIPVisionConfig:
    """CLIP's configuration read off its tensors (transformers' names), where no config.json tells it.

    Only the number of heads leaves no trace; every CLIP that OpenAI published has 64 channels a head.

    Raises:
        UserError: The width is no multiple of 64.
    """
    hidden = weights["embeddings.class_embedding"].shape[0]
    if hidden % 64:
        raise UserError(f"a CLIP of width {hidden} does not show its number of heads; put its config.json beside it")
    patch = weights["embeddings.patch_embedding.weight"].shape[-1]
    positions = weights["embeddings.position_embedding.weight"].shape[0] - 1
    return CLIPVisionConfig(
        hidden_size=hidden,
        intermediate_size=weights["encoder.layers.0.mlp.fc1.weight"].shape[0],
        num_hidden_layers=_count(weights, "encoder.layers."),
        num_attention_heads=hidden // 64,
        patch_size=patch,
        image_size=round(positions**0.5) * patch,
    )


def convnext_config_of(weights: Mapping[str, torch.Tensor], *, drop_path_rate: float = 0.0) -> ConvNextConfig:
    """ConvNeXt's configuration read off its tensors (transformers' names), which show all of it but drop-path."""
    stages = range(_count(weights, "encoder.stages."))
    return ConvNextConfig(
        num_stages=len(stages),
        patch_size=weights["embeddings.patch_embeddings.weight"].shape[-1],
        hidden_sizes=[weights[f"encoder.stages.{stage}.layers.0.dwconv.bias"].shape[0] for stage in stages],
        depths=[_count(weights, f"encoder.stages.{stage}.layers.") for stage in stages],
        drop_path_rate=drop_path_rate,
    )


def _count(weights: Mapping[str, torch.Tensor], prefix: str) -> int:
    return len({name.removeprefix(prefix).split(".")[0] for name in weights if name.startswith(prefix)})


def is_openclip(folder: Path) -> bool:
    """Whether a folder holds an OpenCLIP model rather than one of transformers'."""
    return any(folder.glob("open_clip_*"))


def openclip_config(folder: Path) -> dict[str, Any]:
    """What an OpenCLIP folder says of its model and its preprocessing; nothing if it says nothing."""
    path = folder / "open_clip_config.json"
    return read_object(path) if path.is_file() else {}


def openclip_convnext(folder: Path, dtype: torch.dtype) -> MGMConvNextModel:
    """The stem and stages of an OpenCLIP ConvNeXt; its head, projection and text tower stay behind.

    Raises:
        UserError: The folder's image tower is not a ConvNeXt, or tensors are missing.
    """
    weights = {
        convnext_name(name.removeprefix(_OPENCLIP_TRUNK)): tensor
        for name, tensor in read_weights(folder).items()
        if name.startswith((f"{_OPENCLIP_TRUNK}stem.", f"{_OPENCLIP_TRUNK}stages."))
    }
    if "embeddings.patch_embeddings.weight" not in weights:
        raise UserError(f"{folder}: expected an OpenCLIP ConvNeXt (tensors {_OPENCLIP_TRUNK}stem.*), found none")
    vision = openclip_config(folder).get("model_cfg", {}).get("vision_cfg", {})
    config = convnext_config_of(weights, drop_path_rate=vision.get("timm_drop_path", 0.0))
    # No random initialisation, so the draws that follow do not depend on the format a tower came in.
    with torch.device("meta"):
        model = MGMConvNextModel(config)
    cast = {name: tensor.to(dtype) for name, tensor in weights.items()}
    result = model.load_state_dict(cast, strict=False, assign=True)
    if result.missing_keys or result.unexpected_keys:
        raise UserError(f"{folder}: missing {result.missing_keys}, unexpected {result.unexpected_keys}")
    return model
