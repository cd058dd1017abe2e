"""Rows of training files as model inputs, in the order that the run was dealt.

In: `train.jsonl` (image-caption pairs) or `train.json` (LLaVA conversations). Out: per sample the processor's
`input_ids`, `labels`, `pixel_values`, `pixel_values_aux`.

Which rows train is settled before the first step, from the text alone (`RowEncoder.screen`): a row that fails in the
middle of a run can only stop it: to skip it would change every later step, and to put another row in its place
(as the original does, mgm/train/train.py@769820c) would hide it. Images were verified by `prepare`.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset
from tqdm import tqdm

from recap.data.corpus.images import BadImage, image_digest, open_image
from recap.data.corpus.records import read_conversations, read_corpus
from recap.models.mgm.conversation import IGNORE_INDEX, IMAGE_TOKEN, LabelMismatch
from recap.models.mgm.image_processing_mgm import AspectRatio
from recap.models.mgm.processing_mgm import MGMProcessor
from recap.runtime.errors import UserError, one_line
from recap.runtime.faults import Fault, first_of

logger = logging.getLogger(__name__)

# What a row is, and so which file it is from and which folder its image lies in.
Source = Literal["conversation", "caption"]
CONVERSATION: Final = "conversation"
CAPTION: Final = "caption"


@dataclass(frozen=True)
class Example:
    """One row: `where` names it for the user ("train.json: item 17"); `image` is relative, None for text alone."""

    where: str
    id: str
    image: str | None
    conversations: list[dict[str, str]]
    source: Source = CONVERSATION


def caption_examples(path: str | Path) -> list[Example]:
    """Image-caption pairs as conversations of one turn each: `<image>` asked, the caption answered."""
    return [
        Example(
            where=f"{Path(path).name}: row {number}",
            id=record.id,
            image=record.image,
            conversations=[
                {"from": "human", "value": IMAGE_TOKEN},
                {"from": "gpt", "value": record.caption},
            ],
            source=CAPTION,
        )
        for number, record in enumerate(read_corpus(path), start=1)
    ]


def conversation_examples(path: str | Path) -> list[Example]:
    """LLaVA conversations.

    Raises:
        UserError: The file is not LLaVA JSON, or an item names several images.
    """
    examples = []
    for number, row in enumerate(read_conversations(path), start=1):
        where = f"{Path(path).name}: item {number}"
        image = row.get("image")
        if image is not None and not isinstance(image, str):
            raise UserError(f"{path}: item {number}: expected the path of one image, found {image!r}")
        examples.append(Example(where, str(row.get("id", number)), image, row["conversations"]))
    return examples


@dataclass(frozen=True)
class RowEncoder:
    """Rows as model inputs, the same for training and for probing.

    Attributes:
        processor: Tokenises the text and prepares the images.
        images: The folder that image paths start from, by what the rows are.
        image_aspect_ratio: "pad" or "square", see `MGMImageProcessor`.
        max_length: Tokens of a sample, image tokens included; longer ones are cut on the right.
    """

    processor: MGMProcessor
    images: Mapping[Source, Path]
    image_aspect_ratio: AspectRatio
    max_length: int

    def screen(self, examples: Sequence[Example], *, max_left_out: float) -> tuple[list[Example], list[Fault]]:
        """Leave out the rows that cannot train, judged by their text: no image is opened.

        Args:
            examples: All rows.
            max_left_out: Percent of rows that may be left out: more means a wrong tokenizer or template, not odd rows.

        Returns:
            The rows that train, and what is wrong with those that do not: label_mismatch, or nothing_to_learn (every
            answer lies behind the cut).

        Raises:
            UserError: More rows than allowed are left out, or none remains.
        """
        kept: list[Example] = []
        left_out: list[Fault] = []
        for example in tqdm(examples, desc="checking labels", unit="row"):
            problem = self._problem(example)
            if problem is None:
                kept.append(example)
            else:
                left_out.append(Fault(example.where, example.id, *problem))
        if not kept:
            raise UserError(f"expected rows to train on, found none among {len(examples)}{first_of(left_out)}")
        share = 100 * len(left_out) / len(examples)
        if share > max_left_out:
            raise UserError(
                f"expected at most {max_left_out:g} % of rows that cannot train, found {len(left_out)} of "
                f"{len(examples)} ({share:.1f} %){first_of(left_out)}; raise mgm.max_length if rows are too long, or "
                "max_left_out of this stage"
            )
        return kept, left_out

    def _problem(self, example: Example) -> tuple[str, str] | None:
        try:
            ids, labels = self.processor.encode_text(example.conversations, has_image=example.image is not None)
        except LabelMismatch as error:
            return "label_mismatch", one_line(error)
        _, labels = self.processor.expand(ids, labels)
        if all(label == IGNORE_INDEX for label in labels[: self.max_length]):
            return "nothing_to_learn", f"no answer token within the first {self.max_length} tokens (mgm.max_length)"
        return None

    def encode(self, example: Example) -> dict[str, torch.Tensor]:
        """One row as model inputs, not yet batched.

        Raises:
            UserError: The image cannot be read; the message names the row.
        """
        try:
            image = open_image(self.images[example.source], example.image) if example.image is not None else None
        except BadImage as error:
            raise UserError(
                f"{example.where} (id {example.id}): {error.reason}: {error.detail}; run prepare again to reject it"
            ) from None
        inputs: dict[str, torch.Tensor] = self.processor.encode_conversation(
            example.conversations, image, image_aspect_ratio=self.image_aspect_ratio, max_length=self.max_length
        )
        return inputs

    def picture_of(self, example: Example) -> str | None:
        """The digest of a row's picture, the same for the same bytes in any folder; None without one."""
        return image_digest(self.images[example.source], example.image) if example.image is not None else None

    def collate(self, samples: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """Encoded rows as one batch."""
        return self.processor.collate(samples)


@dataclass(frozen=True)
class TrainingSamples(Dataset[dict[str, torch.Tensor]]):
    """The samples of a run, one after the other: sample i is row `order[i]`.

    Its length is the whole run's, so that the Trainer sees one epoch without ragged batches at corpus boundaries.
    """

    examples: Sequence[Example]
    order: NDArray[np.int64]
    encoder: RowEncoder

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return self.encoder.encode(self.examples[self.order[index]])
