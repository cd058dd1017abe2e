"""Which parameters are connectors, and what happens to them."""

import pytest
import torch

from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
from recap.models.mgm.processing_mgm import MGMProcessor
from recap.training.connectors import freeze_all_but_connectors, is_connector, keep_connectors_in_float32
from recap.training.trainer import trained

Parts = tuple[MGMForConditionalGeneration, MGMProcessor]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.mm_projector.0.weight", True),
        ("base_model.model.model.vlm_uni_val_projector.modules_to_save.default.1.bias", True),
        ("model.mm_projector_copy.0.weight", False),
        ("model.language_model.layers.0.self_attn.q_proj.weight", False),
        ("model.vision_tower.post_layernorm.weight", False),
    ],
)
def test_connectors_are_told_by_whole_parts_of_the_name(name: str, expected: bool) -> None:
    assert is_connector(name) == expected


def test_sixteen_tensors_train(mgm: Parts) -> None:
    freeze_all_but_connectors(mgm[0])
    assert len([name for name, _ in trained(mgm[0]) if is_connector(name)]) == 16 == len(list(trained(mgm[0])))


def test_a_model_without_connectors_is_refused() -> None:
    with pytest.raises(RuntimeError, match="expected 16 connector tensors, found 0"):
        freeze_all_but_connectors(torch.nn.Linear(1, 1))


def test_float32_connectors_in_a_bfloat16_model(mgm: Parts) -> None:
    model = mgm[0].to(torch.bfloat16)
    keep_connectors_in_float32(model)
    assert {name for name, parameter in model.named_parameters() if parameter.dtype == torch.float32} == {
        name for name, _ in model.named_parameters() if is_connector(name)
    }
