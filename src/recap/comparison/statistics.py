"""Paired statistics of two runs on the same questions: interval, p, minimum detectable difference.

In: per-question scores of A and B on the same questions, and the image each question is about. Out: a
`PairedDifference` in points (0-100). Questions about one image are not independent, so everything is clustered by
image: standard errors after Miller 2024 (arXiv 2411.00640), the bootstrap after Koehn 2004 with images in place
of sentences, Holm 1979 over benchmarks. Nothing here depends on the order of rows.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RESAMPLES = 10_000
CONFIDENCE = 0.95
# z(.975) + z(.80): two-sided test at 5 %, 80 % power.
POWER_FACTOR = 1.959963984540054 + 0.8416212335729143
# Scores are multiples of 0.1 at finest; sums are rounded far below that, so that the order of addition leaves no trace.
_DECIMALS = 10


@dataclass(frozen=True)
class PairedDifference:
    """What two runs' scores on one benchmark say. Scores and differences in points (0-100), `p` in 0-1.

    `low` and `high` bound the 95 % interval of `difference` = b - a; `discordant` is the percentage of
    questions whose (seed-mean) scores differ; `seed_standard_error` is None with one seed a side.
    """

    questions: int
    images: int
    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float
    standard_error: float
    seed_standard_error: float | None
    minimum_detectable: float
    discordant: float


def cluster_totals(values: Floats, clusters: Ints) -> tuple[Floats, Ints]:
    """Sum of values and number of questions per cluster, the same whatever the order of rows.

    Args:
        values: Shape (N,).
        clusters: Shape (N,), the cluster of each value, numbered from 0.

    Returns:
        Sums, shape (C,), and sizes, shape (C,).
    """
    order = np.lexsort((values, clusters))
    sums = np.bincount(clusters[order], weights=values[order])
    return np.round(sums, _DECIMALS), np.bincount(clusters)


def clustered_standard_error(values: Floats, clusters: Ints) -> float:
    """Standard error of the mean: sqrt(sum over clusters of (sum of deviations)^2) / N (Miller 2024, eq. 4)."""
    sums, sizes = cluster_totals(values, clusters)
    deviations = sums - sizes * (math.fsum(sums) / sizes.sum())
    return math.sqrt(math.fsum(deviations**2)) / len(values)


def bootstrap_means(values: Floats, clusters: Ints, rng: np.random.Generator, *, resamples: int = RESAMPLES) -> Floats:
    """Means of `values` when whole clusters are drawn with replacement, shape (resamples,).

    Clusters with the same sum and size are exchangeable, so a resample is one multinomial draw over the distinct
    (sum, size) pairs instead of one index per cluster: the same distribution, a hundred times faster.
    """
    sums, sizes = cluster_totals(values, clusters)
    kinds, counts = np.unique(np.stack([sums, sizes.astype(np.float64)], axis=1), axis=0, return_counts=True)
    probabilities = counts / counts.sum()
    means = np.empty(resamples)
    step = max(1, 4_000_000 // len(kinds))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        totals = rng.multinomial(len(sums), probabilities, size=size) @ kinds
        means[start : start + size] = totals[:, 0] / totals[:, 1]
    return means


def two_sided_p(draws: Floats, *, floor: float = 0.0) -> float:
    """p = 2 * min(share of draws <= 0, share >= 0), at least `floor`, never exactly 0 (one draw is added)."""
    below, above = int((draws <= 0).sum()), int((draws >= 0).sum())
    return min(1.0, max(floor, 2 * (min(below, above) + 1) / (len(draws) + 1)))


def sign_test_floor(values: Floats, clusters: Ints) -> float:
    """The smallest p that an exact sign test on the changed clusters could reach: 2 * 2^-changed, at most 1.

    A bootstrap of three images that all improved finds no resample below zero; three coin tosses prove nothing.
    """
    changed = int(np.count_nonzero(cluster_totals(values, clusters)[0]))
    return min(1.0, 2.0 ** (1 - changed))


def holm(p_values: list[float]) -> list[float]:
    """Holm's step-down correction: adjusted p values in the given order."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def seed_spread(a: Floats, b: Floats, *, paired: bool) -> tuple[float, float]:
    """Standard error of the mean difference that comes from training seeds, and its degrees of freedom.

    Args:
        a: Mean score of each of A's runs, shape (S_a,), at least two.
        b: Of B's runs, shape (S_b,), at least two.
        paired: Run i of A and run i of B share their seed, so that only their difference varies.

    Returns:
        Standard error, and degrees of freedom (Welch-Satterthwaite when not paired).
    """
    if paired:
        return float(np.std(b - a, ddof=1) / math.sqrt(len(a))), len(a) - 1.0
    parts = [float(np.var(side, ddof=1) / len(side)) for side in (a, b)]
    total = sum(parts)
    if total == 0:
        return 0.0, float(len(a) + len(b) - 2)
    freedom = total**2 / sum(part**2 / (len(side) - 1) for part, side in zip(parts, (a, b), strict=True))
    return math.sqrt(total), freedom


def compare_scores(
    a: Floats, b: Floats, clusters: Ints, *, paired_seeds: bool = False, resamples: int = RESAMPLES, seed: int = 0
) -> PairedDifference:
    """Compare two sides on the same questions.

    With several seeds a side the bootstrap has two levels: image clusters are resampled, and the seeds' share of
    the error is drawn from Student's t with the spread the seeds show. (Resampling two or three seeds themselves
    understates it: two seeds a side cover the truth four times in five, not nineteen in twenty.)

    Args:
        a: Scores of A, shape (N, S_a), 0-1: one row a question, one column a training seed.
        b: Scores of B, shape (N, S_b).
        clusters: Shape (N,): the image of each question, numbered from 0.
        paired_seeds: Columns of `a` and `b` share their seeds, pairwise.
        resamples: Bootstrap draws.
        seed: Of the draws.

    Raises:
        ValueError: No questions, or one side has one seed and the other several.
    """
    if len(a) == 0 or (a.shape[1] == 1) != (b.shape[1] == 1):
        raise ValueError(f"expected questions, and one seed on both sides or several on both: {a.shape}, {b.shape}")
    rng = np.random.default_rng(seed)
    difference = np.round(b.mean(axis=1) - a.mean(axis=1), _DECIMALS)
    draws = bootstrap_means(difference, clusters, rng, resamples=resamples)
    items_error = clustered_standard_error(difference, clusters)
    seed_error = None
    if a.shape[1] > 1:
        seed_error, freedom = seed_spread(_column_means(a), _column_means(b), paired=paired_seeds)
        draws = draws + seed_error * rng.standard_t(freedom, size=resamples)
    error = math.hypot(items_error, seed_error or 0.0)
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return PairedDifference(
        questions=len(a),
        images=int(clusters.max()) + 1,
        a=100 * float(_column_means(a).mean()),
        b=100 * float(_column_means(b).mean()),
        difference=100 * math.fsum(difference) / len(difference),
        low=100 * float(low),
        high=100 * float(high),
        p=two_sided_p(draws, floor=sign_test_floor(difference, clusters)),
        standard_error=100 * error,
        seed_standard_error=None if seed_error is None else 100 * seed_error,
        minimum_detectable=100 * POWER_FACTOR * error,
        discordant=100 * float((difference != 0).mean()),
    )


def _column_means(scores: Floats) -> Floats:
    """Mean of each column, shape (S,), by exact summation: the same whatever the order of rows."""
    return np.array([math.fsum(column) / len(column) for column in scores.T])
