"""Which rows of a run train, which are held out, and in which order those that train come.

In: the rows of a stage's training file and, of finetuning, the captions that are mixed in. Out: a `Deal`, the same on
every process, whatever the machine.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recap.params import FinetuneParams, TrainingParams
from recap.runtime.errors import UserError
from recap.runtime.faults import Fault
from recap.runtime.ranks import from_rank_zero
from recap.training.dataset import Example, RowEncoder
from recap.training.sampling import group_by_modality_length, mixed_order, row_order
from recap.training.validation import hold_out

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Deal:
    """What a run trains on.

    Attributes:
        rows: Those that train: the training file's, then captions that are mixed in.
        order: Which of them each sample is, shape (samples,).
        validation: Rows that are only ever asked for their loss.
        held_out: How many rows do not train for their image's sake: all of the images that `validation` shows.
        left_out: Rows that cannot train, with a reason each.
    """

    rows: list[Example]
    order: NDArray[np.int64]
    validation: list[Example]
    held_out: int
    left_out: list[Fault]


def deal(
    encoder: RowEncoder, examples: Sequence[Example], captions: Sequence[Example], params: TrainingParams, seed: int
) -> Deal:
    """Screen the rows, hold some out, and deal the rest to the samples of the run.

    Args:
        encoder: Judges the rows.
        examples: All rows of the training file.
        captions: Rows that finetuning mixes in by its `caption_share`; none where that is 0.
        params: The section of the stage.
        seed: The run's seed.

    Raises:
        UserError: Too many rows of either kind cannot train, or so few samples have no such share of captions.
    """
    fit_to_train, left_out = screened_once(encoder, examples, max_left_out=params.max_left_out)
    rows, validation = _parted(fit_to_train, params)
    held_out = len(fit_to_train) - len(rows)
    samples = params.max_steps * params.global_batch_size
    if isinstance(params, FinetuneParams) and params.caption_share:
        fit_captions, without = screened_once(encoder, captions, max_left_out=params.max_left_out)
        mixed_in = _of_other_pictures(fit_captions, validation, encoder)
        order = mixed_order(len(rows), len(mixed_in), samples, params.caption_share, seed)
        rows, left_out, held_out = rows + mixed_in, left_out + without, held_out + len(fit_captions) - len(mixed_in)
    else:
        order = row_order(len(rows), samples, seed)
    if params.group_by_modality_length:
        order = group_by_modality_length(order, rows, params.global_batch_size)
    return Deal(rows, order, validation, held_out, left_out)


def screened_once(
    encoder: RowEncoder, examples: Sequence[Example], *, max_left_out: float
) -> tuple[list[Example], list[Fault]]:
    """`RowEncoder.screen`, by one process for all: only what is left out travels, which is little."""
    left_out = from_rank_zero(lambda: encoder.screen(examples, max_left_out=max_left_out)[1])
    names = {fault.where for fault in left_out}
    return [example for example in examples if example.where not in names], left_out


def _parted(examples: list[Example], params: TrainingParams) -> tuple[list[Example], list[Example]]:
    """The rows to train on, and those held out where the stage has any."""
    if not isinstance(params, FinetuneParams):
        return examples, []
    training, validation = hold_out(examples, params.val_rows)
    if len(validation) < params.val_rows:
        logger.info("val_rows: %d of the %d asked for can be held out", len(validation), params.val_rows)
    return training, validation


def _of_other_pictures(captions: list[Example], validation: Sequence[Example], encoder: RowEncoder) -> list[Example]:
    """The captions of pictures that no held-out row shows, be it under another name.

    Raises:
        UserError: There are none.
    """
    shown = {encoder.picture_of(row) for row in validation} - {None}
    others = [row for row in captions if encoder.picture_of(row) not in shown] if shown else captions
    logger.info(
        "captions: %d of %d are of pictures that held-out rows show", len(captions) - len(others), len(captions)
    )
    if not others:
        raise UserError(
            "finetune.caption_share: expected captions of pictures that no held-out conversation shows, found none "
            f"among {len(captions)}; lower finetune.val_rows"
        )
    return others
