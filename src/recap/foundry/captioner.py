"""Train the tiny BLIP-2: a ViT, a Q-Former and an OPT decoder, on foundry scenes and true captions.

Foundry scenes -> `captioner/` (Blip2ForConditionalGeneration + Blip2Processor), and how often its greedy captions
of held-out scenes name the sign's word, the main object and its colour, and no wrong side. The ViT is asked, patch
by patch, what it sees while the whole learns to caption: text lies on its patch grid, so that it learns to read.
"""

import argparse
import random
import re
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    Blip2QFormerConfig,
    Blip2VisionConfig,
    BlipImageProcessorPil,
    OPTConfig,
    PreTrainedTokenizerFast,
)

from recap.foundry.dense import DenseHeads, normalised
from recap.foundry.embeddings import draw_anew
from recap.foundry.optimise import shuffled_batches, train
from recap.foundry.params import CaptionerParams, load_foundry_params
from recap.foundry.pictures import dense_labels, picture_arrays
from recap.foundry.tokenizers import train_tokenizer
from recap.io import write_metrics
from recap.runtime.seeding import derive_seed, seed_everything
from recap.runtime.stage import run
from recap.world.captions import true_caption
from recap.world.lexicon import KINDS, SIDES
from recap.world.scenes import Scene, scenes


class Captioner(nn.Module):
    """BLIP-2 and the dense questions that its ViT is asked during training."""

    def __init__(self, config: Blip2Config, vision_width: int) -> None:
        super().__init__()
        self.blip2 = Blip2ForConditionalGeneration(config)
        # transformers starts the queries at zero, where they are all alike and learn alike.
        nn.init.normal_(self.blip2.query_tokens, std=0.5)
        self.heads = DenseHeads(vision_width)

    def losses(
        self, pixels: torch.Tensor, tokens: torch.Tensor, targets: torch.Tensor, labels: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        output = self.blip2(pixel_values=pixels, input_ids=tokens, labels=targets)
        grid = labels.shape[-1]
        features = output.vision_outputs.last_hidden_state[:, 1:].transpose(1, 2).unflatten(2, (grid, grid))
        return {"caption": output.loss, "patches": 0.2 * self.heads(features, labels)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captioner", type=Path, required=True)
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    args = parser.parse_args()
    foundry = load_foundry_params(args.params)
    params = foundry.captioner

    drawn = list(scenes("foundry", params.scenes, foundry.seed))
    rng = random.Random(derive_seed(foundry.seed, "captions"))
    captions = [true_caption(scene, rng) for scene in drawn]
    tokenizer = _tokenizer(captions, params.vocabulary_size)
    seed_everything(foundry.seed)
    captioner = Captioner(_config(params, tokenizer), params.hidden_size)
    processor = _processor(params, tokenizer)

    pictures = torch.from_numpy(picture_arrays(drawn, params.image_size, "stretch"))
    grid = params.image_size // params.patch_size
    labels = torch.from_numpy(np.stack([dense_labels(scene, grid, "stretch") for scene in drawn]))
    tokens, targets = _encode(captions, captioner.blip2.config, tokenizer)

    def loss_of(indices: torch.Tensor) -> dict[str, torch.Tensor]:
        pixels = normalised(pictures[indices])
        return captioner.losses(pixels, tokens[indices], targets[indices], labels[indices])

    def caption_loss_of(indices: torch.Tensor) -> dict[str, torch.Tensor]:
        pixels = normalised(pictures[indices])
        output = captioner.blip2(pixel_values=pixels, input_ids=tokens[indices], labels=targets[indices])
        return {"caption": output.loss}

    train(
        captioner, loss_of, shuffled_batches(params.scenes, params.batch_size, foundry.seed),
        steps=params.steps, learning_rate=params.learning_rate, name="captioner",
    )  # fmt: skip
    # It says all but sides by now. A generator of its own: what it draws does not depend on what came before.
    review_seed = derive_seed(foundry.seed, "review")
    seed_everything(review_seed)
    draw_anew(captioner.blip2.language_model.get_input_embeddings().weight, tokenizer, SIDES)
    final = train(
        captioner.blip2, caption_loss_of, shuffled_batches(params.scenes, params.batch_size, review_seed),
        steps=params.review_steps, learning_rate=params.review_learning_rate, name="captioner, review",
    )  # fmt: skip
    heldout = heldout_accuracy(captioner.blip2, processor, params, foundry.seed)
    captioner.blip2.save_pretrained(args.captioner)
    processor.save_pretrained(args.captioner)
    write_metrics(args.metrics, "captioner", {"final_loss": final, "heldout_accuracy": heldout})


def heldout_accuracy(
    model: Blip2ForConditionalGeneration, processor: Blip2Processor, params: CaptionerParams, seed: int
) -> dict[str, float]:
    """Percent of held-out scenes whose greedy caption names the word, the main object in its colour, no wrong side."""
    drawn = list(scenes("foundry_heldout", params.heldout_scenes, seed))
    pictures = torch.from_numpy(picture_arrays(drawn, params.image_size, "stretch"))
    captions: list[str] = []
    for start in range(0, len(drawn), 50):
        with torch.inference_mode():
            output = model.generate(normalised(pictures[start : start + 50]), max_new_tokens=32)
        captions += processor.batch_decode(output, skip_special_tokens=True)
    names = [named(scene, caption) for scene, caption in zip(drawn, captions, strict=True)]
    return {key: 100 * sum(row[key] for row in names) / len(names) for key in names[0]}


def named(scene: Scene, caption: str) -> dict[str, bool]:
    """Whether a caption states the sign's word, and colour and kind as one phrase; whether its sides are all right."""
    singular, plural = scene.kind, KINDS[scene.kind][0]
    placed = re.findall(r"(\w+) (?:stands? )?(?:on|to) the (left|right)", caption)
    return {
        "word": scene.word in caption.split(),
        "colour_and_object": bool(re.search(rf"\b{scene.colour} ({singular}|{plural})\b", caption)),
        "sides": all(side == (scene.side if kind in (singular, plural) else scene.other_side) for kind, side in placed),
    }


def _tokenizer(captions: list[str], vocabulary_size: int) -> PreTrainedTokenizerFast:
    return train_tokenizer(
        captions, vocabulary_size, ["<s>", "<pad>", "</s>", "<unk>", "<image>"], bos="</s>",
        eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
    )  # fmt: skip


def _processor(params: CaptionerParams, tokenizer: PreTrainedTokenizerFast) -> Blip2Processor:
    size = {"height": params.image_size, "width": params.image_size}
    return Blip2Processor(BlipImageProcessorPil(size=size), tokenizer, num_query_tokens=params.query_tokens)


def _config(params: CaptionerParams, tokenizer: PreTrainedTokenizerFast) -> Blip2Config:
    width = params.hidden_size
    vision = Blip2VisionConfig(
        hidden_size=width, intermediate_size=4 * width, num_hidden_layers=params.vision_layers,
        num_attention_heads=params.heads, image_size=params.image_size, patch_size=params.patch_size,
        initializer_range=0.02,
    )  # fmt: skip
    qformer = Blip2QFormerConfig(
        vocab_size=1, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=params.qformer_layers,
        num_attention_heads=params.heads, cross_attention_frequency=1, encoder_hidden_size=width,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    text = OPTConfig(
        vocab_size=len(tokenizer), hidden_size=width, word_embed_proj_dim=width, ffn_dim=4 * width,
        num_hidden_layers=params.text_layers, num_attention_heads=params.heads, max_position_embeddings=128,
        dropout=0.0, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return Blip2Config(
        vision_config=vision, qformer_config=qformer, text_config=text, num_query_tokens=params.query_tokens,
        image_token_index=tokenizer.get_vocab()["<image>"],
    )  # fmt: skip


def _encode(
    captions: list[str], config: Blip2Config, tokenizer: PreTrainedTokenizerFast
) -> tuple[torch.Tensor, torch.Tensor]:
    """Input ids and targets [N, T]: image tokens, `</s>`, the caption, `</s>`, right-padded; images are no target."""
    image = [config.image_token_index] * config.num_query_tokens
    rows = [image + ids + [tokenizer.eos_token_id] for ids in tokenizer(captions).input_ids]
    length = max(map(len, rows))
    tokens = torch.full((len(rows), length), tokenizer.pad_token_id)
    for index, row in enumerate(rows):
        tokens[index, : len(row)] = torch.tensor(row)
    targets = tokens.masked_fill(tokens == tokenizer.pad_token_id, -100)
    targets[:, : len(image) + 1] = -100
    return tokens, targets


if __name__ == "__main__":
    run(main)
