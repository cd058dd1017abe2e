"""Which questions flipped: wrong in A and right in B, and back, by type of question."""

from dataclasses import dataclass

import numpy as np

from recap.comparison.scores import PairedScores

# A question counts as right from this score on.
RIGHT = 0.5
ALL = "all"


@dataclass(frozen=True)
class Flips:
    """Flips among the questions of one type.

    Attributes:
        group: What the type is a kind of, for example "answer_type"; "all" for the benchmark as a whole.
        type: For example "yes/no".
        questions: Of this type.
        gained: Questions wrong in A and right in B: the mean over all pairs of a run of A and a run of B.
        lost: Questions right in A and wrong in B, likewise.
    """

    group: str
    type: str
    questions: int
    gained: float
    lost: float


def count_flips(scores: PairedScores) -> list[Flips]:
    """Flips of the whole benchmark first, then by group and type in alphabetical order."""
    # The share of a side's runs that are right; over all pairs of runs, the products of shares are the shares of flips.
    a, b = ((side >= RIGHT).mean(axis=1) for side in (scores.a, scores.b))
    gained, lost = (1 - a) * b, a * (1 - b)
    members: dict[tuple[str, str], list[int]] = {}
    for index, groups in enumerate(scores.groups):
        for group, kind in groups.items():
            members.setdefault((group, kind), []).append(index)
    parts = [((ALL, ALL), list(range(len(a)))), *sorted(members.items())]
    return [
        Flips(group, kind, len(part), float(np.sum(gained[part])), float(np.sum(lost[part])))
        for (group, kind), part in parts
    ]
