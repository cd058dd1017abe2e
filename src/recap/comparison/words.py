"""From differences on several benchmarks to words: better, worse, can't tell."""

from collections.abc import Sequence
from dataclasses import dataclass

from recap.comparison.statistics import LEVEL, Difference

BETTER, WORSE, CANT_TELL = "better", "worse", "can't tell"


@dataclass(frozen=True)
class Word:
    """A benchmark's word and the p it was taken from; both None where recipes are not judged."""

    word: str | None
    p_holm: float | None


def words(differences: Sequence[Difference]) -> list[Word]:
    """Judge benchmarks together: a word is taken from Holm's p alone, and from at least three seeds a side.

    A benchmark without an interval counts in Holm's correction with p = 1.
    """
    adjusted = holm([1.0 if difference.p is None else difference.p for difference in differences])
    return [
        _word(difference, p_holm) if difference.judged else Word(None, None)
        for difference, p_holm in zip(differences, adjusted, strict=True)
    ]


def _word(difference: Difference, p_holm: float) -> Word:
    if difference.no_interval:
        return Word(CANT_TELL, None)
    if p_holm >= LEVEL:
        return Word(CANT_TELL, p_holm)
    return Word(BETTER if difference.difference > 0 else WORSE, p_holm)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): adjusted p values in the given order."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted
