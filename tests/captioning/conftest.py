"""A BLIP-2 of a few thousand random weights, and pictures for it."""

from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import Blip2Config, Blip2ForConditionalGeneration, Blip2Processor, PreTrainedTokenizerFast
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

WORDS = [
    *("a", "photo", "of", "red", "green", "blue", "white", "black", "car", "bus", "taxi", "sign", "cat", "dog", "tree"),
    *("two", "three", "on", "the", "in", "front", "with", "small", "large", "old", "new", "stop", "cafe", "hotel"),
]
SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>"]


def word_tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {word: index for index, word in enumerate([*SPECIAL, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>", unk_token="<unk>"
    )


def build_blip2(folder: Path, *, text_config: dict | None = None, image_token_index: int | None = None) -> Path:
    """Save a random model; weights are large so that pictures differ in their captions and logits are far apart."""
    tokenizer = word_tokenizer()
    width = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {
        "model_type": "opt", "hidden_size": 32, "word_embed_proj_dim": 32, "ffn_dim": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "max_position_embeddings": 64, "init_std": 0.3,
        "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 1,
    }  # fmt: skip
    config = Blip2Config(
        vision_config={**width, "image_size": 16, "patch_size": 8, "initializer_range": 0.2},
        qformer_config={**width, "vocab_size": 8, "max_position_embeddings": 8, "initializer_range": 0.3},
        text_config={**(text_config or text), "vocab_size": len(SPECIAL) + len(WORDS) + 4},
        num_query_tokens=4,
        image_token_index=image_token_index,
    )
    torch.manual_seed(7)
    model = Blip2ForConditionalGeneration(config)
    torch.nn.init.normal_(model.query_tokens)
    image_processor = BlipImageProcessorPil(size={"height": 16, "width": 16})
    model.save_pretrained(folder)
    Blip2Processor(image_processor, tokenizer, num_query_tokens=4).save_pretrained(folder)
    return folder


def paint(path: Path, index: int, *, size: tuple[int, int] = (40, 30)) -> None:
    pixels = numpy.random.default_rng(index).integers(0, 256, size=(4, 4, 3), dtype=numpy.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST).save(path)


@pytest.fixture(scope="session")
def blip2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_blip2(tmp_path_factory.mktemp("blip2"), image_token_index=len(SPECIAL) + len(WORDS))


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, list[str]]:
    """A folder and the relative paths of 12 different pictures in it."""
    names = [f"images/{index:02d}.png" for index in range(12)]
    for index, name in enumerate(names):
        paint(tmp_path / name, index)
    return tmp_path, names
