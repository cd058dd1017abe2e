"""LoRA reaches the language model alone, the adapter folder holds all that trained, and what it lacks is found out."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from recap.models.mgm.connectors import KEY_BIASES
from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
from recap.models.mgm.processing_mgm import MGMProcessor
from recap.params import LoraParams
from recap.runtime.errors import UserError
from recap.training.lora import (
    ADAPTER_WEIGHTS,
    adapter_shapes,
    add_lora,
    connector_weights,
    lora_targets,
    save_adapter,
    verify_adapter,
)
from recap.training.trainable import trained

Parts = tuple[MGMForConditionalGeneration, MGMProcessor]
Tensors = dict[str, torch.Tensor]

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
LORA = LoraParams(r=4, alpha=8, dropout=0.1, target_modules=TARGETS)


def test_lora_reaches_every_named_layer_of_the_language_model_and_no_tower(mgm: Parts) -> None:
    wrapped = add_lora(mgm[0], LORA)
    adapted = {name.split(".lora_A")[0] for name, _ in wrapped.named_parameters() if ".lora_A" in name}
    assert len(adapted) == 2 * len(TARGETS)
    assert all(name.startswith("base_model.model.model.language_model.layers.") for name in adapted)
    towers = [name for name, _ in trained(wrapped) if "vision_tower" in name or "lm_head" in name or "embed" in name]
    assert towers == []
    assert len(list(trained(wrapped))) == 2 * 2 * len(TARGETS) + 16


def test_an_unknown_layer_name_is_one_clear_line(mgm: Parts) -> None:
    with pytest.raises(UserError, match=r"lora\.target_modules: .*gate_proj.*found out_proj, query"):
        lora_targets(mgm[0], ["q_proj", "out_proj", "query"])


@dataclass(frozen=True)
class Saved:
    """An adapter folder as after training, the shapes of its tensors, and the connectors from before."""

    folder: Path
    shapes: dict[str, torch.Size]
    before: Tensors

    def verify(self) -> dict[str, int]:
        return verify_adapter(self.folder, shapes=self.shapes, before=self.before)


@pytest.fixture
def saved(mgm: Parts, tmp_path: Path) -> Saved:
    before = connector_weights(mgm[0])
    wrapped = add_lora(mgm[0], LORA)
    with torch.no_grad():
        for _, parameter in trained(wrapped):
            parameter.add_(0.01)
    save_adapter(wrapped, tmp_path / "adapter")
    return Saved(tmp_path / "adapter", adapter_shapes(wrapped), before)


def test_a_saved_adapter_holds_lora_and_connectors_and_no_path(saved: Saved) -> None:
    folder = saved.folder
    assert saved.verify() == {
        "lora_tensors": 28,
        "connector_tensors": 16,
        "adapter_parameters": sum(tensor.numel() for tensor in load_file(folder / ADAPTER_WEIGHTS).values()),
    }
    assert sorted(file.name for file in folder.iterdir()) == ["adapter_config.json", ADAPTER_WEIGHTS]
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == ""
    assert str(folder.parent.parent) not in json.dumps(config)


def _first(tensors: Tensors, part: str) -> str:
    return next(name for name in sorted(tensors) if part in name)


def _zero_lora_b(tensors: Tensors, before: Tensors) -> None:
    tensors[_first(tensors, "lora_B")].zero_()


def _empty(tensors: Tensors, before: Tensors) -> None:
    tensors[_first(tensors, "lora_A")] = torch.empty(0)


def _transposed(tensors: Tensors, before: Tensors) -> None:
    name = _first(tensors, "lora_A")
    tensors[name] = tensors[name].T.contiguous()


def _rounded_lora(tensors: Tensors, before: Tensors) -> None:
    """As DeepSpeed's bfloat16 mode saves it."""
    name = _first(tensors, "lora_A")
    tensors[name] = tensors[name].bfloat16()


def _rounded_connector(tensors: Tensors, before: Tensors) -> None:
    name = _first(tensors, "mm_projector")
    tensors[name] = tensors[name].bfloat16()


def _not_a_number(tensors: Tensors, before: Tensors) -> None:
    tensors[_first(tensors, "lora_A")][0, 0] = float("nan")


def _without_connector(tensors: Tensors, before: Tensors) -> None:
    del tensors[_first(tensors, "mm_projector")]


def _without_lora(tensors: Tensors, before: Tensors) -> None:
    del tensors[_first(tensors, "lora_B")]


def _untrained_connector(tensors: Tensors, before: Tensors) -> None:
    name = _first(tensors, "vlm_uni_query")
    tensors[name] = before[name]


def _stranger(tensors: Tensors, before: Tensors) -> None:
    tensors["lm_head.weight"] = torch.ones(1)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_zero_lora_b, "lora_B.weight is all zero"),
        (_empty, "lora_A.weight is empty"),
        (_not_a_number, "lora_A.weight is not finite"),
        (_without_connector, "missing "),
        (_without_lora, "missing .*lora_B.weight"),
        (_transposed, r"lora_A.weight has shape \[32, 4\], expected \[4, 32\]"),
        (_rounded_lora, "lora_A.weight is bfloat16, expected float32"),
        (_rounded_connector, "mm_projector.0.bias is bfloat16, expected float32"),
        (_untrained_connector, "vlm_uni_query_projector.* is what it was before training"),
        (_stranger, "unexpected .*lm_head.weight"),
    ],
)
def test_a_spoilt_adapter_is_found_out(saved: Saved, spoil: Callable[[Tensors, Tensors], None], message: str) -> None:
    tensors = load_file(saved.folder / ADAPTER_WEIGHTS)
    spoil(tensors, saved.before)
    save_file(tensors, saved.folder / ADAPTER_WEIGHTS)
    with pytest.raises(UserError, match=message):
        saved.verify()


def test_connectors_that_saw_no_image_may_stay_as_they_were(saved: Saved) -> None:
    tensors = load_file(saved.folder / ADAPTER_WEIGHTS)
    save_file(tensors | saved.before, saved.folder / ADAPTER_WEIGHTS)
    with pytest.raises(UserError, match="14 problem"):
        saved.verify()
    assert verify_adapter(saved.folder, shapes=saved.shapes, before={})["connector_tensors"] == 16


def test_key_biases_may_stay_as_they_were(saved: Saved) -> None:
    """Their gradient is zero, and where it is so in every bit, the optimizer leaves them alone."""
    tensors = load_file(saved.folder / ADAPTER_WEIGHTS)
    biases = [name for name in tensors if name.endswith(KEY_BIASES)]
    assert len(biases) == 2
    save_file(tensors | {name: saved.before[name] for name in biases}, saved.folder / ADAPTER_WEIGHTS)
    saved.verify()
