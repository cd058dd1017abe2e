"""Samples of equal size from two corpora: the same number of captions, and the same number of tokens.

Most diversity indices fall as a text grows, so corpora of different size are compared on samples of one size.
A row's place in the sample depends on the seed and on its id alone, not on the order of the file: a row
that survives processing keeps its place, and both samples share as many rows as they can.

Disjoint subsamples are cut along pictures: all rows of one are in one part, before and after.
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
    ((*samples,),) = equal_subsamples(corpora, count=1, rows=rows, tokens=tokens, seed=seed)
    return samples


def equal_subsamples(
    corpora: Sequence[Sequence[Record]], *, count: int, rows: int, tokens: int, seed: int
) -> list[list[Sample]]:
    """Cut corpora into disjoint parts along their pictures, and sample every part of every corpus at one size.

    Args:
        corpora: For example the corpus before and after processing.
        count: Parts. Pictures are dealt out to them in a seeded order, so that parts differ by one picture at most.
        rows: Captions wanted of each part. The smallest part of any corpus bounds it.
        tokens: Tokens wanted of each part. The smallest part of any corpus bounds it.
        seed: Of the choice of pictures and rows.

    Returns:
        Per part one sample per corpus, all with the same number of captions and of tokens.
    """
    images = {record.image for records in corpora for record in records}
    dealt = sorted(images, key=lambda image: (derive_seed(seed, "part", image), image))
    part_of = {image: rank % count for rank, image in enumerate(dealt)}
    captions: list[list[list[str]]] = []
    for records in corpora:
        parts: list[list[Record]] = [[] for _ in range(count)]
        for record in records:
            parts[part_of[record.image]].append(record)
        captions.append([shuffled_captions(part, seed) for part in parts])
    token_lists = [[_first_tokens(part, tokens) for part in parts] for parts in captions]
    num_rows = min(rows, *(len(part) for parts in captions for part in parts))
    num_tokens = min(tokens, *(sum(map(len, part)) for parts in token_lists for part in parts))
    return [
        [
            Sample(of_captions[part][:num_rows], cut(of_tokens[part], num_tokens))
            for of_captions, of_tokens in zip(captions, token_lists, strict=True)
        ]
        for part in range(count)
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
