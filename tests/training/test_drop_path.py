"""ConvNeXt's blocks are skipped at the stated rates while training, and never otherwise."""

import torch
from transformers import ConvNextConfig

from recap.models.mgm.modeling_mgm import MGMConvNextModel
from recap.training.drop_path import set_drop_path


def chances(tower: MGMConvNextModel) -> list[float]:
    layers = [layer for stage in tower.encoder.stages for layer in stage.layers]
    return [getattr(layer.drop_path, "drop_prob", 0.0) for layer in layers]


def tower(rate: float) -> MGMConvNextModel:
    torch.manual_seed(0)
    return MGMConvNextModel(
        ConvNextConfig(hidden_sizes=[4, 6, 8, 10], depths=[1, 1, 2, 1], layer_scale_init_value=1.0, drop_path_rate=rate)
    )


def test_rates_grow_evenly_to_the_last_block_whatever_the_configuration_says() -> None:
    """5 blocks: 0, 1/4, 2/4, 3/4 and 4/4 of the rate, as timm has it."""
    made = tower(0.3)
    set_drop_path(made, 0.1)
    torch.testing.assert_close(torch.tensor(chances(made)), torch.tensor([0.0, 0.025, 0.05, 0.075, 0.1]))
    set_drop_path(made, 0.0)
    assert chances(made) == [0.0] * 5


def test_it_is_on_while_training_alone() -> None:
    made = tower(0.0)
    set_drop_path(made, 0.9)
    pixels = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        plain = made.eval()(pixels).last_hidden_state
        set_drop_path(made, 0.0)
        torch.testing.assert_close(made(pixels).last_hidden_state, plain)
        set_drop_path(made, 0.9)
        assert not torch.allclose(made.train()(pixels).last_hidden_state, plain)
