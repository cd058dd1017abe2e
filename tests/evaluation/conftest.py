"""A tiny random MGM."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_mgm(tmp_path_factory: pytest.TempPathFactory, assets: Path) -> Path:
    """A random MGM, saved: wide weights, so that its answers differ from prompt to prompt."""
    import torch
    from transformers import AutoTokenizer

    from recap.models.mgm.configuration_mgm import MGMConfig
    from recap.models.mgm.image_processing_mgm import MGMImageProcessor
    from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
    from recap.models.mgm.processing_mgm import MGMProcessor

    tokenizer = AutoTokenizer.from_pretrained(assets / "toy_tokenizer")
    text_config = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "initializer_range": 0.3,
        "max_position_embeddings": 512,
    }  # fmt: skip
    vision_config = {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": 28, "patch_size": 14,
    }  # fmt: skip
    config = MGMConfig(
        text_config=text_config,
        vision_config=vision_config,
        vision_config_aux={"hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1]},
        image_size_aux=64,
    )
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "merged"
    MGMForConditionalGeneration(config).save_pretrained(folder)
    image_processor = MGMImageProcessor(image_size=28, image_size_aux=64)
    MGMProcessor(image_processor, tokenizer, config.num_image_tokens, config.image_token_id).save_pretrained(folder)
    return folder
