"""Train the tiny aligner, a CLIP that says how well a caption fits a picture, on foundry scenes.

Foundry scenes -> `aligner/` (CLIPModel + CLIPProcessor), and how often it finds the caption that is true. A picture's
text is a true caption or what a web page would say of it; it is told from the texts of the batch's other pictures, and
from its own with one thing wrong. The ViT is asked, patch by patch, what it sees meanwhile: text lies on its patch
grid, so that it learns to read.
"""

import argparse
import random
from collections.abc import Sequence
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
from recap.foundry.embeddings import draw_anew
from recap.foundry.optimise import shuffled_batches, train
from recap.foundry.params import AlignerParams, load_foundry_params
from recap.foundry.pictures import dense_labels, picture_arrays
from recap.foundry.tokenizers import train_tokenizer
from recap.io import write_metrics
from recap.runtime.seeding import derive_seed, seed_everything
from recap.runtime.stage import run
from recap.world.captions import raw_caption, true_caption
from recap.world.lexicon import COLOURS, KINDS, SIDES, SIGN_COLOURS, SIGN_WORDS
from recap.world.scenes import Scene, scenes
from recap.world.settings import CaptionDefects

# Short and repetitive as the web's are, but of the picture: the corpus's own mismatched ones are what is to be found.
RAW = CaptionDefects(too_short=3.9, repetitive=3.0, mismatched=0.0, with_sign_word=15.0)
RAW_SHARE = 0.5
REVIEW_MISSES = 3  # Near misses of a text in the review; before it one.
# What of a scene a near miss gets wrong.
FIELDS: dict[str, Sequence[object]] = {
    "word": list(SIGN_WORDS), "sign_colour": SIGN_COLOURS, "night": (False, True), "kind": list(KINDS),
    "colour": list(COLOURS), "count": (1, 2, 3, 4), "side": SIDES, "other_kind": list(KINDS),
    "other_colour": list(COLOURS),
}  # fmt: skip
# Not 2: transformers takes a CLIP whose end token is 2 for one of those whose configuration has it wrong.
SPECIAL_TOKENS = ("<s>", "<pad>", "<unk>", "</s>")
MAX_TOKENS = 77  # CLIP's own


class Aligner(nn.Module):
    """CLIP and the dense questions that its ViT is asked during training."""

    def __init__(self, config: CLIPConfig, width: int) -> None:
        super().__init__()
        self.clip = CLIPModel(config)
        self.heads = DenseHeads(width)
        self.questions = nn.ModuleDict(
            {field: nn.Linear(config.projection_dim, len(values)) for field, values in FIELDS.items()}
        )

    def losses(
        self,
        pixels: torch.Tensor,
        labels: torch.Tensor,
        texts: dict[str, torch.Tensor],
        same: torch.Tensor,
        facts: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """The contrastive loss and the patches', and in the review what the whole picture's embedding answers.

        Args:
            pixels: [B, 3, S, S].
            labels: [B, L, G, G], see `recap.foundry.pictures.dense_labels`.
            texts: Input of (1 + M)B texts: the pictures' own, then M times those with one thing wrong.
            same: [M, B] bool, where a text has nothing wrong after all.
            facts: [B, len(FIELDS)], the number of what the scene has in each field.
        """
        seen = self.clip.get_image_features(pixels)
        grid, count = labels.shape[-1], len(pixels)
        features = seen.last_hidden_state[:, 1:].transpose(1, 2).unflatten(2, (grid, grid))
        images = F.normalize(seen.pooler_output, dim=-1)  # [B, D]
        words = F.normalize(self.clip.get_text_features(**texts).pooler_output, dim=-1)  # [(1 + M)B, D]
        logits = self.clip.logit_scale.exp().clamp(max=100) * images @ words.T  # [B, (1 + M)B]
        unusable = torch.cat([torch.zeros(count, count, dtype=torch.bool), *map(torch.diag, same)], dim=1)
        own = torch.arange(count)
        to_text = F.cross_entropy(logits.masked_fill(unusable, float("-inf")), own)
        to_image = F.cross_entropy(logits[:, :count].T, own)
        losses = {"contrastive": (to_text + to_image) / 2, "patches": 0.2 * self.heads(features, labels)}
        if facts is not None:
            answers = zip(self.questions.values(), facts.T, strict=True)
            losses["facts"] = (
                0.3 * torch.stack([F.cross_entropy(ask(images * 10), fact) for ask, fact in answers]).sum()
            )
        return losses


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

    facts = torch.tensor([[values.index(getattr(scene, name)) for name, values in FIELDS.items()] for scene in drawn])

    def losses_of(indices: torch.Tensor, misses: int, texts_by: random.Random) -> dict[str, torch.Tensor]:
        rows = [text_and_near_misses(drawn[index], misses, texts_by) for index in indices.tolist()]
        own, *missed = zip(*rows, strict=True)
        same = torch.tensor([[text == miss for text, miss in zip(own, column, strict=True)] for column in missed])
        tokens = _tokens(tokenizer, [text for column in (own, *missed) for text in column])
        asked = facts[indices] if misses > 1 else None
        return aligner.losses(normalised(pictures[indices]), labels[indices], tokens, same, asked)

    train(
        aligner, lambda indices: losses_of(indices, 1, rng),
        shuffled_batches(params.scenes, params.batch_size, foundry.seed),
        steps=params.steps, learning_rate=params.learning_rate, name="aligner",
    )  # fmt: skip
    # It knows kinds and colours by now, and neither words nor sides: its embedding of a picture is asked for them.
    review_seed = derive_seed(foundry.seed, "aligner's review")
    seed_everything(review_seed)
    draw_anew(aligner.clip.text_model.embeddings.token_embedding.weight, tokenizer, SIDES)
    review_texts = random.Random(review_seed)
    final = train(
        aligner, lambda indices: losses_of(indices, REVIEW_MISSES, review_texts),
        shuffled_batches(params.scenes, params.batch_size, review_seed),
        steps=params.review_steps, learning_rate=params.review_learning_rate, name="aligner, review",
    )  # fmt: skip
    heldout = heldout_preference(aligner.clip, tokenizer, params, foundry.seed)
    aligner.clip.save_pretrained(args.aligner)
    _processor(params, tokenizer).save_pretrained(args.aligner)
    write_metrics(args.metrics, "aligner", {"final_loss": final, "heldout_preference": heldout})


def web_text(scene: Scene, rng: random.Random) -> str:
    """A raw caption that is about the scene."""
    return raw_caption(scene, rng, scene, RAW)


def text_and_near_misses(scene: Scene, misses: int, rng: random.Random) -> list[str]:
    """A text about a scene, and the same about scenes that differ in one thing, which the text may not tell."""
    write = web_text if rng.random() < RAW_SHARE else true_caption
    wording = rng.getrandbits(32)
    near = [changed(scene, rng.choice(list(FIELDS)), rng) for _ in range(misses)]
    return [write(shown, random.Random(wording)) for shown in (scene, *near)]


def changed(scene: Scene, field: str, rng: random.Random) -> Scene:
    """The scene with another value in one field."""
    others: list[object] = [value for value in FIELDS[field] if value != getattr(scene, field)]
    change: dict[str, object] = {field: rng.choice(others)}
    return replace(scene, **change)  # type: ignore[arg-type]


def heldout_preference(
    model: CLIPModel, tokenizer: PreTrainedTokenizerFast, params: AlignerParams, seed: int
) -> dict[str, float]:
    """Percent of held-out pictures that a true text fits better than a wrong one, by what the wrong one is.

    `true` and `raw` hold a picture's own caption against the next picture's, each other key against the same caption
    with that field wrong. Equal texts count half.
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
        better = torch.sign(fits(right) - fits(wrong)).masked_fill(
            torch.tensor([a == b for a, b in zip(right, wrong, strict=True)]), 0
        )
        return 100 * (0.5 + 0.5 * better.mean().item())

    def texts(write: object, about: Sequence[Scene], name: str) -> list[str]:
        return [write(scene, random.Random(derive_seed(seed, name, i))) for i, scene in enumerate(about)]  # type: ignore[operator]

    found = {}
    for name, write in (("true", true_caption), ("raw", web_text)):
        own = texts(write, drawn, name)
        found[name] = preference(own, own[1:] + own[:1])
    rng = random.Random(derive_seed(seed, "near misses"))
    own = texts(true_caption, drawn, "true")
    for field in FIELDS:
        near = texts(true_caption, [changed(scene, field, rng) for scene in drawn], "true")
        told = [index for index, (a, b) in enumerate(zip(own, near, strict=True)) if a != b]
        found[field] = preference(own, near)
        found[field] = 50 + (found[field] - 50) * len(drawn) / len(told)
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
