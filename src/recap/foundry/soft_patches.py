"""A Gemma that reads facts in place of visual tokens, and the encoding of conversations for it.

No picture is involved: where a run's model has visual tokens, this one meets, patch by patch, the sum of its own
embeddings of the words for what stands there, with facts missing and noise added.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F
from transformers import GemmaForCausalLM, PreTrainedTokenizerFast

from recap.foundry.conversations import Turn
from recap.foundry.pictures import DENSE_CLASSES, MAIN, OTHER, SIGN, dense_labels
from recap.models.mgm.conversation import IGNORE_INDEX
from recap.world.lexicon import KINDS
from recap.world.scenes import Scene

Conversation = tuple[Scene | None, list[Turn]]

FACTS_PER_PATCH = 4
IMAGE_SLOT = -1  # Stands in a sample's tokens where a patch comes.


@dataclass(frozen=True)
class Sample:
    """One encoded conversation of T tokens; `facts` is empty where there is no picture.

    Attributes:
        tokens: [T] int64.
        targets: [T] int64, -100 where nothing is learnt.
        facts: [patches, FACTS_PER_PATCH] int64.
    """

    tokens: NDArray[np.int64]
    targets: NDArray[np.int64]
    facts: NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Samples padded on the right: [B, T] each; `facts` [pictures, patches, FACTS_PER_PATCH] of rows with a picture."""

    tokens: torch.Tensor
    targets: torch.Tensor
    facts: torch.Tensor


class SoftPatches(nn.Module):
    """A Gemma that reads, in place of visual tokens, what its own embeddings say of each patch."""

    def __init__(self, model: GemmaForCausalLM, pad: int) -> None:
        super().__init__()
        self.model = model
        self.pad = pad

    def embeddings(self, batch: Batch, noise: float) -> torch.Tensor:
        """Input embeddings [B, T, D]; each picture loses up to `noise` of its facts, and as much is added to it."""
        embed = self.model.get_input_embeddings()
        text = embed(batch.tokens.clamp(min=0))
        if not len(batch.facts):
            return text
        facts = batch.facts
        share = noise * torch.rand(len(facts), 1, 1)
        keep = (facts != self.pad) & (torch.rand(facts.shape) >= share)
        patches = (embed(facts) * keep.unsqueeze(-1)).sum(2)
        # A tower's patch also sees its neighbours.
        grid = round(patches.shape[1] ** 0.5)
        around = F.avg_pool2d(
            patches.transpose(1, 2).unflatten(2, (grid, grid)), 3, stride=1, padding=1, count_include_pad=False
        )
        patches = 0.8 * patches + 0.4 * around.flatten(2).transpose(1, 2)
        patches = patches + share * patches.detach().std() * torch.randn_like(patches)
        return text.masked_scatter((batch.tokens == IMAGE_SLOT).unsqueeze(-1), patches)

    def forward(self, batch: Batch, noise: float) -> torch.Tensor:
        """Logits [N, V] of the N tokens that are learnt, row by row.

        Padding is on the right, where causal attention never looks from a real token.
        """
        hidden = self.model.model(inputs_embeds=self.embeddings(batch, noise), use_cache=False).last_hidden_state
        return self.model.lm_head(hidden[:, :-1][batch.targets[:, 1:] != IGNORE_INDEX])


class Encoder:
    """Turns conversations into samples.

    Args:
        tokenizer: Whose lexicon words are one token each.
        grid: Patches a side.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, grid: int) -> None:
        self.tokenizer = tokenizer
        self.grid = grid
        self.ids = cache(lambda text: tokenizer(text, add_special_tokens=False).input_ids)

    def samples(self, conversations: Sequence[Conversation]) -> list[Sample]:
        """Each conversation encoded."""
        return [self.sample(*conversation) for conversation in conversations]

    def sample(self, scene: Scene | None, turns: Sequence[Turn]) -> Sample:
        """A conversation in Gemma's chat template, about a scene or about none; the answers are what is learnt."""
        tokens, targets = [self.tokenizer.bos_token_id], [IGNORE_INDEX]
        for number, (message, answer) in enumerate(turns):
            image = [IMAGE_SLOT] * self.grid**2 if scene is not None and number == 0 else []
            asked = [*self.ids("<start_of_turn>user\n"), *image]
            asked += self.ids(f"{message}<end_of_turn>\n<start_of_turn>model\n")
            answered = self.ids(f"{answer}<end_of_turn>\n<eos>")
            tokens += asked + answered
            targets += [IGNORE_INDEX] * len(asked) + answered
        facts = np.empty((0, FACTS_PER_PATCH), np.int64) if scene is None else self._facts(scene)
        return Sample(np.array(tokens), np.array(targets), facts)

    def _facts(self, scene: Scene) -> NDArray[np.int64]:
        """The words for what each patch shows, as token ids [patches, FACTS_PER_PATCH], padded."""
        kind = scene.kind if scene.count == 1 else KINDS[scene.kind][0]
        said = {
            SIGN: (scene.word, scene.sign_colour, "sign"),
            MAIN: (kind, scene.colour, str(scene.count), scene.side),
            OTHER: (scene.other_kind, scene.other_colour, scene.other_side),
            0: (scene.time,),
        }
        regions = dense_labels(scene, self.grid, "pad")[list(DENSE_CLASSES).index("region")].ravel()
        facts = np.full((self.grid**2, FACTS_PER_PATCH), self.tokenizer.pad_token_id, dtype=np.int64)
        for region, words in said.items():
            ids = [self.word_id(word) for word in words]
            facts[np.ix_(regions == region, range(len(ids)))] = ids
        return facts

    def word_id(self, word: str) -> int:
        """The token of a word as it stands inside a sentence, with its space; a digit has none."""
        return self.ids(f"a {word}")[-1]


def collate(samples: Sequence[Sample], pad: int) -> Batch:
    """Samples as a batch."""
    length = max(len(sample.tokens) for sample in samples)

    def padded(rows: list[NDArray[np.int64]], value: int) -> torch.Tensor:
        return torch.from_numpy(np.stack([np.pad(row, (0, length - len(row)), constant_values=value) for row in rows]))

    facts = [sample.facts for sample in samples if len(sample.facts)]
    return Batch(
        padded([sample.tokens for sample in samples], pad),
        padded([sample.targets for sample in samples], IGNORE_INDEX),
        torch.from_numpy(np.stack(facts)) if facts else torch.empty((0, 0, FACTS_PER_PATCH), dtype=torch.int64),
    )


def batches_of_like_length(samples: Sequence[Sample], tokens: int, seed: int) -> Iterator[list[Sample]]:
    """Endless shuffled batches, each of at most `tokens` tokens with its padding.

    Samples of about the same length share a batch: padding costs as much time as text.
    """
    rng = random.Random(seed)
    while True:
        order = sorted(samples, key=lambda sample: (len(sample.tokens), rng.random()))
        found: list[list[Sample]] = [[]]
        for sample in order:
            if found[-1] and (len(found[-1]) + 1) * len(sample.tokens) > tokens:
                found.append([])
            found[-1].append(sample)
        rng.shuffle(found)
        yield from found
