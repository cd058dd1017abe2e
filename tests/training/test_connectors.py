"""Which parameters pretraining trains."""

import pytest

from recap.models.mgm.connectors import connector_name, connector_parameters
from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
from recap.models.mgm.processing_mgm import MGMProcessor
from recap.training.connectors import freeze_all_but_connectors
from recap.training.trainable import trained

Parts = tuple[MGMForConditionalGeneration, MGMProcessor]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.mm_projector.0.weight", "mm_projector.0.weight"),
        (
            "base_model.model.model.vlm_uni_val_projector.modules_to_save.default.1.bias",
            "vlm_uni_val_projector.modules_to_save.default.1.bias",
        ),
        ("model.mm_projector_copy.0.weight", None),
        ("model.language_model.layers.0.self_attn.q_proj.weight", None),
        ("model.vision_tower.post_layernorm.weight", None),
    ],
)
def test_connectors_are_told_by_whole_parts_of_the_name(name: str, expected: str | None) -> None:
    assert connector_name(name) == expected


def test_sixteen_tensors_train(mgm: Parts) -> None:
    freeze_all_but_connectors(mgm[0])
    assert {name.removeprefix("model.") for name, _ in trained(mgm[0])} == connector_parameters(mgm[0]).keys()
    assert len(list(trained(mgm[0]))) == 16
