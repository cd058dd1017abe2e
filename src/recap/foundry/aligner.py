"""Train the tiny aligner, a CLIP that says how well a caption fits a picture, on foundry scenes.

Foundry scenes -> `aligner/` (CLIPModel + CLIPProcessor), and how often it finds the caption that is true. A picture's
text is a true caption or what a web page would say of it; it is told from the texts of the batch's other pictures, and
from its own with one thing wrong. The ViT is asked, patch by patch, what it sees meanwhile. Not all of that reaches the
embedding of the picture: foundry/README.md says what does not.
"""

import argparse
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import processors
from torch import nn
from torch.nn import functional as F
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    CLIPTextConfig,
    CLIPVisionConfig,
    PreTrainedTokenizerFast,
)

from recap.foundry.dense import DenseHeads, normalised
from recap.foundry.optimise import shuffled_batches, train
from recap.foundry.params import AlignerParams, load_foundry_params
from recap.foundry.pictures import dense_labels, picture_arrays
from recap.foundry.tokenizers import train_tokenizer
from recap.io import write_metrics
from recap.runtime.seeding import derive_seed, seed_everything
from recap.runtime.stage import run
from recap.world.captions import raw_caption, true_caption
from recap.world.lexicon import COLOURS, KINDS, SIGN_COLOURS, SIGN_WORDS
from recap.world.scenes import Scene, scenes
from recap.world.settings import CaptionDefects

# Short and repetitive as the web's are, but of the picture: the corpus's own mismatched ones are what is to be found.
RAW = CaptionDefects(too_short=3.9, repetitive=3.0, mismatched=0.0, with_sign_word=15.0)
RAW_SHARE = 0.5
# What of a scene a near miss gets wrong.
FIELDS = ("word", "sign_colour", "night", "kind", "colour", "count", "side", "other_kind", "other_colour")
# Not 2: transformers takes a CLIP whose end token is 2 for one of those whose configuration has it wrong.
SPECIAL_TOKENS = ("<s>", "<pad>", "<unk>", "</s>")
MAX_TOKENS = 77  # CLIP's own


class Aligner(nn.Module):
    """CLIP and the dense questions that its ViT is asked during training."""

    def __init__(self, config: CLIPConfig, width: int) -> None:
        super().__init__()
        self.clip = CLIPModel(config)
        self.heads = DenseHeads(width)

    def losses(
        self, pixels: torch.Tensor, labels: torch.Tensor, texts: dict[str, torch.Tensor], same: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """The contrastive loss and the patches'.

        Args:
            pixels: [B, 3, S, S].
            labels: [B, L, G, G], see `recap.foundry.pictures.dense_labels`.
            texts: Input of 2B texts: the pictures' own, then those with one thing wrong.
            same: [B] bool, where a text has nothing wrong after all.
        """
        seen = self.clip.get_image_features(pixels)
        grid, count = labels.shape[-1], len(pixels)
        features = seen.last_hidden_state[:, 1:].transpose(1, 2).unflatten(2, (grid, grid))
        images = F.normalize(seen.pooler_output, dim=-1)  # [B, D]
        words = F.normalize(self.clip.get_text_features(**texts).pooler_output, dim=-1)  # [2B, D]
        logits = self.clip.logit_scale.exp().clamp(max=100) * images @ words.T  # [B, 2B]
        unusable = torch.cat([torch.zeros(count, count, dtype=torch.bool), torch.diag(same)], dim=1)
        own = torch.arange(count)
        to_text = F.cross_entropy(logits.masked_fill(unusable, float("-inf")), own)
        to_image = F.cross_entropy(logits[:, :count].T, own)
        return {"contrastive": (to_text + to_image) / 2, "patches": 0.2 * self.heads(features, labels)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--aligner", type=Path, required=True)
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    args = parser.parse_args()
    foundry = load_foundry_params(args.params)
    params = foundry.aligner

    drawn = list(scenes("foundry", params.scenes, foundry.seed))
    rng = random.Random(derive_seed(foundry.seed, "aligner's texts"))
    tokenizer = _tokenizer([write(scene, rng) for scene in drawn for write in (true_caption, web_text)], params)
    seed_everything(foundry.seed)
    aligner = Aligner(_config(params, tokenizer), params.hidden_size)

    pictures = torch.from_numpy(picture_arrays(drawn, params.image_size, "stretch"))
    grid = params.image_size // params.patch_size
    labels = torch.from_numpy(np.stack([dense_labels(scene, grid, "stretch") for scene in drawn]))

    def loss_of(indices: torch.Tensor) -> dict[str, torch.Tensor]:
        pairs = [text_and_near_miss(drawn[index], rng) for index in indices.tolist()]
        texts, missed = (list(column) for column in zip(*pairs, strict=True))
        same = torch.tensor([text == miss for text, miss in pairs])
        return aligner.losses(normalised(pictures[indices]), labels[indices], _tokens(tokenizer, texts + missed), same)

    final = train(
        aligner, loss_of, shuffled_batches(params.scenes, params.batch_size, foundry.seed),
        steps=params.steps, learning_rate=params.learning_rate, name="aligner",
    )  # fmt: skip
    heldout = heldout_preference(aligner.clip, tokenizer, params, foundry.seed)
    aligner.clip.save_pretrained(args.aligner)
    _processor(params, tokenizer).save_pretrained(args.aligner)
    write_metrics(args.metrics, "aligner", {"final_loss": final, "heldout_preference": heldout})


def web_text(scene: Scene, rng: random.Random) -> str:
    """A raw caption that is about the scene."""
    return raw_caption(scene, rng, scene, RAW)


def text_and_near_miss(scene: Scene, rng: random.Random) -> tuple[str, str]:
    """A text about a scene, and the same text about a scene that differs in one thing, which the text may not tell."""
    write = web_text if rng.random() < RAW_SHARE else true_caption
    wording = rng.getrandbits(32)
    near = changed(scene, rng.choice(FIELDS), rng)
    return write(scene, random.Random(wording)), write(near, random.Random(wording))


def changed(scene: Scene, field: str, rng: random.Random) -> Scene:
    """The scene with another value in one field."""
    values: dict[str, Sequence[object]] = {
        "word": list(SIGN_WORDS), "sign_colour": SIGN_COLOURS, "night": (False, True), "kind": list(KINDS),
        "colour": list(COLOURS), "count": (1, 2, 3, 4), "side": ("left", "right"), "other_kind": list(KINDS),
        "other_colour": list(COLOURS),
    }  # fmt: skip
    others: list[object] = [value for value in values[field] if value != getattr(scene, field)]
    change: dict[str, object] = {field: rng.choice(others)}
    return replace(scene, **change)  # type: ignore[arg-type]


def heldout_preference(
    model: CLIPModel, tokenizer: PreTrainedTokenizerFast, params: AlignerParams, seed: int
) -> dict[str, float]:
    """Percent of held-out pictures that a true text fits better than a wrong one, by what the wrong one is.

    `true` and `raw` hold a picture's own caption against the next picture's, each other key against the same caption
    with that field wrong. Where the two texts are equal, there is nothing to prefer.
    """
    drawn = list(scenes("foundry_heldout", params.heldout_scenes, seed))
    pictures = torch.from_numpy(picture_arrays(drawn, params.image_size, "stretch"))
    with torch.inference_mode():
        images = torch.cat([model.get_image_features(normalised(chunk)).pooler_output for chunk in pictures.split(50)])

    def fits(texts: list[str]) -> torch.Tensor:
        with torch.inference_mode():
            words = model.get_text_features(**_tokens(tokenizer, texts)).pooler_output
        return F.cosine_similarity(images, words)

    def preference(right: list[str], wrong: list[str]) -> float:
        differ = torch.tensor([a != b for a, b in zip(right, wrong, strict=True)])
        return 100 * (fits(right) > fits(wrong))[differ].double().mean().item()

    def texts(write: Callable[[Scene, random.Random], str], about: Sequence[Scene]) -> list[str]:
        return [write(scene, random.Random(derive_seed(seed, "held out", n))) for n, scene in enumerate(about)]

    found = {}
    for name, write in (("true", true_caption), ("raw", web_text)):
        own = texts(write, drawn)
        found[name] = preference(own, own[1:] + own[:1])
    rng = random.Random(derive_seed(seed, "near misses"))
    own = texts(true_caption, drawn)
    for field in FIELDS:
        found[field] = preference(own, texts(true_caption, [changed(scene, field, rng) for scene in drawn]))
    return found


def _tokenizer(texts: list[str], params: AlignerParams) -> PreTrainedTokenizerFast:
    start, pad, unknown, end = SPECIAL_TOKENS
    tokenizer = train_tokenizer(
        texts, params.vocabulary_size, SPECIAL_TOKENS, bos=start, eos_token=end, pad_token=pad, unk_token=unknown,
        model_max_length=MAX_TOKENS,
    )  # fmt: skip
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}",
        special_tokens=[(token, SPECIAL_TOKENS.index(token)) for token in (start, end)],
    )
    return tokenizer


def _processor(params: AlignerParams, tokenizer: PreTrainedTokenizerFast) -> CLIPProcessor:
    size = {"height": params.image_size, "width": params.image_size}
    return CLIPProcessor(CLIPImageProcessorPil(size=size, do_center_crop=False, crop_size=size), tokenizer)


def _config(params: AlignerParams, tokenizer: PreTrainedTokenizerFast) -> CLIPConfig:
    width = params.hidden_size
    both: dict[str, Any] = {"hidden_size": width, "intermediate_size": 4 * width, "num_attention_heads": params.heads}
    vision = CLIPVisionConfig(
        **both, num_hidden_layers=params.vision_layers, image_size=params.image_size, patch_size=params.patch_size,
        projection_dim=params.projection,
    )  # fmt: skip
    text = CLIPTextConfig(
        **both, num_hidden_layers=params.text_layers, vocab_size=len(tokenizer), max_position_embeddings=MAX_TOKENS,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        projection_dim=params.projection,
    )  # fmt: skip
    return CLIPConfig(text_config=text, vision_config=vision, projection_dim=params.projection)


def _tokens(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> dict[str, torch.Tensor]:
    encoded = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    return {name: encoded[name] for name in ("input_ids", "attention_mask")}


if __name__ == "__main__":
    run(main)
