"""Fold an adapter into its base model, and prove that the folded model is the same model.

In: MGM with the pretrained projector, an adapter folder, probe rows. Out: `models/merged/`, which
`AutoModelForImageTextToText.from_pretrained` loads, and the proof for `metrics/merge.json`.

Merging goes wrong silently elsewhere: adapters of 40 bytes (trl#4416), connectors that no loader reads (MGM#135),
merged weights that answer otherwise than the adapter did (peft#1836, #2502). So every tensor of the adapter is
accounted for, and the merged model's logits are held against those of the adapter model, both in float32.

Saving in bfloat16 then rounds, as computing in bfloat16 does. No one number suits both a tiny model and one of 18
layers, so the saved model is judged by what its dtype does to the adapter model.

One model is in memory at a time: the adapter is folded in weight by weight, files are compared with the model tensor by
tensor, and of a model that has gone only its states before the head are kept.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from tqdm import tqdm
from transformers import AutoModelForImageTextToText, AutoProcessor, PreTrainedConfig, PreTrainedModel

from recap.merging.logits import NO_DIFFERENCE, Comparison, Difference, Output
from recap.merging.probes import Probes
from recap.models.loading import dtype_name
from recap.models.mgm.checkpoint import stream_weights
from recap.runtime.errors import UserError, one_line
from recap.training.adapters import load_adapter

logger = logging.getLogger(__name__)

# How much further the saved model may lie from the adapter model in float32, in the mean, than the adapter model lies
# from itself when it runs in the saved one's dtype. Both round every activation, the saved one its weights as well:
# independent roundings of one size add up to a factor of sqrt(2).
ROUNDING_FACTOR = 2.0
META = torch.device("meta")


def merge_and_prove(
    model: PreTrainedModel,
    probes: Probes,
    *,
    rebuild: Callable[[torch.dtype], PreTrainedModel],
    adapter: Path,
    merged: Path,
    dtype: torch.dtype,
    device: torch.device,
    tolerance: float,
) -> dict[str, Any]:
    """Merge, compare, save, reload and compare again.

    Args:
        model: Base model in float32 with the pretrained projector. It is used up: afterwards it has no weights.
        probes: What the models are compared on; their processor is saved beside the merged model.
        rebuild: Makes the base model again, in the dtype it is given; called unless `dtype` is float32.
        adapter: See `recap.training.adapters`.
        merged: Where to save; the caller publishes it only if this function returns.
        dtype: What the merged model is saved in.
        device: Where the probes run.
        tolerance: Largest absolute logit difference of adapter model and merged model, both in float32.

    Returns:
        The proof: tensor counts, `probes`, `dtype`; how far the merged model is from the adapter model, both in
        float32, as `logit_difference_*` and `greedy_agreement_percent`; `adapter_effect_max`, the adapter model's
        largest difference from the base model; and how far from the adapter model in float32 are the reloaded folder
        (`saved_*`) and the adapter model in `dtype` (`rounding_*`).

    Raises:
        UserError: A tensor is unaccounted for, the merged model differs by more than `tolerance`, the saved one by
            more than its dtype explains, or the adapter changes nothing.
    """
    _move(model, device)
    wrapped, counts = load_adapter(model, adapter)
    reference, effect = _adapted_states(model, wrapped, probes)
    merge(wrapped)
    head: torch.Tensor | None = _head(model)
    gap = _distance(model, probes, reference, head, "merged model")
    logger.info("merged against adapter: max |logit difference| %.3g, %.2f %% same tokens", gap.maximum, gap.agreement)
    _require_same_model(gap, effect, tolerance)
    _move(model, dtype)
    save(model, probes, merged)
    _move(model, META)  # frees the weights, whoever else holds the model
    rounding = NO_DIFFERENCE
    if dtype == torch.float32:
        head = None  # the saved one is the same bit for bit: two would not fit beside the reloaded model
    else:
        again = rebuild(dtype)
        _move(again, device)
        load_adapter(again, adapter)
        rounding = _distance(again, probes, reference, head, f"adapter model in {dtype_name(dtype)}")
        _move(again, META)
    reloaded = AutoModelForImageTextToText.from_pretrained(merged, dtype=dtype, device_map=device).eval()
    check_files(reloaded, merged)
    probes = probes.encoded_by(AutoProcessor.from_pretrained(merged))
    saved = _distance(reloaded, probes, reference, head, "saved model")
    logger.info(
        "saved in %s: mean |logit difference| %.3g, where computing in it makes %.3g",
        *(dtype_name(dtype), saved.mean, rounding.mean),
    )
    _require_rounding_alone(saved, rounding, dtype, tolerance)
    return {
        **counts,
        "probes": len(probes),
        "logit_difference_max": gap.maximum,
        "logit_difference_mean": gap.mean,
        "greedy_agreement_percent": gap.agreement,
        "adapter_effect_max": effect.maximum,
        "dtype": dtype_name(dtype),
        **_named("saved", saved),
        **_named("rounding", rounding),
    }


def merge(wrapped: PeftModel) -> None:
    """Fold LoRA matrices and connectors into the base model, in place and in its dtype, one weight after the other.

    Raises:
        UserError: A product of LoRA matrices holds numbers that are not finite.
    """
    try:
        merged = wrapped.merge_and_unload(safe_merge=True)
    except ValueError as error:
        raise UserError(f"the adapter cannot be merged: {one_line(error)}; run finetune again") from None
    foreign = [name for name, _ in merged.named_parameters() if ".lora_" in name or ".modules_to_save." in name]
    if foreign:
        raise RuntimeError(f"expected a plain model after merging, found {foreign[0]}")


def save(model: PreTrainedModel, probes: Probes, folder: Path) -> None:
    """Write model and processor as `from_pretrained` reads them, and read every tensor back.

    Raises:
        UserError: See `check_files`.
    """
    _forget_folders(model.config)
    model.save_pretrained(folder)
    probes.encoder.processor.save_pretrained(folder)
    check_files(model, folder)


def check_files(model: PreTrainedModel, folder: Path) -> None:
    """Compare a folder's tensors with a model's, one at a time.

    Raises:
        UserError: A tensor is in one of them only, or differs in a bit.
    """
    wanted = {name: value for name, value in model.state_dict().items() if name not in model.all_tied_weights_keys}
    astray = []
    for name, tensor in stream_weights(folder):
        value = wanted.pop(name, None)
        if value is None or value.dtype != tensor.dtype or not torch.equal(value.cpu(), tensor):
            astray.append(name)
    astray += wanted
    if astray:
        raise UserError(f"{len(astray)} tensor(s) of the merged model did not survive saving, first {min(astray)}")


def _forget_folders(config: PreTrainedConfig) -> None:
    """Drop the folders that the parts were loaded from: they differ between machines and would be saved."""
    config.name_or_path = ""
    for part in config.sub_configs:
        _forget_folders(getattr(config, part))


def _adapted_states(
    model: PreTrainedModel, wrapped: PeftModel, probes: Probes
) -> tuple[list[torch.Tensor], Difference]:
    """The adapter model's states on every probe, and how far its logits are from those of its base model."""
    states, comparison = [], Comparison()
    for probe in tqdm(probes, desc="adapter model", unit="probe"):
        adapted = _states(model, probe)
        with wrapped.disable_adapter():
            base = _states(model, probe)
        comparison.add(Output(base, _head(model)), Output(adapted, _head(model)))
        states.append(adapted)
    return states, comparison.difference()


def _distance(
    model: PreTrainedModel,
    probes: Probes,
    reference: Sequence[torch.Tensor],
    head: torch.Tensor | None,
    description: str,
) -> Difference:
    """How far a model's logits are from those of the reference's states and head; without a head the model's own."""
    comparison = Comparison()
    for probe, expected in zip(tqdm(probes, desc=description, unit="probe"), reference, strict=True):
        found = Output(_states(model, probe), _head(model))
        comparison.add(Output(expected, found.head if head is None else head), found)
    return comparison.difference()


def _move(model: nn.Module, where: torch.device | torch.dtype) -> None:
    """Move or cast a model in place, one tensor after the other."""
    model.to(where)


@torch.inference_mode()
def _states(model: PreTrainedModel, probe: dict[str, torch.Tensor]) -> torch.Tensor:
    """The language model's last hidden states on a batch of one row: [T, D]."""
    inputs = {name: tensor.to(model.device) for name, tensor in probe.items() if name != "labels"}
    states: torch.Tensor = model.model(**inputs, use_cache=False).last_hidden_state[0]
    return states


def _head(model: PreTrainedModel) -> torch.Tensor:
    weight: torch.Tensor = model.get_output_embeddings().weight
    return weight.detach()


def _require_same_model(gap: Difference, effect: Difference, tolerance: float) -> None:
    if gap.maximum > tolerance:
        raise UserError(
            f"expected the merged model's logits within merge.tolerance={tolerance:g} of the adapter model's, both in "
            f"float32, found a difference of {gap.maximum:.3g} ({gap.agreement:.2f} % same tokens); it is not published"
        )
    if effect.maximum <= gap.maximum:
        raise UserError(
            f"expected the adapter to change the base model's logits by more than merging does ({gap.maximum:.3g}), "
            f"found {effect.maximum:.3g}; run finetune for longer"
        )


def _require_rounding_alone(saved: Difference, rounding: Difference, dtype: torch.dtype, tolerance: float) -> None:
    allowed = tolerance + ROUNDING_FACTOR * rounding.mean
    if saved.mean > allowed:
        raise UserError(
            f"expected the model saved in {dtype_name(dtype)} to lie within {allowed:.3g} of the adapter model in the "
            f"mean (merge.tolerance + {ROUNDING_FACTOR:g} x {rounding.mean:.3g}, what the dtype does to the adapter "
            f"model), found {saved.mean:.3g}; it is not published: set device.dtype to float32"
        )


def _named(what: str, found: Difference) -> dict[str, float]:
    return {
        f"{what}_difference_max": found.maximum,
        f"{what}_difference_mean": found.mean,
        f"{what}_agreement_percent": found.agreement,
    }
