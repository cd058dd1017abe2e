"""A BLIP-2 of random weights and pictures for it, made from nothing: for timing where no checkpoint can be had."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import Blip2Config, Blip2ForConditionalGeneration, Blip2Processor, PreTrainedTokenizerFast
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

# Sizes of Salesforce/blip2-opt-2.7b (ViT-g, a Q-Former of BERT's size, OPT-2.7b), and of a model for trying this out.
SIZES: dict[str, dict[str, Any]] = {
    "opt-2.7b": {
        "vision_config": {
            "hidden_size": 1408, "intermediate_size": 6144, "num_hidden_layers": 39, "num_attention_heads": 16,
            "image_size": 224, "patch_size": 14,
        },
        "qformer_config": {
            "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
            "encoder_hidden_size": 1408, "vocab_size": 30522,
        },
        "text_config": {
            "model_type": "opt", "hidden_size": 2560, "word_embed_proj_dim": 2560, "ffn_dim": 10240,
            "num_hidden_layers": 32, "num_attention_heads": 32, "max_position_embeddings": 2048, "vocab_size": 50304,
        },
        "num_query_tokens": 32,
        "image_token_index": 50265,
    },
    "tiny": {
        "vision_config": {
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
            "image_size": 32, "patch_size": 8,
        },
        "qformer_config": {
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
            "encoder_hidden_size": 32, "vocab_size": 8,
        },
        "text_config": {
            "model_type": "opt", "hidden_size": 32, "word_embed_proj_dim": 32, "ffn_dim": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "max_position_embeddings": 256, "vocab_size": 100,
        },
        "num_query_tokens": 4,
        "image_token_index": 90,
    },
}  # fmt: skip
PAD, START = 1, 2


def random_model(size: str, device: torch.device, dtype: torch.dtype) -> Blip2ForConditionalGeneration:
    """The model of that size, its weights drawn on the device."""
    sizes = {**SIZES[size], "text_config": SIZES[size]["text_config"] | _marks()}
    torch.manual_seed(0)
    with torch.device(device):
        model: Any = Blip2ForConditionalGeneration._from_config(Blip2Config(**sizes), dtype=dtype)
        torch.nn.init.normal_(model.query_tokens, std=0.02)
    model.generation_config.update(pad_token_id=PAD, bos_token_id=START, eos_token_id=START)
    model.language_model.generation_config.update(pad_token_id=PAD, bos_token_id=START, eos_token_id=START)
    return model.eval()


def random_processor(size: str) -> Blip2Processor:
    """Its processor, with a tokenizer of made-up words."""
    words = {f"w{number}": number for number in range(SIZES[size]["image_token_index"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w3"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="w1", bos_token="w2", eos_token="w2")
    side = SIZES[size]["vision_config"]["image_size"]
    images = BlipImageProcessorPil(size={"height": side, "width": side})
    return Blip2Processor(images, fast, num_query_tokens=SIZES[size]["num_query_tokens"])


def random_pictures(folder: Path, count: int, size: tuple[int, int] = (640, 480)) -> None:
    """JPEG files of smooth patches under fine noise."""
    folder.mkdir()
    for number in range(count):
        rng = np.random.default_rng(number)
        patches = Image.fromarray(rng.integers(0, 256, size=(6, 8, 3), dtype=np.uint8))
        smooth = np.asarray(patches.resize(size, Image.Resampling.BICUBIC), dtype=np.int16)
        noisy = smooth + rng.integers(-8, 9, size=smooth.shape, dtype=np.int16)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{number:05d}.jpg", quality=90)


def _marks() -> dict[str, int]:
    return {"pad_token_id": PAD, "bos_token_id": START, "eos_token_id": START}
