"""What the original's own loaders would make of a folder in its layout.

Facts about dvlab-research/MGM@769820c: `load_pretrained_model` in mgm/model/builder.py, the vision towers in
mgm/model/multimodal_encoder, `initialize_uni_modules` in mgm/model/mgm_arch.py. None of this stops this project.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from recap.io import read_json
from recap.models.mgm.weight_names import AUX

_CLIP = "model.vision_tower."
_READ_WITH = ("vlm_uni", "vision_fpn", "vision_stages")  # what a shard must hold to be opened for the towers


@dataclass(frozen=True)
class Published:
    """A folder in the original's layout, as its loaders see it.

    Attributes:
        folder: Where it lies.
        config: config.json.
        places: Tensor -> file, by the index; None where there is no index.
        tensors: By name; the numbers are not needed.
        vocabulary: Tokens of the tokenizer, None where there is none.
        image_tokens: Visual tokens of one image, None where the configuration does not tell.
    """

    folder: Path
    config: Mapping[str, Any]
    places: Mapping[str, str] | None
    tensors: Mapping[str, torch.Tensor]
    vocabulary: int | None
    image_tokens: int | None


def published_quirks(found: Published) -> list[str]:
    """All that the original would stumble over, or silently do otherwise than the folder says."""
    checks = (
        _index,
        _clip_in_shards,
        _aux_tower,
        _vocabulary,
        _folder_name,
        _towers,
        _length,
        _half_towers,
    )
    return [text for check in checks if (text := check(found))]


def adapter_quirks(folder: Path) -> list[str]:
    """The same of a LoRA folder."""
    quirks = [
        "cannot load a LoRA folder: it has no code for adapters, and looks for mm_projector.bin, which is not written "
        "with one; its merge_lora_weights.py fails for that reason too"
    ]
    config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    if not any(name.startswith("mm_") for name in config):
        quirks.append("finds no mm_* fields in a config.json beside the adapter, nor in that of a bare Gemma")
    return quirks


def _index(found: Published) -> str | None:
    if found.places is None:
        return "cannot load a model without model.safetensors.index.json, though it is one file"
    return None


def _clip_in_shards(found: Published) -> str | None:
    """Towers are looked for only in shards that hold a tensor of the mining."""
    if found.places is None:
        return None
    opened = {file for name, file in found.places.items() if any(part in name for part in _READ_WITH)}
    files = {file for name, file in found.places.items() if name.startswith(_CLIP)}
    if not files or files <= opened:
        return None
    if files & opened:
        return (
            f"cannot load CLIP: it lies in {', '.join(sorted(files))} and only {', '.join(sorted(opened))} is read, "
            f"where a vlm_uni tensor is; publish it with larger shards"
        )
    return (
        f"silently takes another CLIP, {found.config.get('mm_vision_tower')}: this one lies in "
        f"{', '.join(sorted(files))}, which holds no vlm_uni tensor and is not read"
    )


def _aux_tower(found: Published) -> str | None:
    if not any(name.startswith(AUX) for name in found.tensors) or found.config.get("optimize_vision_tower_aux"):
        return None
    return f"ignores this ConvNeXt for the OpenCLIP file of {found.config.get('mm_vision_tower_aux')}"


def _vocabulary(found: Published) -> str | None:
    rows = found.config.get("vocab_size")
    if found.vocabulary in (None, rows):
        return None
    return f"resizes the {rows} embeddings to the {found.vocabulary} tokens of the tokenizer"


def _folder_name(found: Published) -> str | None:
    name = found.folder.resolve().name.lower()
    missing = [part for part in ("mgm", "2b") if part not in name]
    if "8x7b" not in name and not missing:
        return None
    return (
        f"picks the class by the folder's name and takes {found.folder.resolve().name!r} for another model; "
        f"call it MGM-2B"
    )


def _towers(found: Published) -> str | None:
    """The towers' classes are picked by what stands in their paths, and the paths have to be there."""
    problems = []
    for field, marks in (("mm_vision_tower", ("openai", "sharegpt4v")), ("mm_vision_tower_aux", ("openclip",))):
        path = str(found.config.get(field))
        if not any(mark in path.lower() for mark in marks):
            problems.append(f"knows no tower like {field} {path!r} (expected {' or '.join(marks)} in it)")
        elif not Path(path).exists():
            problems.append(f"needs {field} {path!r} in the folder that it is started from")
    return "; ".join(problems) or None


def _length(found: Published) -> str | None:
    length, tokens = found.config.get("tokenizer_model_max_length"), found.image_tokens
    if length is None or tokens is None or length > tokens:
        return None
    return f"cuts every prompt at {length} tokens, in or before the question: an image takes {tokens}"


def _half_towers(found: Published) -> str | None:
    towers = {tensor.dtype for name, tensor in found.tensors.items() if name.startswith((_CLIP, AUX))}
    language = {
        tensor.dtype for name, tensor in found.tensors.items() if name.startswith(("model.layers.", "model.norm"))
    }
    if towers == {torch.float16} and language == {torch.float32}:
        return "trained with towers in float16 that nobody asked for: it does so in a run without bf16 and fp16"
    return None
