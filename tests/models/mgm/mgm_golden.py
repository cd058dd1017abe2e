"""The reference cases of the original MGM: its weights in our model, its inputs in our form."""

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from recap.models.mgm.configuration_mgm import MGMConfig
from recap.models.mgm.convert import load_original
from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration

PLACEHOLDER = -200
FORWARD_CASES = (
    "a_text_only",
    "a2_text_only_loss",
    "b_one_image",
    "c_batch2_loss",
    "c2_batch2_leftpad",
    "f_mixed_text_image",
    "g_truncated",
    "h_two_images_one_prompt",
    "e_hd_grid2_global",
    "e2_hd_batch2",
    "e3_hd_grid2_noglobal",
)


@cache
def read(folder: Path, name: str) -> Any:
    path = folder / name
    return load_file(path) if path.suffix == ".safetensors" else json.loads(path.read_text())


def sizes(folder: Path) -> dict[str, Any]:
    """The sub-configurations of a reference set, as `MGMConfig` takes them."""
    config = read(folder, "config.json")
    return {
        "text_config": config["gemma"],
        "vision_config": config["clip"],
        "vision_config_aux": {"hidden_sizes": config["convnext"]["dims"], "depths": config["convnext"]["depths"]},
        "image_size_aux": config["image_size_aux"],
    }


def build(folder: Path, **changes: Any) -> MGMForConditionalGeneration:
    """The reference model in eval mode with the original's weights; another at every call."""
    return copy.deepcopy(_built(folder, **changes))


@cache
def _built(folder: Path, **changes: Any) -> MGMForConditionalGeneration:
    model = MGMForConditionalGeneration(MGMConfig(**{**sizes(folder), "image_token_id": PLACEHOLDER, **changes}))
    load_original(model, read(folder, "weights.safetensors"))
    return model.eval()


def for_case(folder: Path, name: str, **changes: Any) -> MGMForConditionalGeneration:
    case = read(folder, "cases.json")[name]
    return build(folder, image_grid=case["image_grid"], image_global=case["image_global"], **changes)


def inputs(folder: Path, name: str) -> dict[str, torch.Tensor]:
    """A case's inputs as the original got them: one placeholder per image, pixels in float32."""
    case, tensors = read(folder, "cases.json")[name], read(folder, "tensors.safetensors")
    found = {key.split(".in.")[1]: value for key, value in tensors.items() if key.startswith(f"{name}.in.")}
    for key, (source, start, stop) in case.get("inputs_from", {}).items():
        found[key] = tensors[source][start:stop]
    if "images_slice_dim1" in case:
        found["images"] = found["images"][:, : case["images_slice_dim1"]]
    return {key: value.float() if value.is_floating_point() else value for key, value in found.items()}


def expanded(
    folder: Path, name: str, *, image_token_id: int = PLACEHOLDER, side: str | None = None
) -> dict[str, torch.Tensor]:
    """The same inputs as our model takes them: each placeholder repeated per visual token, rows padded again."""
    case, given = read(folder, "cases.json")[name], inputs(folder, name)
    if side is None:
        side = "left" if "leftpad" in name else "right"
    config = MGMConfig(**sizes(folder), image_grid=case["image_grid"], image_global=case["image_global"])
    limit = case.get("tokenizer_model_max_length")
    mask = given.get("attention_mask", torch.ones_like(given["input_ids"]))
    labels = given.get("labels", torch.full_like(given["input_ids"], -100))
    rows = []
    for ids, row_labels, row_mask in zip(given["input_ids"], labels, mask, strict=True):
        ids, row_labels = ids[row_mask.bool()], row_labels[row_mask.bool()]
        repeats = torch.where(ids == PLACEHOLDER, config.num_image_tokens, 1)
        ids = torch.where(ids == PLACEHOLDER, image_token_id, ids)
        rows.append((ids.repeat_interleave(repeats)[:limit], row_labels.repeat_interleave(repeats)[:limit]))
    length = max(len(ids) for ids, _ in rows)
    out = {
        "input_ids": torch.stack([pad(ids, length, 0, side) for ids, _ in rows]),
        "attention_mask": torch.stack([pad(torch.ones_like(ids), length, 0, side) for ids, _ in rows]),
    }
    if "labels" in given:
        out["labels"] = torch.stack([pad(row, length, -100, side) for _, row in rows])
    if "images" in given:
        out |= {"pixel_values": given["images"], "pixel_values_aux": given["images_aux"]}
    return out


def pad(row: torch.Tensor, length: int, value: int, side: str) -> torch.Tensor:
    missing = length - len(row)
    return torch.nn.functional.pad(row, (missing, 0) if side == "left" else (0, missing), value=value)


def output(folder: Path, name: str, key: str) -> torch.Tensor:
    return read(folder, "tensors.safetensors")[f"{name}.{key}"]
