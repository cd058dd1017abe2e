"""The verdict on two recipes: per benchmark the difference, what it could have shown, and a word.

In: the runs of side A and of side B (one revision a training seed). Out: one `Verdict` a benchmark that all runs
scored.
"""

from dataclasses import dataclass

from recap.comparison.flips import Flips, count_flips
from recap.comparison.scores import PairedScores, pair
from recap.comparison.settling import what_settles
from recap.comparison.sides import Side, common_benchmarks
from recap.comparison.statistics import Difference, compare_scores
from recap.comparison.words import BETTER, WORSE, words
from recap.runtime.errors import UserError


@dataclass(frozen=True)
class Verdict:
    """One benchmark's comparison.

    Attributes:
        benchmark: Its name.
        word: better, worse or can't tell; None unless recipes are judged.
        p_holm: What the word was taken from, corrected over all benchmarks; None where there is no interval.
        shown: B - A of the scores.
        grounded: B - A of shown minus blanked: what the images are worth, with an interval and without a word. None
            without a blank pass on every run.
        flips: By type of question.
        settles: One sentence on what would settle it.
    """

    benchmark: str
    word: str | None
    p_holm: float | None
    shown: Difference
    grounded: Difference | None
    flips: list[Flips]
    settles: str


def judge(a: Side, b: Side) -> list[Verdict]:
    """Compare two sides on every benchmark that all their runs scored.

    Raises:
        UserError: No benchmark is shared, or the runs were asked different questions.
    """
    benchmarks, _ = common_benchmarks(a, b)
    if not benchmarks:
        raise UserError(f"expected a benchmark that both sides scored, found none in {a.names} and {b.names}")
    paired = [
        pair(benchmark, *({run.name: run.scores[benchmark] for run in side.runs} for side in (a, b)))
        for benchmark in benchmarks
    ]
    shown = [compare_scores(scores.a, scores.b, scores.clusters, comparisons=len(paired)) for scores in paired]
    return [
        Verdict(
            benchmark=benchmark,
            word=word.word,
            p_holm=word.p_holm,
            shown=difference,
            grounded=_grounded(scores),
            flips=count_flips(scores),
            settles=what_settles(difference, told=word.word in (BETTER, WORSE)),
        )
        for benchmark, scores, difference, word in zip(benchmarks, paired, shown, words(shown), strict=True)
    ]


def _grounded(scores: PairedScores) -> Difference | None:
    if scores.blank_a is None or scores.blank_b is None:
        return None
    return compare_scores(scores.a - scores.blank_a, scores.b - scores.blank_b, scores.clusters)
