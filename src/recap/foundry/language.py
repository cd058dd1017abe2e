"""Train the tiny Gemma and its tokenizer: a language model that can answer about what its context shows.

Foundry scenes -> `language_model/` (GemmaForCausalLM + tokenizer). No picture is involved: in place of visual
tokens the model meets, patch by patch, the sum of its own embeddings of the words for what stands there, with
facts missing and noise added. It learns the chat template, the questions and the lexicon, as a full-size
Gemma has; a run's projector still has to learn to turn the towers' features into something it understands.
"""

import argparse
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import GemmaConfig, GemmaForCausalLM, PreTrainedTokenizerFast

from recap.foundry.optimise import train
from recap.foundry.params import LanguageParams, load_foundry_params
from recap.foundry.pictures import DENSE_CLASSES, MAIN, OTHER, SIGN, dense_labels
from recap.foundry.tokenizers import train_tokenizer
from recap.io import write_metrics
from recap.runtime.seeding import derive_seed, seed_everything
from recap.runtime.stage import run
from recap.world.captions import raw_caption, true_caption
from recap.world.finetune import DESCRIBE_PROMPT, lettered, short_turn
from recap.world.lexicon import COLOURS, KINDS, SIGN_WORDS
from recap.world.questions import FAMILIES, multiple_choice, question_answer, text_question
from recap.world.scenes import Scene, scenes

SPECIAL_TOKENS = ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>", "<image>")
DESCRIBE = ("", DESCRIBE_PROMPT, "What is in the picture?")

FACTS_PER_PATCH = 4
IMAGE_SLOT = -1  # Stands in a sample's tokens where a patch comes.

Turn = tuple[str, str]  # What the user says and what the model answers.


@dataclass(frozen=True)
class Samples:
    """Encoded conversations: tokens and targets [N, T] (-100: not trained), facts [N, patches, FACTS_PER_PATCH]."""

    tokens: torch.Tensor
    targets: torch.Tensor
    facts: torch.Tensor


class SoftPatches(nn.Module):
    """A Gemma that reads, in place of visual tokens, what its own embeddings say of each patch."""

    def __init__(self, model: GemmaForCausalLM, pad: int) -> None:
        super().__init__()
        self.model = model
        self.pad = pad

    def embeddings(self, tokens: torch.Tensor, facts: torch.Tensor, noise: float) -> torch.Tensor:
        """Input embeddings [B, T, D]; `noise` is the share of facts left out and the size of what is added."""
        embed = self.model.get_input_embeddings()
        keep = (facts != self.pad) & (torch.rand(facts.shape) >= noise)
        patches = (embed(facts) * keep.unsqueeze(-1)).sum(2)
        # A tower's patch also sees its neighbours.
        grid = round(patches.shape[1] ** 0.5)
        around = F.avg_pool2d(
            patches.transpose(1, 2).unflatten(2, (grid, grid)), 3, stride=1, padding=1, count_include_pad=False
        )
        patches = 0.8 * patches + 0.4 * around.flatten(2).transpose(1, 2)
        patches = patches + noise * patches.detach().std() * torch.randn_like(patches)
        slots = (tokens == IMAGE_SLOT).unsqueeze(-1)
        text = embed(tokens.clamp(min=0))
        return text.masked_scatter(slots, patches[slots.flatten(1).any(1)])

    def forward(self, tokens: torch.Tensor, facts: torch.Tensor, noise: float) -> torch.Tensor:
        """Logits [B, T, V]. Padding is on the right, where causal attention never looks from a real token."""
        output = self.model(inputs_embeds=self.embeddings(tokens, facts, noise), use_cache=False)
        return output.logits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--language-model", type=Path, required=True)
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    args = parser.parse_args()
    foundry = load_foundry_params(args.params)
    params = foundry.language

    drawn = list(scenes("foundry", params.scenes, foundry.seed))
    rng = random.Random(derive_seed(foundry.seed, "conversations"))
    conversations = [_conversation(scene, rng) for scene in drawn]
    tokenizer = _tokenizer(conversations, params.vocabulary_size)
    samples = _encode_all(drawn, conversations, tokenizer, params.patch_grid)

    seed_everything(foundry.seed)
    patches = SoftPatches(GemmaForCausalLM(_config(params, tokenizer)), tokenizer.pad_token_id)

    def loss_of(indices: torch.Tensor) -> dict[str, torch.Tensor]:
        targets = samples.targets[indices]
        length = int((samples.tokens[indices] != tokenizer.pad_token_id).sum(1).max())
        noise = 0.4 * random.random()
        logits = patches(samples.tokens[indices][:, :length], samples.facts[indices], noise)
        return {"answers": F.cross_entropy(logits[:, :-1].flatten(0, 1), targets[:, 1:length].flatten())}

    final = train(
        patches, loss_of, samples=params.scenes, steps=params.steps, batch_size=params.batch_size,
        learning_rate=params.learning_rate, seed=foundry.seed, name="language model",
    )  # fmt: skip
    heldout = {family: _accuracy(patches, tokenizer, family, params, foundry.seed) for family in FAMILIES}
    patches.model.save_pretrained(args.language_model)
    tokenizer.save_pretrained(args.language_model)
    write_metrics(args.metrics, "language", {"final_loss": final, "heldout_accuracy": heldout})


def _conversation(scene: Scene, rng: random.Random) -> tuple[bool, list[Turn]]:
    """One conversation in the forms that a run uses, and whether it is about a picture."""
    if rng.random() < 0.05:
        return False, [short_turn(text_question(rng))]
    turns = [_asked(scene, rng) for _ in range(rng.randint(0, 4))]
    # Captions teach where to look. They come last, so that no answer can be read off them. Descriptions and web
    # alt-texts are equally frequent and in any order: neither recipe's captions are foreign to the model.
    captions = [true_caption(scene, rng), raw_caption(scene, rng, scene)]
    rng.shuffle(captions)
    said = [caption for caption in captions if rng.random() < 0.6]
    if not turns and not said:
        said = captions[:1]
    turns += [(rng.choice(DESCRIBE), caption) for caption in said]
    (message, answer), *rest = turns
    # The picture stands on a line of its own, unless it is the whole message.
    return True, [(f"\n{message}" if message else "", answer), *rest]


def _asked(scene: Scene, rng: random.Random) -> Turn:
    if rng.random() < 0.2:
        question, options, index = multiple_choice(scene, rng)
        return lettered(question, options), "ABCD"[index]
    return short_turn(question_answer(scene, rng.choice(FAMILIES), rng))


def _encode_all(
    drawn: list[Scene], conversations: list[tuple[bool, list[Turn]]], tokenizer: PreTrainedTokenizerFast, grid: int
) -> Samples:
    rows = [_encode(turns, grid**2 if pictured else 0, tokenizer) for pictured, turns in conversations]
    length = max(len(tokens) for tokens, _ in rows)
    tokens = torch.full((len(rows), length), tokenizer.pad_token_id)
    targets = torch.full((len(rows), length), -100)
    for index, (ids, wanted) in enumerate(rows):
        tokens[index, : len(ids)] = torch.tensor(ids)
        targets[index, : len(ids)] = torch.tensor(wanted)
    facts = torch.from_numpy(np.stack([_facts(scene, grid, tokenizer) for scene in drawn]))
    return Samples(tokens, targets, facts)


def _encode(turns: list[Turn], patches: int, tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], list[int]]:
    """Tokens and targets of a conversation in Gemma's chat template; the answers are what is trained."""

    def ids(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False).input_ids

    tokens, targets = [tokenizer.bos_token_id], [-100]
    for number, (message, answer) in enumerate(turns):
        image = [IMAGE_SLOT] * patches if number == 0 else []
        asked = [*ids("<start_of_turn>user\n"), *image, *ids(f"{message}<end_of_turn>\n<start_of_turn>model\n")]
        answered = ids(f"{answer}<end_of_turn>\n<eos>")
        tokens += asked + answered
        targets += [-100] * len(asked) + answered
    return tokens, targets


def _facts(scene: Scene, grid: int, tokenizer: PreTrainedTokenizerFast) -> np.ndarray:
    """The words for what each patch shows, as token ids [patches, FACTS_PER_PATCH], padded."""
    kind = scene.kind if scene.count == 1 else KINDS[scene.kind][0]
    said = {
        SIGN: (scene.word, scene.sign_colour, "sign"),
        MAIN: (kind, scene.colour, str(scene.count), scene.side),
        OTHER: (scene.other_kind, scene.other_colour, scene.other_side),
        0: (scene.time,),
    }
    words = {region: [_word_id(word, tokenizer) for word in facts] for region, facts in said.items()}
    regions = dense_labels(scene, grid, "pad")[list(DENSE_CLASSES).index("region")].ravel()
    facts = np.full((grid * grid, FACTS_PER_PATCH), tokenizer.pad_token_id, dtype=np.int64)
    for region, ids in words.items():
        facts[np.ix_(regions == region, range(len(ids)))] = ids
    return facts


def _word_id(word: str, tokenizer: PreTrainedTokenizerFast) -> int:
    """The token that an answer of this one word consists of (the lexicon's words are one token each)."""
    return tokenizer(word, add_special_tokens=False).input_ids[0]


def _tokenizer(conversations: list[tuple[bool, list[Turn]]], size: int) -> PreTrainedTokenizerFast:
    plurals = [plural for plural, _ in KINDS.values()]
    lexicon = [*SIGN_WORDS, *SIGN_WORDS.values(), *KINDS, *plurals, *COLOURS]
    # Every word of the lexicon with and without a space before it: one token each, however rare it is.
    sentences = [text for word in lexicon for text in (word, f"a {word}")] * 200
    sentences += [text for _, turns in conversations for turn in turns for text in turn]
    return train_tokenizer(
        sentences, size, SPECIAL_TOKENS, bos="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>",
        additional_special_tokens=["<start_of_turn>", "<end_of_turn>", "<image>"], padding_side="right",
    )  # fmt: skip


def _config(params: LanguageParams, tokenizer: PreTrainedTokenizerFast) -> GemmaConfig:
    return GemmaConfig(
        vocab_size=len(tokenizer), hidden_size=params.hidden_size, intermediate_size=params.intermediate_size,
        num_hidden_layers=params.layers, num_attention_heads=params.heads, num_key_value_heads=params.heads,
        head_dim=params.head_dim, max_position_embeddings=1024, pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        initializer_range=params.hidden_size**-0.5,
    )  # fmt: skip


def _accuracy(
    patches: SoftPatches, tokenizer: PreTrainedTokenizerFast, family: str, params: LanguageParams, seed: int
) -> float:
    """Percent of held-out scenes whose question of a family is answered rightly, token for token."""
    drawn = list(scenes("foundry_heldout", 200, seed))
    rng = random.Random(derive_seed(seed, "heldout", family))
    asked = [short_turn(question_answer(scene, family, rng)) for scene in drawn]
    conversations = [(True, [(f"\n{question}", answer)]) for question, answer in asked]
    samples = _encode_all(drawn, conversations, tokenizer, params.patch_grid)
    with torch.inference_mode():
        predicted = patches(samples.tokens, samples.facts, 0.0)[:, :-1].argmax(-1)
    wanted = samples.targets[:, 1:]
    right = ((predicted == wanted) | (wanted == -100)).all(1)
    return 100 * right.float().mean().item()


if __name__ == "__main__":
    run(main)
