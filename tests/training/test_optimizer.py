"""LoRA and the connectors learn at rates of their own; biases and norms do not decay."""

import pytest

from recap.models.mgm.connectors import connector_name
from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
from recap.models.mgm.processing_mgm import MGMProcessor
from recap.params import FinetuneParams, LoraParams
from recap.training.connectors import freeze_all_but_connectors
from recap.training.lora import add_lora
from recap.training.optimizer import parameter_groups
from recap.training.trainable import trained

from .test_trainer import finetune_params, training_params

Parts = tuple[MGMForConditionalGeneration, MGMProcessor]


def test_lora_comes_first_and_connectors_have_their_own_rate(mgm: Parts) -> None:
    model = add_lora(mgm[0], LoraParams(r=4, alpha=8, dropout=0.0, target_modules=["q_proj", "v_proj"]))
    params: FinetuneParams = finetune_params(learning_rate=2e-4, connector_learning_rate=2e-5, weight_decay=0.1)
    groups = parameter_groups(model, params)
    names = {parameter: name for name, parameter in trained(model)}
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(2e-4, 0.1), (2e-5, 0.1), (2e-5, 0.0)]
    lora, weights, biases = ([names[parameter] for parameter in group["params"]] for group in groups)
    # 2 layers x 2 modules x A and B; 5 Linear weights; their 5 biases and 3 LayerNorms of two tensors.
    assert (len(lora), len(weights), len(biases)) == (8, 5, 11)
    assert all(".lora_" in name for name in lora)
    assert all(connector_name(name) for name in weights + biases)
    assert all(name.endswith("bias") or "vlm_uni" in name for name in biases)


def test_pretraining_has_one_rate(mgm: Parts) -> None:
    freeze_all_but_connectors(mgm[0])
    groups = parameter_groups(mgm[0], training_params(learning_rate=1e-3))
    assert {group["lr"] for group in groups} == {1e-3}
    assert sum(len(group["params"]) for group in groups) == 16


@pytest.mark.parametrize("rates", [(0.01, 1e-12), (1e-12, 0.01)])
def test_each_learns_at_its_rate(mgm: Parts, world, tmp_path, rates: tuple[float, float]) -> None:  # type: ignore[no-untyped-def]
    """A rate of 1e-12 moves nothing that a float32 of size 0.1 could show."""
    from recap.training.dataset import conversation_examples

    from .test_trainer import run_fit

    base, processor = mgm
    model = add_lora(base, LoraParams(r=4, alpha=8, dropout=0.0, target_modules=["q_proj"]))
    before = {name: parameter.detach().clone() for name, parameter in trained(model)}
    lora, connectors = rates
    params = finetune_params(learning_rate=lora, connector_learning_rate=connectors, max_steps=3, val_rows=0)
    run_fit(model, processor, world, tmp_path, examples=conversation_examples(world.conversations), params=params)
    moved = {name for name, parameter in trained(model) if (parameter - before[name]).abs().max() > 1e-6}
    assert {connector_name(name) is None for name in moved} == {lora > connectors}
