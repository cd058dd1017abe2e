"""Models of a few thousand random weights of families other than BLIP-2, each with its own processor."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipProcessor,
    CLIPImageProcessorPil,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextImageProcessorPil,
    LlavaNextProcessor,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

from .conftest import WORDS

MARKS = ["<pad>", "<eos>", "<bos>", "<unk>", "<image>", "USER", "ASSISTANT"]
CHAT = (
    "{% for message in messages %}USER {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }} {% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT {% endif %}"
)
WIDTH = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = {"model_type": "clip_vision_model", **WIDTH, "image_size": 16, "patch_size": 8}
TEXT = {
    "model_type": "llama", **WIDTH, "num_key_value_heads": 2, "vocab_size": len(MARKS) + len(WORDS),
    "max_position_embeddings": 128, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 1,
}  # fmt: skip


def chat_tokenizer(**marks: str) -> PreTrainedTokenizerFast:
    vocabulary = {word: index for index, word in enumerate([*MARKS, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>", unk_token="<unk>",
        extra_special_tokens=marks,
    )  # fmt: skip
    fast.add_special_tokens({"additional_special_tokens": MARKS[4:]})
    return fast


def save(model: Any, processor: Any, folder: Path) -> Path:
    """Weights are large, so that pictures differ in their captions and logits are far apart."""
    torch.manual_seed(3)
    for name, weight in model.named_parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.35)
        elif "norm" not in name.lower():
            torch.nn.init.normal_(weight, std=0.1)
    model.generation_config.update(eos_token_id=1, pad_token_id=0, bos_token_id=2)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def build_llava(folder: Path) -> Path:
    """CLIP, a projector and a Llama; a chat template."""
    config = LlavaConfig(vision_config=VISION, text_config=TEXT, image_token_id=4, image_seq_length=4)
    size = {"height": 16, "width": 16}
    images = CLIPImageProcessorPil(size=size, crop_size=size)
    processor = LlavaProcessor(
        images, chat_tokenizer(image_token="<image>"), patch_size=8, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=CHAT,
    )  # fmt: skip
    return save(LlavaForConditionalGeneration(config), processor, folder)


def build_llava_next(folder: Path) -> Path:
    """Tiles of a picture beside the whole: as many image tokens as its shape asks for."""
    grids = [[16, 32], [32, 16], [32, 32]]
    config = LlavaNextConfig(
        vision_config=VISION, text_config=TEXT, image_token_id=4, image_grid_pinpoints=grids, image_seq_length=4
    )
    size = {"height": 16, "width": 16}
    images = LlavaNextImageProcessorPil(size={"shortest_edge": 16}, crop_size=size, image_grid_pinpoints=grids)
    processor = LlavaNextProcessor(
        images, chat_tokenizer(image_token="<image>"), patch_size=8, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=CHAT,
    )  # fmt: skip
    return save(LlavaNextForConditionalGeneration(config), processor, folder)


def build_blip(folder: Path) -> Path:
    """A BERT that continues a prompt and looks at the picture in every layer; a `generate` of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = ["[PAD]", "[SEP]", "[DEC]", "[CLS]", "[UNK]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    config = BlipConfig(
        vision_config={**WIDTH, "image_size": 16, "patch_size": 8},
        text_config={
            **WIDTH, "vocab_size": len(vocabulary), "encoder_hidden_size": 32, "max_position_embeddings": 64,
            "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 1, "sep_token_id": 1,
        },
        projection_dim=16,
    )  # fmt: skip
    images = BlipImageProcessorPil(size={"height": 16, "width": 16})
    processor = BlipProcessor(images, BertTokenizer(str(folder / "vocab.txt")))
    return save(BlipForConditionalGeneration(config), processor, folder)


FAMILIES = {"llava": build_llava, "llava_next": build_llava_next, "blip": build_blip}
