"""Checks of whole models: merged ones of this project, and published ones of the original."""

from pathlib import Path

import torch

from recap.io import read_json
from recap.models.mgm.checkpoint import stream_weights
from recap.models.mgm.configuration_mgm import MGMConfig
from recap.models.mgm.convert import problems_of, read_original
from recap.models.mgm.mismatch import mismatches, shapes, shortened
from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
from recap.models.presence import shard_index
from recap.training.check.findings import Findings
from recap.training.check.original import Published, published_quirks
from recap.training.check.tensors import SHOWN, shard_problems, survey
from recap.training.check.trial import file_list, load_model, model_of, try_model


def check_merged(folder: Path, findings: Findings, base: Path | None) -> None:
    """A folder that `from_pretrained` loads; `base` is of no use to it."""
    _check_files(folder, findings)
    with findings.attempt("config"):
        config = MGMConfig.from_pretrained(folder)
        findings.ok("config", _sizes(config))
    if not findings.any_failed():
        with findings.attempt("tensors"):
            found = survey(stream_weights(folder))
            model = _without_weights(config)
            wanted = {
                name: value for name, value in model.state_dict().items() if name not in model.all_tied_weights_keys
            }
            problems = shortened(found.problems, SHOWN) + mismatches(found.tensors, shapes(wanted), shown=SHOWN)
            findings.faults("tensors", problems, otherwise=found.summary())
    try_model(findings, lambda: load_model(folder), "with from_pretrained")


def check_published(folder: Path, findings: Findings, base: Path | None) -> None:
    """A folder in the original's layout: whether it is whole here, and what the original would make of it."""
    _check_files(folder, findings)
    if findings.any_failed():
        return
    with findings.attempt("config"):
        original = read_original(folder)
        findings.ok("config", _sizes(original.config))
    if findings.any_failed():
        return
    with findings.attempt("tensors"):
        found = survey(original.weights.items())
        problems = problems_of(_without_weights(original.config), original.weights)
        findings.faults(
            "tensors", shortened(found.problems, SHOWN) + shortened(problems, SHOWN), otherwise=found.summary()
        )
    try_model(findings, lambda: model_of(original), "as the converter reads it")
    index = shard_index(folder)
    findings.of_original(
        published_quirks(
            Published(
                folder=folder,
                config=read_json(folder / "config.json"),
                places=read_json(index)["weight_map"] if index else None,
                tensors=original.weights,
                vocabulary=None if original.tokenizer is None else len(original.tokenizer),
                image_tokens=original.config.num_image_tokens,
            )
        )
    )


def _check_files(folder: Path, findings: Findings) -> None:
    with findings.attempt("files"):
        findings.faults("files", shard_problems(folder), otherwise=file_list(folder))


def _without_weights(config: MGMConfig) -> MGMForConditionalGeneration:
    with torch.device("meta"):
        return MGMForConditionalGeneration(config)


def _sizes(config: MGMConfig) -> str:
    text, low = config.text_config, config.vision_config
    return (
        f"Gemma of {text.num_hidden_layers} layers x {text.hidden_size}, CLIP {low.image_size} px, "
        f"ConvNeXt {config.image_size_aux} px, {config.num_image_tokens} tokens an image"
    )
