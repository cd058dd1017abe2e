"""Rows that two models are compared on: a few of the training file, spread over it evenly."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from recap.models.mgm.processing_mgm import MGMProcessor
from recap.training.dataset import Example, RowEncoder


@dataclass(frozen=True)
class Probes:
    """Model inputs of each row, made when asked for: each in a batch of its own, so that no padding takes part."""

    rows: Sequence[Example]
    encoder: RowEncoder

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        for row in self.rows:
            yield self.encoder.collate([self.encoder.encode(row)])

    def encoded_by(self, processor: MGMProcessor) -> "Probes":
        """The same rows, encoded by another processor."""
        return Probes(self.rows, replace(self.encoder, processor=processor))


def pick_probes(examples: Sequence[Example], count: int, encoder: RowEncoder, *, max_left_out: float) -> Probes:
    """`count` of the rows that can train, at most all of them.

    Raises:
        UserError: Too many rows cannot train.
    """
    kept, _ = encoder.screen(examples, max_left_out=max_left_out)
    count = min(count, len(kept))
    return Probes([kept[number * len(kept) // count] for number in range(count)], encoder)
