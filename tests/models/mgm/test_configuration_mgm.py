"""The configuration: sizes derived from it, what it refuses, and that saving it loses nothing."""

from pathlib import Path

import pytest
from transformers import AutoConfig, CLIPVisionConfig, ConvNextConfig, GemmaConfig
from transformers.activations import ACT2FN

from recap.models.mgm.configuration_mgm import MGMConfig

SIZES = {
    "text_config": {"hidden_size": 64, "head_dim": 16},
    "vision_config": {"image_size": 70, "patch_size": 14, "hidden_size": 32, "num_attention_heads": 4},
    "vision_config_aux": {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]},
    "image_size_aux": 160,
}


def test_defaults_are_mgm_2b() -> None:
    config = MGMConfig()
    assert config.num_image_tokens == 576
    assert config.hidden_size_aux == 2880
    assert (config.text_config.hidden_size, config.text_config.num_hidden_layers) == (2048, 18)
    assert (config.vision_config.hidden_size, config.vision_config.image_size) == (1024, 336)
    assert (config.image_size_aux, config.vision_feature_layer, config.image_token_id) == (768, -2, -200)


@pytest.mark.parametrize(("grid", "whole", "tokens"), [(1, False, 25), (2, False, 100), (2, True, 125)])
def test_tokens_of_an_image(grid: int, whole: bool, tokens: int) -> None:
    assert MGMConfig(**SIZES, image_grid=grid, image_global=whole).num_image_tokens == tokens


def test_configurations_may_be_objects() -> None:
    text, vision = GemmaConfig(**SIZES["text_config"]), CLIPVisionConfig(**SIZES["vision_config"])
    aux = ConvNextConfig(**SIZES["vision_config_aux"])
    config = MGMConfig(text_config=text, vision_config=vision, vision_config_aux=aux, image_size_aux=160)
    assert config.text_config is text
    assert config.vision_config is vision
    assert config.vision_config_aux is aux


@pytest.mark.parametrize("activation", ["gelu", "gelu_pytorch_tanh"])
def test_activation_is_taken_literally_and_survives_saving(tmp_path: Path, activation: str) -> None:
    config = MGMConfig(**(SIZES | {"text_config": SIZES["text_config"] | {"hidden_act": activation}}))
    assert config.text_config.hidden_act == activation
    config.save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).text_config.hidden_act == activation


def test_activation_set_on_an_object_afterwards_survives_saving(tmp_path: Path) -> None:
    text = GemmaConfig(hidden_act="gelu", **SIZES["text_config"])
    assert text.hidden_act == "gelu_pytorch_tanh"  # what transformers makes of it
    text.hidden_act = "gelu"
    MGMConfig(**(SIZES | {"text_config": text})).save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).text_config.hidden_act == "gelu"


def test_the_given_dictionary_is_left_alone() -> None:
    text = {"hidden_act": "gelu", "hidden_size": 64}
    MGMConfig(**(SIZES | {"text_config": text}))
    assert text == {"hidden_act": "gelu", "hidden_size": 64}


def test_exact_and_approximate_gelu_differ() -> None:
    import torch

    points = torch.linspace(-3, 3, 101)
    assert (ACT2FN["gelu"](points) - ACT2FN["gelu_pytorch_tanh"](points)).abs().max() > 1e-4


def test_saving_and_loading_gives_the_same_configuration(tmp_path: Path) -> None:
    config = MGMConfig(**SIZES, image_grid=2, image_global=True, vision_feature_layer=-3, image_token_id=317)
    config.save_pretrained(tmp_path)
    again = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(again, MGMConfig)
    dictionaries = [item.to_dict() for item in (config, again)]
    for dictionary in dictionaries:
        dictionary.pop("_name_or_path", None)
        dictionary.pop("transformers_version", None)
    assert dictionaries[0] == dictionaries[1]


def test_a_global_view_needs_a_grid() -> None:
    with pytest.raises(ValueError, match="image_grid > 1"):
        MGMConfig(**SIZES, image_global=True)


def test_high_resolution_must_be_higher() -> None:
    with pytest.raises(ValueError, match="4 high-resolution positions a side per tile, fewer than the 5"):
        MGMConfig(**(SIZES | {"image_size_aux": 16}))
