"""Captions that are the same or nearly so, against Data-Juicer's own deduplicator."""

import random

import pandas
import pytest

from recap.data.processing.juicer import NestedDataset, load_ops
from recap.data.statistics.duplicates import NEARLY, SHINGLE, describe_duplicates, nearly_the_same


def test_nearly_the_same_is_what_the_deduplicator_drops() -> None:
    rng = random.Random(0)
    words = ["red", "blue", "old", "bus", "harbour", "bicycle", "street", "market"]
    captions = [" ".join(rng.choices(words, k=rng.randint(1, 6))) for _ in range(300)]
    captions += ["a photo of the old harbour at night", "a photo of the old harbour at night.", "a photo of a harbour"]
    dropped = nearly_the_same(pandas.Series(captions))
    (operator,) = load_ops([{"document_minhash_deduplicator": dict(NEARLY)}])
    kept = operator.run(NestedDataset.from_list([{"id": i, "text": text} for i, text in enumerate(captions)]))
    shorter = {i for i, text in enumerate(captions) if len(text) < SHINGLE}
    assert {i for i, gone in enumerate(dropped) if not gone} == {*kept["id"], *shorter}
    assert list(dropped[-3:]) == [False, True, False]


def test_captions_shorter_than_what_is_compared_are_not_the_same() -> None:
    assert not nearly_the_same(pandas.Series(["bus", "cat", "a cat"])).any()
    assert len(nearly_the_same(pandas.Series([], dtype=object))) == 0


def test_describe_duplicates() -> None:
    captions = ["a photo of the old harbour at night", "a photo of the old harbour at night.", "A dog", "a  dog", "bus"]
    facts = describe_duplicates(captions)
    assert facts["duplicate_caption_percent"] == 20  # "a  dog", but for case and blanks
    assert facts["near_duplicate_caption_percent"] == pytest.approx(
        20
    )  # the full stop; the dogs differ in half of their runs
    assert set(describe_duplicates([]).values()) == {None}
