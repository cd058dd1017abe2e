"""`python -m recap.data.statistics.coverage`: do the intervals hold the truth as often as they say?

Draws corpora from sources that are known, before and after a change, measures them by the very functions that `quality`
uses, and counts how often a 95 % interval holds what the measure is on average over corpora of that source; beside it
the same for a bootstrap that draws captions with replacement. It takes a core six minutes.

Words are frequent as in Zipf's law, and about as diverse as in captions (MTLD 30 to 60). In `zipf` every word of a
caption is drawn by itself; in `topics` a third of a caption's words are of its picture's topic, so that captions are
independent and words are not. Afterwards a caption keeps half of its words and gets more, of fewer words than there
were. A tenth of the captions repeat a stock phrase; a fifth of the pictures have two rows.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from tqdm import tqdm

from recap.data.corpus.records import Record
from recap.data.statistics.aligned import AlignedCorpus
from recap.data.statistics.comparison import Comparison, columns_of, compare_parts, compare_rows
from recap.data.statistics.diversity import distinct, hdd, mattr, mtld
from recap.data.statistics.intervals import CONFIDENCE, Estimate
from recap.data.statistics.sampling import cut, equal_subsamples
from recap.data.statistics.text import tokens
from recap.params import QualityParams
from recap.runtime.seeding import derive_seed
from recap.runtime.stage import run

Ints = NDArray[np.int64]

TRIALS, NAIVE_TRIALS = 200, 40
IMAGES = 900
VOCABULARY, TOPICS, TOPIC_WORDS = 20_000, 200, 40
STOCK, TWO_ROWS, OF_TOPIC = 0.1, 0.2, 1 / 3
RESAMPLES = 200
QUALITY = QualityParams(
    subsamples=10, sample_rows=70, sample_tokens=600, self_bleu_sample=70, mattr_window=50, hdd_sample=42, seed=0
)

NAIVE: dict[str, Callable[[list[list[str]]], float | None]] = {
    "mattr": lambda lists: mattr(_flat(lists), QUALITY.mattr_window),
    "mtld": lambda lists: mtld(_flat(lists)),
    "hdd": lambda lists: hdd(_flat(lists), QUALITY.hdd_sample),
    "distinct_1": lambda lists: distinct(lists, 1),
    "distinct_2": lambda lists: distinct(lists, 2),
}
"""What the bootstrap with replacement is tried on: indices that are quick enough."""


def _flat(token_lists: Sequence[Sequence[str]]) -> list[str]:
    return [token for found in token_lists for token in found]


def _words(numbers: Ints) -> str:
    # Letters, as a number is no word.
    return " ".join("w" + "".join(chr(ord("a") + int(digit)) for digit in str(number)) for number in numbers)


@dataclass(frozen=True)
class Source:
    """Where corpora are drawn from.

    Attributes:
        topics: Whether a third of a caption's words are of its picture's topic.
    """

    topics: bool

    def pair(self, rng: np.random.Generator, images: int = IMAGES) -> tuple[AlignedCorpus, AlignedCorpus]:
        """A corpus before and after: the same pictures."""
        rows = np.repeat(np.arange(images), 1 + (rng.random(images) < TWO_ROWS))
        topics = rng.integers(TOPICS, size=images)[rows]
        before, after = [], []
        for number, (image, topic) in enumerate(zip(rows, topics, strict=True)):
            raw = self._caption(rng, topic, length=int(rng.integers(4, 15)), vocabulary=VOCABULARY)
            kept = raw[rng.random(len(raw)) < 1 / 2]
            more = self._caption(rng, topic, length=int(rng.integers(6, 12)), vocabulary=VOCABULARY // 20)
            before.append(Record(f"r{number}", f"i{image}", _words(raw)))
            after.append(Record(f"r{number}", f"i{image}", _words(np.concatenate([kept, more]))))
        return _scored(before, rng, 0.2), _scored(after, rng, 0.25)

    def _caption(self, rng: np.random.Generator, topic: int, *, length: int, vocabulary: int) -> Ints:
        if rng.random() < STOCK:
            return np.arange(length)  # a stock phrase of the most frequent words
        # A power of the vocabulary: word k is about as frequent as 1 / k, and the first ones more than that.
        words = (vocabulary ** (rng.random(length) ** 1.5)).astype(np.int64)
        if self.topics:
            own = VOCABULARY + topic * TOPIC_WORDS + (TOPIC_WORDS ** rng.random(length)).astype(np.int64)
            words = np.where(rng.random(length) < OF_TOPIC, own, words)
        return words


def _scored(records: list[Record], rng: np.random.Generator, mean: float) -> AlignedCorpus:
    return AlignedCorpus(records, rng.normal(mean, 0.1, size=len(records)))


SOURCES = {"zipf": Source(topics=False), "topics": Source(topics=True)}


def measured(before: AlignedCorpus, after: AlignedCorpus) -> dict[str, Comparison]:
    """All measures with their intervals."""
    corpora = (before, after)
    parts = equal_subsamples(
        [corpus.records for corpus in corpora],
        count=QUALITY.subsamples, rows=QUALITY.sample_rows, tokens=QUALITY.sample_tokens, seed=QUALITY.seed,
    )  # fmt: skip
    if len(parts[0][0].captions) < QUALITY.sample_rows or parts[0][0].num_tokens < QUALITY.sample_tokens:
        raise ValueError("the simulated corpora are too small for samples of one size")
    return compare_rows(corpora, [columns_of(corpus) for corpus in corpora]) | compare_parts(parts, QUALITY)


def bootstrapped(corpus: AlignedCorpus, name: str, rng: np.random.Generator) -> Estimate:
    """An index on one sample of the same size, and the percentile interval of a bootstrap with replacement."""
    lists = [tokens(record.caption) for record in corpus.records]
    sample = cut(lists, QUALITY.sample_tokens)

    def index(rows: Ints) -> float | None:
        # Drawn captions may be shorter than those of the sample: the first is read on until the size is reached.
        return NAIVE[name](cut([sample[row] for row in [*rows, *rows]], QUALITY.sample_tokens))

    value = index(np.arange(len(sample)))
    found = stats.bootstrap(
        (np.arange(len(sample)),), index, n_resamples=RESAMPLES, vectorized=False, method="percentile",
        confidence_level=CONFIDENCE, rng=rng,
    ).confidence_interval  # fmt: skip
    return Estimate(value, float(found.low), float(found.high))


def simulate(source: Source, *, trials: int, naive_trials: int, seed: int) -> list[dict[str, str | float | None]]:
    """Draw corpora and count.

    Returns:
        Per measure: percent (0-100) of intervals that hold the truth before, after, of the change, and of a change that
        is none (two corpora of other pictures and one source); percent of changes whose interval leaves out 0; and
        percent of the bootstrap's intervals that hold the truth before.
    """
    rng = np.random.default_rng(derive_seed(seed, "coverage", source.topics))
    found, same, naive = [], [], []
    for trial in tqdm(range(trials), desc="trials", unit="trial", delay=3, leave=False):
        before, after = source.pair(rng)
        found.append(measured(before, after))
        other = [Record(f"s{row.id}", f"s{row.image}", row.caption) for row in source.pair(rng)[0].records]
        same.append(measured(before, _scored(other, rng, 0.2)))
        if trial < naive_trials:
            naive.append({name: bootstrapped(before, name, rng) for name in NAIVE})
    table = []
    for name in found[0]:
        truth = {side: _mean([getattr(one[name], side).value for one in found]) for side in Comparison._fields}
        table.append(
            {
                "measure": name,
                **{
                    side: _covered([getattr(one[name], side) for one in found], truth[side])
                    for side in Comparison._fields
                },
                "no change": _covered([one[name].change for one in same], 0.0),
                "found": 100 - (_covered([one[name].change for one in found], 0.0) or 0),
                "bootstrap": _covered([one[name] for one in naive], truth["before"]) if name in NAIVE else None,
            }
        )
    return table


def _mean(values: Sequence[float | None]) -> float:
    return float(np.mean([value for value in values if value is not None]))


def _covered(estimates: Sequence[Estimate], truth: float) -> float | None:
    """Percent of the intervals that hold the truth; None without any interval."""
    known = [(one.low, one.high) for one in estimates if one.low is not None and one.high is not None]
    return 100 * float(np.mean([low <= truth <= high for low, high in known])) if known else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--naive-trials", type=int, default=NAIVE_TRIALS, help="of the bootstrap with replacement")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(f"{args.trials} trials, {args.naive_trials} of the bootstrap: % of 95 % intervals that hold the truth")
    for name, source in SOURCES.items():
        rows = simulate(source, trials=args.trials, naive_trials=args.naive_trials, seed=args.seed)
        print(f"\n| {name} | " + " | ".join(key for key in rows[0] if key != "measure") + " |")
        print("| :--- |" + " ---: |" * (len(rows[0]) - 1))
        for row in rows:
            print("| " + " | ".join(_cell(value) for value in row.values()) + " |")


def _cell(value: str | float | None) -> str:
    return value if isinstance(value, str) else "" if value is None else f"{value:.1f}"


if __name__ == "__main__":
    run(main)
