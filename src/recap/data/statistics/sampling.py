"""Samples of equal size from two corpora: the same number of captions, and the same number of tokens.

Most diversity indices fall as a text grows, so corpora of different size are compared on samples of one size.
A row's place in the sample depends on the seed and on its id alone, not on the order of the file: a row
that survives processing keeps its place, and both samples share as many rows as they can.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from recap.data.corpus.records import Record
from recap.data.statistics.text import tokens
from recap.runtime.seeding import derive_seed


@dataclass(frozen=True)
class Sample:
    """A sample of one corpus.

    Attributes:
        captions: The sampled rows' captions, in shuffled order.
        token_lists: The tokens of captions in the same order, cut at an exact total; the last may be cut short.
    """

    captions: list[str]
    token_lists: list[list[str]]

    @property
    def num_tokens(self) -> int:
        return sum(map(len, self.token_lists))


def shuffled_captions(records: Sequence[Record], seed: int) -> list[str]:
    """Captions in an order fixed by the seed and the rows' ids, whatever the order of `records`."""
    keyed = ((derive_seed(seed, "sample", record.id), record.id, record.caption) for record in records)
    return [caption for _, _, caption in sorted(keyed)]


def equal_samples(corpora: Sequence[Sequence[Record]], *, rows: int, tokens: int, seed: int) -> list[Sample]:
    """Sample every corpus at one size.

    Args:
        corpora: For example the corpus before and after processing; one alone is possible.
        rows: Captions wanted. The smallest corpus bounds it.
        tokens: Tokens wanted. The smallest corpus bounds it.
        seed: Of the choice of rows.

    Returns:
        One sample per corpus, all with the same number of captions and of tokens.
    """
    shuffled = [shuffled_captions(records, seed) for records in corpora]
    token_lists = [_first_tokens(captions, tokens) for captions in shuffled]
    num_rows = min(rows, *map(len, shuffled))
    num_tokens = min(tokens, *(sum(map(len, lists)) for lists in token_lists))
    return [
        Sample(captions[:num_rows], cut(lists, num_tokens))
        for captions, lists in zip(shuffled, token_lists, strict=True)
    ]


def _first_tokens(captions: Sequence[str], enough: int) -> list[list[str]]:
    """The first captions' tokens, `enough` together or all that there are: a large corpus is not read to its end."""
    lists: list[list[str]] = []
    found = 0
    for caption in captions:
        if found >= enough:
            break
        lists.append(tokens(caption))
        found += len(lists[-1])
    return lists


def cut(token_lists: Sequence[Sequence[str]], limit: int) -> list[list[str]]:
    """The first `limit` tokens, still caption by caption; captions without tokens are left out."""
    result = []
    for caption_tokens in token_lists:
        if limit <= 0:
            break
        if caption_tokens:
            result.append(list(caption_tokens[:limit]))
            limit -= len(result[-1])
    return result
