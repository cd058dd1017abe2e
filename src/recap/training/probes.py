"""Rows that two models are compared on: a few of the training file, spread over it evenly.

Probes are batches of one, so that no padding takes part in the comparison.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from recap.models.mgm.image_processing_mgm import AspectRatio
from recap.models.mgm.processing_mgm import MGMProcessor
from recap.training.dataset import Example, encode, screen


@dataclass(frozen=True)
class ProbeSet:
    """`count` of `examples`, at most all of them, encoded with any processor.

    Attributes:
        examples: Rows of the training file.
        count: How many of those that can train to take.
        images: The folder that image paths start from.
        image_aspect_ratio: "pad" or "square", as in training.
        max_length: Tokens of a sample, image tokens included.
    """

    examples: Sequence[Example]
    count: int
    images: Path
    image_aspect_ratio: AspectRatio
    max_length: int

    def encode(self, processor: MGMProcessor) -> list[dict[str, torch.Tensor]]:
        """Model inputs of each probe, batch size 1, with labels.

        Raises:
            UserError: A row cannot be read, or too many cannot train.
        """
        kept, _ = screen(self.examples, processor, max_length=self.max_length)
        count = min(self.count, len(kept))
        chosen = [kept[number * len(kept) // count] for number in range(count)]
        return [
            processor.collate(
                [
                    encode(
                        example,
                        processor,
                        images=self.images,
                        image_aspect_ratio=self.image_aspect_ratio,
                        max_length=self.max_length,
                    )
                ]
            )
            for example in chosen
        ]
