"""What the runs of two sides say about a difference: its error, interval, p, and what could have been found.

In: scores of both sides on the same questions, one column a training seed, and the image each question is about.
Out: a `Difference` in points (0-100).

**The error.** Three things vary: which questions were asked, which seeds the runs had, and, within one run, chance
question by question. Write d for the difference of the two sides' means over questions and runs.

- `items`: the image-clustered variance of the mean of the questions' differences of seed means (Miller 2024, arXiv
  2411.00640, times C / (C - 1) for C images). It holds the choice of questions and, because seed means carry it, the
  question-by-run noise; it knows nothing of what moves all answers of one run together.
- `seeds`: s2_A / S_A + s2_B / S_B from the means of the runs. It holds what moves a whole run, and the question-by-run
  noise once more.
- `residual`: that noise alone, from score - question's mean - run's mean + grand mean of each side, clustered by image.

Var(d) = items + max(0, seeds - residual). Nothing is counted twice, and nothing is left out.

**Its degrees of freedom** (Satterthwaite 1946). An estimate V with f degrees of freedom has variance 2 V^2 / f, so the
sum has Var(d)^2 / (items^2 / (C - 1) + sum over sides of (s2 / S)^2 / (S - 1)), and no fewer than its least certain
part. S - 1 is that of the side with fewer runs, for both: each side's own is Welch's choice, which for 3 and 5 runs
calls 1.3 % of equal recipes different at the 1 % that Holm asks of the smallest of five p. The residual's own share,
with about (S - 1)(C - 1), is left out as negligible. The denominator takes the whole of s2 / S, not only what the
residual leaves of it: taking a known amount away from an estimate makes it no more certain.
`recap.comparison.simulation` measures what this gives.

**Runs are never paired**, not even runs with the same seed. A seed fixes the order of data and the first weights, but
two recipes train on different texts, so nothing says that one seed is lucky for both; pairing would give up half of the
degrees of freedom for that. So the order of runs changes nothing. Questions are paired: both sides were asked the same.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

from recap.evaluation.scoring.standard_error import Floats, Ints, clustered_variance

CONFIDENCE = 0.95
LEVEL = 0.05
POWER = 0.8
# Seeds a side from which a recipe is judged. Two have one degree of freedom each.
MIN_SEEDS = 3
# Images whose answers must differ before the mean of their differences is called roughly normal.
MIN_CHANGED_IMAGES = 10
OVER_SEEDS = "questions and seeds"
# Sums of scores and their variance are rounded: thirds that cancel leave 1e-17.
_DECIMALS = 9


@dataclass(frozen=True)
class Variances:
    """The parts of the variance of a mean difference, in points squared.

    `seeds` and `residual` are (A, B): s2 / S of the runs' means, and the share of it that is question-by-run noise. A
    side with one run has neither, and the variance is then over questions alone. `runs` are (A, B) too.
    """

    items: float
    images: int
    runs: tuple[int, int]
    seeds: tuple[float, float]
    residual: tuple[float, float]

    @property
    def know_seeds(self) -> bool:
        """Whether both sides have the two runs that it takes to see seeds vary."""
        return min(self.runs) > 1

    @cached_property
    def beyond_residual(self) -> float:
        """What seeds add to `items`."""
        return max(0.0, sum(self.seeds) - sum(self.residual)) if self.know_seeds else 0.0

    @cached_property
    def total(self) -> float:
        return self.items + self.beyond_residual

    @cached_property
    def degrees_of_freedom(self) -> float:
        parts = [(self.items, max(1, self.images - 1))]
        if self.know_seeds:
            parts += [(variance, min(self.runs) - 1) for variance in self.seeds]
        uncertainty = sum(variance**2 / freedom for variance, freedom in parts)
        if not uncertainty:
            return float(self.images - 1)
        return max(self.total**2 / uncertainty, float(min(freedom for _, freedom in parts)))

    @property
    def standard_error(self) -> float:
        return math.sqrt(self.total)


@dataclass(frozen=True)
class Difference:
    """B minus A on one benchmark, in points (0-100); `p` in 0-1.

    Attributes:
        questions: Asked of both sides.
        images: They are about.
        changed_images: Images whose questions' differences do not sum to 0.
        a: Mean of A over questions and runs.
        b: Of B.
        difference: b - a.
        variances: The parts of its error.
        no_interval: Why there is no interval, or None.
        comparisons: How many benchmarks are judged together; `detectable` allows for it.
    """

    questions: int
    images: int
    changed_images: int
    a: float
    b: float
    difference: float
    variances: Variances
    no_interval: str | None
    comparisons: int

    @property
    def judged(self) -> bool:
        """Whether there are the seeds that it takes to speak of recipes rather than of runs."""
        return min(self.variances.runs) >= MIN_SEEDS

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 %, over questions and seeds; over questions alone where a side has one run."""
        if self.no_interval:
            return None
        freedom = self.variances.degrees_of_freedom
        half = float(special.stdtrit(freedom, (1 + CONFIDENCE) / 2)) * self.variances.standard_error
        return self.difference - half, self.difference + half

    @property
    def interval_over(self) -> str | None:
        """What the interval allows for."""
        if self.no_interval:
            return None
        if self.variances.know_seeds:
            return OVER_SEEDS
        return f"questions of these {'two ' if self.variances.runs == (1, 1) else ''}runs"

    @property
    def p(self) -> float | None:
        """Two-sided, from the interval's own t; None unless recipes are judged."""
        if self.no_interval or not self.judged:
            return None
        statistic = abs(self.difference) / self.variances.standard_error
        return 2 * float(special.stdtr(self.variances.degrees_of_freedom, -statistic))

    @property
    def detectable(self) -> float | None:
        """The true difference that is found four times in five; None unless recipes are judged."""
        return None if self.no_interval or not self.judged else detectable(self.variances, self.comparisons)


def detectable(variances: Variances, comparisons: int) -> float:
    """The true difference, in points, that is found with a power of 80 %.

    Found means below the threshold that Holm sets for the smallest p of so many comparisons, in a two-sided t test with
    these degrees of freedom: the noncentral t that exceeds the threshold four times in five.
    """
    freedom = variances.degrees_of_freedom
    threshold = special.stdtrit(freedom, 1 - LEVEL / comparisons / 2)
    return float(special.nctdtrinc(freedom, 1 - POWER, threshold)) * variances.standard_error


def compare_scores(a: Floats, b: Floats, clusters: Ints, *, comparisons: int = 1) -> Difference:
    """Compare two sides on the same questions.

    Args:
        a: Scores of A, shape (N, S_a): one row a question, one column a run. 0-1, or -1 to 1 for shown minus blanked.
        b: Scores of B, shape (N, S_b).
        clusters: Shape (N,): the image of each question, numbered from 0.
        comparisons: How many benchmarks are judged together.

    Raises:
        ValueError: No questions or no runs, or not the same questions.
    """
    if not (a.size and b.size and len(a) == len(b) == len(clusters)):
        raise ValueError(
            f"expected scores (N, S) of the same N questions, found {a.shape}, {b.shape}, {clusters.shape}"
        )
    a, b = 100 * a, 100 * b
    difference = b.mean(axis=1) - a.mean(axis=1)
    images = int(clusters.max()) + 1
    variances = _variances(a, b, difference, clusters, images)
    changed = int(np.count_nonzero(np.round(np.bincount(clusters, weights=difference), _DECIMALS)))
    return Difference(
        questions=len(a),
        images=images,
        changed_images=changed,
        a=float(a.mean()),
        b=float(b.mean()),
        difference=float(difference.mean()),
        variances=variances,
        no_interval=_no_interval(changed, variances.total),
        comparisons=comparisons,
    )


def _no_interval(changed: int, variance: float) -> str | None:
    """Why no interval can be given, or None."""
    if changed < MIN_CHANGED_IMAGES:
        return (
            f"{changed or 'no'} image{'' if changed == 1 else 's'} changed, fewer than {MIN_CHANGED_IMAGES}: "
            "an interval would be too narrow"
        )
    return None if round(variance, _DECIMALS) else "every image changed alike: no spread to judge by"


def _variances(a: Floats, b: Floats, difference: Floats, clusters: Ints, images: int) -> Variances:
    # Miller's variance is biased by (C - 1) / C; with one image there is none.
    correction = images / (images - 1) if images > 1 else 0.0
    return Variances(
        items=correction * clustered_variance(difference, clusters),
        images=images,
        runs=(a.shape[1], b.shape[1]),
        seeds=(_seed_variance(a), _seed_variance(b)),
        residual=(correction * _residual_variance(a, clusters), correction * _residual_variance(b, clusters)),
    )


def _seed_variance(scores: Floats) -> float:
    """Variance of the mean of a side that its runs' means show: s2 / S."""
    runs = scores.shape[1]
    return float(scores.mean(axis=0).var(ddof=1)) / runs if runs > 1 else 0.0


def _residual_variance(scores: Floats, clusters: Ints) -> float:
    """The share of `_seed_variance` that is noise question by question.

    A question's mean over S runs takes 1 / S of the noise's variance with it, hence S - 1 in place of S.
    """
    runs = scores.shape[1]
    if runs == 1:
        return 0.0
    residuals = scores - scores.mean(axis=1, keepdims=True)
    # `clustered_variance` takes away each run's mean; the grand mean of these residuals is 0.
    return sum(clustered_variance(run, clusters) for run in residuals.T) / (runs - 1) / runs
