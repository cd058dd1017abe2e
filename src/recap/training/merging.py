"""Fold an adapter into its base model, and prove that the folded model is the same model.

In: MGM with the pretrained projector, a PEFT folder, probe rows. Out: `models/merged/`, which
`AutoModelForImageTextToText.from_pretrained` loads, and the proof for `metrics/merge.json`.

Merging goes wrong silently elsewhere: adapters of 40 bytes (trl#4416), connectors that no loader reads (MGM#135),
merged weights that answer otherwise than the adapter did (peft#1836, #2502). So every tensor of the adapter is
accounted for, and the logits of the reloaded folder are held against those of the adapter model, run in float32.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import nn
from tqdm import tqdm
from transformers import AutoModelForImageTextToText, AutoProcessor, PreTrainedConfig, PreTrainedModel

from recap.models.mgm.connectors import connector_name
from recap.runtime.errors import UserError
from recap.training.dataset import Example, RowEncoder
from recap.training.lora import ADAPTER_WEIGHTS, lora_layers

logger = logging.getLogger(__name__)


def load_adapter(model: PreTrainedModel, folder: Path) -> tuple[PeftModel, dict[str, int]]:
    """Put an adapter onto its base model and account for each of its tensors.

    Returns:
        The PEFT model in eval mode, and `lora_tensors` and `connector_tensors` found in it with the values of the file.

    Raises:
        UserError: The folder is no adapter of this model: a tensor has no place in it, or a place got no tensor.
    """
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise UserError(f"{folder}: expected a PEFT folder with {ADAPTER_WEIGHTS}, found none; run finetune")
    try:
        wrapped = PeftModel.from_pretrained(model, str(folder)).eval()
    except (KeyError, RuntimeError, ValueError) as error:  # a connector is missing, a shape or a layer differs
        reason = " ".join(str(error).split())
        raise UserError(f"{folder}: does not fit the base model: {reason}; run finetune again") from None
    loaded = {_name_in_file(name): parameter for name, parameter in wrapped.named_parameters() if _of_adapter(name)}
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    astray = sorted(tensors.keys() ^ loaded.keys())
    astray += [name for name in tensors.keys() & loaded.keys() if not _equal(tensors[name], loaded[name])]
    if astray:
        raise UserError(
            f"{folder}: does not fit the base model: {len(astray)} tensor(s) astray, first {astray[0]}; "
            f"run finetune again"
        )
    connectors = sum(connector_name(name) is not None for name in tensors)
    counts = {"lora_tensors": len(tensors) - connectors, "connector_tensors": connectors}
    if counts["lora_tensors"] != 2 * lora_layers(wrapped) or not connectors:
        raise UserError(f"{folder}: expected LoRA matrices and connectors, found {counts}; run finetune again")
    return wrapped, counts


def _of_adapter(name: str) -> bool:
    return ".lora_" in name or ".modules_to_save." in name


def _name_in_file(name: str) -> str:
    return name.replace(".modules_to_save.default", "").replace(".default.weight", ".weight")


def _equal(saved: torch.Tensor, loaded: torch.Tensor) -> bool:
    return torch.equal(saved.to(loaded.dtype), loaded.detach().cpu())


def merge(wrapped: PeftModel, dtype: torch.dtype) -> PreTrainedModel:
    """Fold LoRA matrices and connectors into the base model, in float32, and give it the dtype it is saved in.

    Raises:
        UserError: A product of LoRA matrices holds numbers that are not finite.
    """
    try:
        merged = wrapped.merge_and_unload(safe_merge=True)
    except ValueError as error:
        raise UserError(f"the adapter cannot be merged: {' '.join(str(error).split())}; run finetune again") from None
    foreign = [name for name, _ in merged.named_parameters() if _of_adapter(name)]
    if foreign:
        raise RuntimeError(f"expected a plain model after merging, found {foreign[0]}")
    return merged.to(dtype)


@torch.inference_mode()
def probe_logits(
    model: nn.Module, probes: Sequence[dict[str, torch.Tensor]], device: torch.device, description: str
) -> list[torch.Tensor]:
    """Logits of each probe: float32 on the CPU, shape [T, vocabulary]."""
    model.to(device).eval()
    logits = []
    for probe in tqdm(probes, desc=description, unit="probe"):
        inputs = {name: tensor.to(device) for name, tensor in probe.items() if name != "labels"}
        logits.append(model(**inputs).logits[0].float().cpu())
    return logits


@dataclass(frozen=True)
class Difference:
    """How far two models' logits on the same probes lie apart.

    Attributes:
        maximum: Largest absolute difference of a logit.
        mean: Mean absolute difference.
        agreement: Percentage (0-100) of positions at which both put the same token first.
    """

    maximum: float
    mean: float
    agreement: float


def logit_difference(first: Sequence[torch.Tensor], second: Sequence[torch.Tensor]) -> Difference:
    """Compare logits probe by probe; see `Difference`.

    Raises:
        UserError: Logits are not finite, or differ in shape (the two models saw other tokens).
    """
    gaps, same = [], []
    for one, other in zip(first, second, strict=True):
        if one.shape != other.shape:
            raise UserError(
                f"expected logits of one shape from both models, found {tuple(one.shape)}, {tuple(other.shape)}"
            )
        gaps.append((one - other).abs().flatten())
        same.append(one.argmax(-1) == other.argmax(-1))
    gap = torch.cat(gaps)
    if not torch.isfinite(gap).all():
        raise UserError("expected finite logits from both models, found NaN or infinity; the merge is not published")
    return Difference(gap.max().item(), gap.double().mean().item(), 100 * torch.cat(same).double().mean().item())


def merge_and_prove(
    model: PreTrainedModel,
    probes: Sequence[Example],
    encoder: RowEncoder,
    *,
    adapter: Path,
    merged: Path,
    dtype: torch.dtype,
    device: torch.device,
    tolerance: float,
) -> dict[str, Any]:
    """Merge, save, reload and compare.

    Args:
        model: Base model in float32 with the pretrained projector; it is changed in place.
        probes: Rows that the models are compared on, each in a batch of its own, so that no padding takes part.
        encoder: Encodes them; its processor is saved beside the merged model, and compared with the reloaded one.
        adapter: PEFT folder.
        merged: Where to save; the caller publishes it only if this function returns.
        dtype: The merged model's dtype.
        device: Where the probes run.
        tolerance: Largest absolute logit difference allowed.

    Returns:
        The proof: tensor counts, `probes`, `logit_difference_*` of adapter model and reloaded merged model,
        `greedy_agreement_percent`, and `adapter_effect_max`, the largest difference from the base model.

    Raises:
        UserError: A tensor is unaccounted for, the merged model differs by more than `tolerance`, or the adapter
            changes nothing.
    """
    encoded = _batches_of_one(probes, encoder)
    base = probe_logits(model, encoded, device, "base model")
    wrapped, counts = load_adapter(model, adapter)
    adapted = probe_logits(wrapped, encoded, device, "adapter model")
    plain = merge(wrapped, dtype)
    _forget_folders(plain.config)
    plain.save_pretrained(merged)
    encoder.processor.save_pretrained(merged)
    reloaded = AutoModelForImageTextToText.from_pretrained(merged, dtype=dtype)
    _check_parameters(plain, reloaded)
    encoded = _batches_of_one(probes, replace(encoder, processor=AutoProcessor.from_pretrained(merged)))
    again = probe_logits(reloaded, encoded, device, "merged model")
    gap, effect = logit_difference(adapted, again), logit_difference(base, adapted)
    logger.info("merged against adapter: max |logit difference| %.3g, %.2f %% same tokens", gap.maximum, gap.agreement)
    if gap.maximum > tolerance:
        raise UserError(
            f"expected the merged model's logits within merge.tolerance={tolerance:g} of the adapter model's, found a "
            f"difference of {gap.maximum:.3g} ({gap.agreement:.2f} % same tokens) in {dtype}; it is not published"
        )
    if effect.maximum <= gap.maximum:
        raise UserError(
            f"expected the adapter to change the base model's logits by more than merging does ({gap.maximum:.3g}), "
            f"found {effect.maximum:.3g}; run finetune for longer"
        )
    return {
        **counts,
        "probes": len(probes),
        "logit_difference_max": gap.maximum,
        "logit_difference_mean": gap.mean,
        "greedy_agreement_percent": gap.agreement,
        "adapter_effect_max": effect.maximum,
        "dtype": str(dtype).removeprefix("torch."),
    }


def _batches_of_one(probes: Sequence[Example], encoder: RowEncoder) -> list[dict[str, torch.Tensor]]:
    return [encoder.collate([encoder.encode(probe)]) for probe in probes]


def _forget_folders(config: PreTrainedConfig) -> None:
    """Drop the folders that the parts were loaded from: they differ between machines and would be saved."""
    config.name_or_path = ""
    for part in config.sub_configs:
        _forget_folders(getattr(config, part))


def _check_parameters(saved: nn.Module, loaded: nn.Module) -> None:
    before, after = (dict(model.named_parameters()) for model in (saved, loaded))
    astray = sorted(before.keys() ^ after.keys())
    astray += [name for name in before.keys() & after.keys() if not torch.equal(before[name].cpu(), after[name].cpu())]
    if astray:
        raise UserError(f"{len(astray)} tensor(s) of the merged model did not survive saving, first {astray[0]}")
