"""`python -m recap.comparison.simulation`: does the verdict keep its promises when the truth is known?

Draws runs of two recipes, judges them by the very functions that `python -m recap.comparison` uses, and counts: how
often the 95 % interval holds the true difference, how often equal recipes get a word in any of five benchmarks, and how
often a true difference as large as the printed detectable one is found. 2,000 trials take a core two minutes.

A drawn benchmark is like VQA's: scores 0, 1/3, 2/3 and 1, most of them at the ends; half of the images have two
questions and half have one; images, questions, a recipe's taste for a question, and chance add up to a latent number
that thresholds turn into a score. A seed moves all answers of its run by a normal amount. The benchmarks of one trial
are independent, which is where false words are most likely.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from recap.comparison.markdown_table import markdown_table
from recap.comparison.statistics import CONFIDENCE, MIN_SEEDS, Difference, Floats, Ints, compare_scores
from recap.comparison.words import BETTER, CANT_TELL, words
from recap.io import write_json
from recap.runtime.seeding import derive_seed
from recap.runtime.stage import run

TRIALS = 2000
BENCHMARKS = 5
QUESTIONS_PER_IMAGE = 1.5
# Shares of a latent number's variance, in all 1: what belongs to the image and to the question for every recipe, to the
# recipe on them, and to the run on them.
IMAGE, QUESTION = 0.2, 0.35
RECIPE_IMAGE, RECIPE_QUESTION = 0.05, 0.05
RUN_IMAGE, RUN_QUESTION = 0.1, 0.25
# Below the first threshold the score is 0, above the last it is 1: 40 %, 6 %, 6 % and 48 % of the answers.
THRESHOLDS = special.ndtri(np.array([0.40, 0.46, 0.52]))
_BATCH_SCORES = 4_000_000


@dataclass(frozen=True)
class Setting:
    """What one line of the table is about: questions a benchmark, seeds of A and of B, SD of a run's mean in points."""

    questions: int
    seeds_a: int
    seeds_b: int
    spread: float

    @property
    def judged(self) -> bool:
        return min(self.seeds_a, self.seeds_b) >= MIN_SEEDS

    @cached_property
    def clusters(self) -> Ints:
        """The image of each question, shape (questions,)."""
        images = round(self.questions / QUESTIONS_PER_IMAGE)
        return np.sort(np.arange(self.questions) % images)

    @cached_property
    def latent_spread(self) -> float:
        """SD of a seed's shift of the latent number that gives `spread`."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(40)
        weights = weights / weights.sum()

        def excess(latent: float) -> float:
            means = 100 * _mean_score(latent * nodes, 1.0)
            return float(np.sqrt(weights @ means**2 - (weights @ means) ** 2)) - self.spread

        return float(optimize.brentq(excess, 0.0, 3.0)) if self.spread else 0.0

    def shift_for(self, effect: float) -> float:
        """The latent advantage of a recipe whose true mean is `effect` points above the other's."""
        variance = 1 + self.latent_spread**2
        at_par = _mean_score(np.zeros(1), variance)[0]
        return float(
            optimize.brentq(lambda m: 100 * (_mean_score(np.array([m]), variance)[0] - at_par) - effect, 0.0, 20.0)
        )


def _mean_score(means: Floats, variance: float) -> Floats:
    """Expected score of latent numbers with these means, shape (K,), and this variance."""
    return special.ndtr((means[:, None] - THRESHOLDS) / np.sqrt(variance)).mean(axis=1)


SETTINGS = [
    *(Setting(questions, n, n, spread) for questions in (320, 2000) for n in (3, 5) for spread in (0.0, 1.4, 4.0)),
    *(Setting(questions, 3, 5, 1.4) for questions in (320, 2000)),
    *(Setting(questions, n, n, 1.4) for questions in (320, 2000) for n in (1, 2)),
]


@dataclass(frozen=True)
class Outcome:
    """What was counted in one setting; percentages 0-100, differences in points.

    Attributes:
        setting: What was drawn.
        trials: Of five benchmarks each.
        covered: Percent of intervals that hold the true difference of 0.
        covered_effect: The same where the true difference is `detectable`.
        words: Percent of trials of equal recipes in which any benchmark was called better or worse.
        detectable: Mean of what was printed as detectable; None where seeds are too few for a word.
        found: Percent of trials in which that true difference was called better, beside four equal benchmarks.
    """

    setting: Setting
    trials: int
    covered: float
    covered_effect: float | None
    words: float
    detectable: float | None
    found: float | None


def draw(
    setting: Setting, count: int, rng: np.random.Generator, *, shift: float = 0.0
) -> Iterator[tuple[Floats, Floats]]:
    """Scores (N, S_a) of A and (N, S_b) of B on `count` benchmarks; `shift` is B's latent advantage."""
    batch = max(1, _BATCH_SCORES // (setting.questions * max(setting.seeds_a, setting.seeds_b)))
    for start in range(0, count, batch):
        size = min(batch, count - start)
        common = _noise(rng, (size, 1), setting.clusters, IMAGE, QUESTION)
        a = _side(setting, setting.seeds_a, common, 0.0, rng)
        b = _side(setting, setting.seeds_b, common, shift, rng)
        yield from zip(a, b, strict=True)


def _side(setting: Setting, seeds: int, common: NDArray[np.float32], mean: float, rng: np.random.Generator) -> Floats:
    size = len(common)
    latent = (
        mean
        + setting.latent_spread * rng.standard_normal((size, seeds, 1), dtype=np.float32)
        + common
        + _noise(rng, (size, 1), setting.clusters, RECIPE_IMAGE, RECIPE_QUESTION)
        + _noise(rng, (size, seeds), setting.clusters, RUN_IMAGE, RUN_QUESTION)
    )
    passed = sum((latent > threshold).astype(np.int8) for threshold in THRESHOLDS.astype(np.float32))
    return np.swapaxes(np.asarray(passed), 1, 2) / len(THRESHOLDS)


def _noise(
    rng: np.random.Generator, shape: tuple[int, int], clusters: Ints, image: float, question: float
) -> NDArray[np.float32]:
    """Normal noise (*shape, N) with these variances by image and by question."""
    by_image = rng.standard_normal((*shape, int(clusters[-1]) + 1), dtype=np.float32)[..., clusters]
    by_question = rng.standard_normal((*shape, len(clusters)), dtype=np.float32)
    return np.float32(image**0.5) * by_image + np.float32(question**0.5) * by_question


def simulate(setting: Setting, *, trials: int = TRIALS, seed: int = 0) -> Outcome:
    """Judge `trials` pairs of equal recipes, then as many where one benchmark of five has the detectable difference."""
    rng = np.random.default_rng(derive_seed(seed, "simulation", *asdict(setting).values()))
    equal = [_compare(setting, a, b) for a, b in draw(setting, trials * BENCHMARKS, rng)]
    judged = [equal[start : start + BENCHMARKS] for start in range(0, len(equal), BENCHMARKS)]
    told = sum(any(_told(word.word) for word in words(trial)) for trial in judged)
    covered_effect = mean_detectable = found = None
    if setting.judged:
        mean_detectable = float(np.mean([_detectable(difference) for difference in equal]))
        pairs = draw(setting, trials, rng, shift=setting.shift_for(mean_detectable))
        unequal = [_compare(setting, a, b) for a, b in pairs]
        covered_effect = _percent(_covers(difference, mean_detectable) for difference in unequal)
        found = _percent(
            words([difference, *trial[1:]])[0].word == BETTER for difference, trial in zip(unequal, judged, strict=True)
        )
    return Outcome(
        setting=setting,
        trials=trials,
        covered=_percent(_covers(difference, 0.0) for difference in equal),
        covered_effect=covered_effect,
        words=100 * told / trials,
        detectable=mean_detectable,
        found=found,
    )


def _compare(setting: Setting, a: Floats, b: Floats) -> Difference:
    return compare_scores(a, b, setting.clusters, comparisons=BENCHMARKS)


def _told(word: str | None) -> bool:
    return word not in (None, CANT_TELL)


def _detectable(difference: Difference) -> float:
    if difference.detectable is None:
        raise ValueError(f"expected a detectable difference in every trial, found none: {difference.no_interval}")
    return difference.detectable


def _covers(difference: Difference, truth: float) -> bool:
    if difference.interval is None:
        return False
    low, high = difference.interval
    return low <= truth <= high


def _percent(hits: Iterator[bool]) -> float:
    return 100 * float(np.mean(list(hits)))


def table(outcomes: Sequence[Outcome]) -> str:
    """A Markdown table, one line a setting."""
    head = ["questions", "seeds a side", "spread, points", "coverage, %", "coverage at an effect, %", "false words, %"]
    rows = [[*head, "detectable, points", "found, %"]]
    for outcome in outcomes:
        numbers = [outcome.covered, outcome.covered_effect, outcome.words, outcome.detectable, outcome.found]
        setting = outcome.setting
        rows.append(
            [f"{setting.questions:,}", _seeds(setting), f"{setting.spread:g}"]
            + ["-" if number is None else f"{number:.1f}" for number in numbers]
        )
    return markdown_table(rows)


def _seeds(setting: Setting) -> str:
    a, b = setting.seeds_a, setting.seeds_b
    return (str(a) if a == b else f"{a} and {b}") + ("" if setting.judged else " (not judged)")


def document(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {"confidence": CONFIDENCE, "benchmarks": BENCHMARKS, "settings": [asdict(outcome) for outcome in outcomes]}


def main() -> None:
    from tqdm import tqdm

    parser = argparse.ArgumentParser(prog="python -m recap.comparison.simulation", description=__doc__)
    parser.add_argument("--trials", type=int, default=TRIALS, help="pairs of recipes a line (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the counts to this file")
    args = parser.parse_args()
    outcomes = [
        simulate(setting, trials=args.trials, seed=args.seed) for setting in tqdm(SETTINGS, unit="line", leave=False)
    ]
    print(table(outcomes))
    if args.json:
        write_json(args.json, document(outcomes))


if __name__ == "__main__":
    run(main)
