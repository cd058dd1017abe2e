"""Rows that two models are compared on: a few of the training file, spread over it evenly."""

from collections.abc import Sequence

from recap.training.dataset import Example, RowEncoder


def pick_probes(examples: Sequence[Example], count: int, encoder: RowEncoder, *, max_left_out: float) -> list[Example]:
    """`count` of the rows that can train, at most all of them.

    Raises:
        UserError: Too many rows cannot train.
    """
    kept, _ = encoder.screen(examples, max_left_out=max_left_out)
    count = min(count, len(kept))
    return [kept[number * len(kept) // count] for number in range(count)]
