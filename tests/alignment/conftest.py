"""Models that align, of a few thousand random weights each, and a packed corpus of pictures for them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    Blip2Config,
    Blip2ForImageTextRetrieval,
    Blip2Processor,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    PreTrainedTokenizerFast,
    Siglip2Config,
    Siglip2ImageProcessorPil,
    Siglip2Model,
    Siglip2Processor,
    Siglip2Tokenizer,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    SiglipProcessor,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

from recap.data.corpus.records import Record
from recap.data.formats.samples import Sample
from recap.data.sources.packing import pack

WORDS = [
    *("a", "photo", "of", "red", "green", "blue", "white", "car", "bus", "taxi", "sign", "cat", "dog", "tree", "two"),
    *("three", "on", "the", "in", "front", "with", "small", "large", "old", "new", "stop", "cafe", "hotel"),
]
SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>"]
VOCABULARY = len(SPECIAL) + len(WORDS)
TEXT_TOKENS = 10
WIDTH = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = {**WIDTH, "image_size": 16, "patch_size": 8}
TEXT = {
    **WIDTH, "vocab_size": VOCABULARY, "max_position_embeddings": TEXT_TOKENS,
    "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2,
}  # fmt: skip
SIZE = {"height": 16, "width": 16}


def word_tokenizer(**settings: object) -> PreTrainedTokenizerFast:
    """Words by their spelling, an end token after them."""
    vocabulary = {word: index for index, word in enumerate([*SPECIAL, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 2), ("<eos>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>", unk_token="<unk>",
        model_max_length=TEXT_TOKENS, **settings,
    )  # fmt: skip


def shaken(model: torch.nn.Module) -> torch.nn.Module:
    """Weights so large that texts and pictures differ in what they give."""
    torch.manual_seed(7)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def build_clip(folder: Path) -> Path:
    config = CLIPConfig(text_config=dict(TEXT), vision_config=dict(VISION), projection_dim=16)
    shaken(CLIPModel(config)).save_pretrained(folder)
    CLIPProcessor(CLIPImageProcessorPil(size=SIZE, do_center_crop=False), word_tokenizer()).save_pretrained(folder)
    return folder


def build_siglip(folder: Path) -> Path:
    text = {**TEXT, "projection_size": 32}
    shaken(SiglipModel(SiglipConfig(text_config=text, vision_config=dict(VISION)))).save_pretrained(folder)
    tokenizer = word_tokenizer(model_input_names=["input_ids"])
    SiglipProcessor(SiglipImageProcessorPil(size=SIZE), tokenizer).save_pretrained(folder)
    return folder


def build_siglip2(folder: Path) -> Path:
    """The kind whose pictures keep their shape: so many patches, padded to a fixed number."""
    vision = {**WIDTH, "patch_size": 16, "num_patches": 256}
    text = {**TEXT, "projection_size": 32}
    shaken(Siglip2Model(Siglip2Config(text_config=text, vision_config=vision))).save_pretrained(folder)
    # Its tokenizer is always its own: here of single letters.
    letters = {letter: index for index, letter in enumerate([*SPECIAL, "<mask>", *"abcdefghijklmnopqrstuvwxyz▁"])}
    tokenizer = Siglip2Tokenizer(vocab=letters, model_max_length=TEXT_TOKENS)
    image_processor = Siglip2ImageProcessorPil(patch_size=16, max_num_patches=256)
    Siglip2Processor(image_processor, tokenizer).save_pretrained(folder)
    return folder


def build_blip2_itm(folder: Path) -> Path:
    config = Blip2Config(
        vision_config=dict(VISION),
        qformer_config={
            **WIDTH,
            "vocab_size": VOCABULARY + 4,
            "max_position_embeddings": 64,
            "use_qformer_text_input": True,
        },
        text_config={"model_type": "opt", "vocab_size": VOCABULARY + 4, "hidden_size": 32, "num_hidden_layers": 1},
        num_query_tokens=4,
        image_text_hidden_size=16,
        image_token_index=VOCABULARY,
    )
    shaken(Blip2ForImageTextRetrieval(config)).save_pretrained(folder)
    Blip2Processor(BlipImageProcessorPil(size=SIZE), word_tokenizer(), num_query_tokens=4).save_pretrained(folder)
    return folder


BUILDERS = {"clip": build_clip, "siglip": build_siglip, "siglip2": build_siglip2, "blip2_itm": build_blip2_itm}


@pytest.fixture(scope="session")
def aligner_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: build(tmp_path_factory.mktemp(name)) for name, build in BUILDERS.items()}


def picture(index: int) -> Image.Image:
    pixels = numpy.random.default_rng(index).integers(0, 256, size=(4, 4, 3), dtype=numpy.uint8)
    return Image.fromarray(pixels).resize((40, 30), Image.Resampling.NEAREST)


def sentence(index: int) -> str:
    draw = numpy.random.default_rng(1000 + index)
    return " ".join(draw.choice(WORDS, size=int(draw.integers(1, 8))))


@pytest.fixture
def pack_corpus(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sequence[Record], Path, Path], Path]:
    """Puts pairs whose pictures lie below a folder into a corpus, as `prepare` does."""

    def put(records: Sequence[Record], pictures: Path, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        samples = (Sample(row.id, row.id, row.image, row.caption, dict(row.fields)) for row in records)
        pack(samples, pictures, folder, work=tmp_path_factory.mktemp("work"), workers=1)
        return folder

    return put


@pytest.fixture
def records(tmp_path: Path) -> list[Record]:
    """Twelve rows, each with a picture of its own below `pictures`."""
    (tmp_path / "pictures").mkdir()
    rows = [Record(f"row{index:02d}", f"{index:02d}.png", sentence(index)) for index in range(12)]
    for index, row in enumerate(rows):
        picture(index).save(tmp_path / "pictures" / row.image)
    return rows


@pytest.fixture
def corpus(records: list[Record], tmp_path: Path, pack_corpus: Callable[[Sequence[Record], Path, Path], Path]) -> Path:
    return pack_corpus(records, tmp_path / "pictures", tmp_path / "corpus")
