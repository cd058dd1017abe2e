"""Held-out rows and the loss on them: the one loss on which two recipes can be compared.

Training losses are of whatever a recipe trained on. The held-out rows are the same for every recipe and every training
seed: the file alone decides which they are, and they never train.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from recap.models.mgm.conversation import IGNORE_INDEX
from recap.training.dataset import Example, RowEncoder, TrainingSamples

# A small set is for training: a larger `val_rows` is cut to this share of it.
LARGEST_SHARE = 0.25


def hold_out(examples: Sequence[Example], rows: int) -> tuple[list[Example], list[Example]]:
    """Part the rows that train from those that are only ever asked for their loss.

    Images (or, of text alone, ids) are held out whole, smallest hash of their name first, so that no row trains on a
    held-out image. Ones with more rows than are wanted all train.

    Args:
        examples: All rows that could train.
        rows: To hold out, at most a quarter of all.

    Returns:
        Rows to train on, in their order, and rows held out.
    """
    wanted = min(rows, int(LARGEST_SHARE * len(examples)))
    sizes = Counter(map(_source, examples))
    chosen: set[str] = set()
    held = 0
    for source in sorted(sizes, key=_hash):
        if held < wanted and sizes[source] <= wanted:
            chosen.add(source)
            held += sizes[source]
    training = [example for example in examples if _source(example) not in chosen]
    return training, [example for example in examples if _source(example) in chosen][:wanted]


def _source(example: Example) -> str:
    return f"image {example.image}" if example.image is not None else f"text {example.id}"


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


@dataclass(frozen=True)
class Validation:
    """Rows whose loss is taken every so many steps.

    Attributes:
        rows: At least one.
        encoder: Makes model inputs of them.
        batch_size: Rows at a time.
        workers: Processes that load them; they change no number.
        steps: Optimizer steps from one loss to the next.
    """

    rows: Sequence[Example]
    encoder: RowEncoder
    batch_size: int
    workers: int
    steps: int

    @torch.no_grad()
    def loss(self, model: nn.Module, device: torch.device) -> float:
        """Mean over all answer tokens of the rows, in nats, with dropout off; no random state is touched.

        Every process of a launch takes it of all rows: that costs a few seconds, gives all the same number, and keeps
        them in step, as ZeRO-3 needs it.
        """
        training = model.training
        model.eval()
        total = torch.zeros(2, dtype=torch.float64, device=device)  # nats, tokens
        for batch in self._batches():
            inputs = {name: tensor.to(device) for name, tensor in batch.items()}
            tokens = (inputs["labels"][:, 1:] != IGNORE_INDEX).sum()
            loss = model(**inputs, return_logits=False)["loss"]  # their mean
            total += torch.stack([loss.double() * tokens, tokens.double()])
        model.train(training)
        nats, count = total.tolist()
        return nats / count

    def _batches(self) -> DataLoader[Any]:
        return DataLoader(
            TrainingSamples(self.rows, np.arange(len(self.rows)), self.encoder),
            batch_size=self.batch_size,
            collate_fn=self.encoder.collate,
            num_workers=self.workers,
            # A loader without a generator of its own draws from the one that training uses.
            generator=torch.Generator().manual_seed(0),
        )


class ValidationSchedule(TrainerCallback):
    """Asks the Trainer to evaluate after every `steps`-th step and after the last."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.global_step % self.steps == 0 or state.global_step == state.max_steps:
            control.should_evaluate = True
