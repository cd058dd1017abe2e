"""Adapters of both layouts, this project's and the original's, land where they belong or are refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from recap.merging.merge import merge
from recap.models.mgm.configuration_mgm import MGMConfig
from recap.models.mgm.convert import load_original
from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
from recap.params import LoraParams
from recap.runtime.errors import UserError
from recap.training.adapters import ADAPTER_CONFIG, ADAPTER_PICKLE, ORIGINAL_CONNECTORS, load_adapter, read_adapter
from recap.training.lora import ADAPTER_WEIGHTS, add_lora, save_adapter

Tensors = dict[str, torch.Tensor]
RANK, ALPHA = 4, 16
WIDTHS = {"q_proj": (64, 64), "v_proj": (16, 64), "down_proj": (64, 160)}  # outputs, inputs of the reference model
PLACES = {"q_proj": "self_attn", "v_proj": "self_attn", "down_proj": "mlp"}


@pytest.fixture
def base(assets: Path) -> MGMForConditionalGeneration:
    """The reference model, with the original's weights."""
    config = json.loads((assets / "mgm" / "config.json").read_text())
    model = MGMForConditionalGeneration(
        MGMConfig(
            text_config=config["gemma"],
            vision_config=config["clip"],
            vision_config_aux={"hidden_sizes": config["convnext"]["dims"], "depths": config["convnext"]["depths"]},
            image_size_aux=config["image_size_aux"],
        )
    )
    load_original(model, load_file(assets / "mgm" / "weights.safetensors"))
    return model.eval()


def lora_tensors() -> Tensors:
    """By the original's names: LoRA lies on a Gemma without a level for the language model."""
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for layer in (0, 1):
        for name, (outputs, inputs) in WIDTHS.items():
            stem = f"base_model.model.model.layers.{layer}.{PLACES[name]}.{name}"
            tensors[f"{stem}.lora_A.weight"] = torch.randn(RANK, inputs, generator=generator) / 10
            tensors[f"{stem}.lora_B.weight"] = torch.randn(outputs, RANK, generator=generator) / 10
    return tensors


@pytest.fixture
def original(assets: Path, tmp_path: Path) -> Path:
    """A folder as the original leaves it; its connectors are ones that it wrote."""
    folder = tmp_path / "original"
    folder.mkdir()
    config = {
        "base_model_name_or_path": "model_zoo/LLM/gemma/gemma-2b-it",
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "lora_alpha": ALPHA,
        "lora_dropout": 0.05,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": RANK,
        "target_modules": list(WIDTHS),
        "task_type": "CAUSAL_LM",
    }
    (folder / ADAPTER_CONFIG).write_text(json.dumps(config))
    save_file(lora_tensors(), folder / ADAPTER_WEIGHTS)
    (folder / ORIGINAL_CONNECTORS).write_bytes((assets / "mgm" / ORIGINAL_CONNECTORS).read_bytes())
    return folder


def check_merged(model: MGMForConditionalGeneration, before: Tensors, folder: Path, lora: Tensors) -> None:
    """Every weight is what it was, plus alpha / r times B A, or the connector in the file."""
    expected = dict(before)
    for name, b in lora.items():
        if "lora_B" in name:
            place = name.removeprefix("base_model.model.model.").replace(".lora_B", "")
            expected[f"model.language_model.{place}"] += ALPHA / RANK * b @ lora[name.replace("lora_B", "lora_A")]
    connectors = torch.load(folder / ORIGINAL_CONNECTORS, weights_only=True)
    expected |= {name.removeprefix("base_model.model."): tensor.float() for name, tensor in connectors.items()}
    found = model.state_dict()
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-6, rtol=0)


def merged_from(base: MGMForConditionalGeneration, folder: Path, lora: Tensors) -> None:
    before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    wrapped, counts = load_adapter(base, folder)
    assert counts == {"lora_tensors": 12, "connector_tensors": 16}
    merge(wrapped)
    check_merged(base, before, folder, lora)


def test_the_originals_adapter_merges(base: MGMForConditionalGeneration, original: Path) -> None:
    merged_from(base, original, lora_tensors())


def test_one_of_an_older_peft_in_bfloat16(base: MGMForConditionalGeneration, original: Path) -> None:
    rounded = {name: tensor.bfloat16() for name, tensor in lora_tensors().items()}
    (original / ADAPTER_WEIGHTS).unlink()
    torch.save(rounded, original / ADAPTER_PICKLE)
    connectors = torch.load(original / ORIGINAL_CONNECTORS, weights_only=True)
    torch.save({name: tensor.bfloat16() for name, tensor in connectors.items()}, original / ORIGINAL_CONNECTORS)
    merged_from(base, original, {name: tensor.float() for name, tensor in rounded.items()})


def _without_connectors(folder: Path) -> None:
    (folder / ORIGINAL_CONNECTORS).unlink()


def _of_another_size(folder: Path) -> None:
    tensors = {name: tensor[:, :8].contiguous() for name, tensor in lora_tensors().items()}
    save_file(tensors, folder / ADAPTER_WEIGHTS)


def _of_another_kind(folder: Path) -> None:
    (folder / ADAPTER_CONFIG).write_text('{"peft_type": "LOHA"}')


def _with_a_trained_tower(folder: Path) -> None:
    connectors = torch.load(folder / ORIGINAL_CONNECTORS, weights_only=True)
    connectors["base_model.model.model.vision_tower_aux.vision_stem.0.bias"] = torch.ones(12)
    torch.save(connectors, folder / ORIGINAL_CONNECTORS)


def _damaged(folder: Path) -> None:
    (folder / ORIGINAL_CONNECTORS).write_bytes(b"PK")


def _with(**settings: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        config = json.loads((folder / ADAPTER_CONFIG).read_text())
        (folder / ADAPTER_CONFIG).write_text(json.dumps({**config, **settings}))

    return spoil


def _as_a_list(folder: Path) -> None:
    (folder / ADAPTER_CONFIG).write_text("[]")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_without_connectors, r"expected connectors in adapter_model.safetensors or in non_lora_trainables.bin"),
        (_of_another_size, r"6 problem\(s\): .*lora_A.weight has shape \[4, 8\], expected \[4, 160\]"),
        (_of_another_kind, "expected peft_type LORA, found 'LOHA'"),
        (_with_a_trained_tower, r"1 problem\(s\): unexpected .*vision_tower_aux.embeddings.patch_embeddings.bias"),
        (_damaged, "non_lora_trainables.bin: expected a file of tensors"),
        (_with(target_modules=["out_proj"]), "expected linear layers of the language model .* found out_proj"),
        (_with(target_modules=[1, "q_proj"]), "does not fit the base model: .*; run finetune"),
        (_with(rank_pattern=[1]), "does not fit the base model: .*; run finetune"),
        (_with(r="8"), "does not fit the base model: .*; run finetune"),
        (_with(layers_to_transform=1, target_modules="x"), "adapter_config.json: expected the settings of a LoRA: "),
        (_as_a_list, "adapter_config.json: expected a JSON object, found list"),
    ],
)
def test_what_is_wrong_is_said(
    base: MGMForConditionalGeneration, original: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(original)
    with pytest.raises(UserError, match=message):
        load_adapter(base, original)


@pytest.fixture
def own(base: MGMForConditionalGeneration, tmp_path: Path) -> Path:
    wrapped = add_lora(base, LoraParams(r=RANK, alpha=ALPHA, dropout=0.0, target_modules=list(WIDTHS)))
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if parameter.requires_grad:
                parameter.fill_(0.01 * len(name))
    save_adapter(wrapped, tmp_path / "own")
    wrapped.unload()
    return tmp_path / "own"


def test_an_own_adapter_is_what_peft_loads(assets: Path, base: MGMForConditionalGeneration, own: Path) -> None:
    wrapped, _ = load_adapter(base, own)
    mine = {name: tensor.clone() for name, tensor in wrapped.state_dict().items()}
    theirs = PeftModel.from_pretrained(wrapped.unload(), str(own)).state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in mine.items())


@pytest.mark.parametrize("part", ["lora_A", "lora_B", "mm_projector", "vlm_uni_val_projector"])
def test_an_own_adapter_that_was_rounded_is_refused(base: MGMForConditionalGeneration, own: Path, part: str) -> None:
    tensors = load_file(own / ADAPTER_WEIGHTS)
    name = min(name for name in tensors if part in name)
    save_file(tensors | {name: tensors[name].bfloat16()}, own / ADAPTER_WEIGHTS)
    with pytest.raises(UserError, match=rf"{part}.* is bfloat16, expected float32, in which it trained"):
        load_adapter(base, own)


def test_the_originals_names_are_ours_after_reading(original: Path, own: Path) -> None:
    theirs: dict[str, Any] = read_adapter(original).tensors
    assert theirs.keys() == read_adapter(own).tensors.keys()
