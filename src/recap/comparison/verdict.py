"""The verdict on two recipes: per benchmark the paired difference, what it could have shown, and a word.

In: the runs of side A and of side B (one revision a training seed). Out: one `Verdict` a benchmark that both sides
scored. A word is `better` or `worse` when Holm's p over the benchmarks is below 0.05, else `can't tell`.
"""

from dataclasses import asdict, dataclass
from typing import Any

from recap.comparison.revisions import Revision
from recap.comparison.scores import pair
from recap.comparison.statistics import CONFIDENCE, RESAMPLES, PairedDifference, compare_scores, holm
from recap.runtime.errors import UserError
from recap.runtime.seeding import derive_seed

LEVEL = 0.05
BETTER, WORSE, CANT_TELL = "better", "worse", "can't tell"
# Metrics of a benchmark that say how it was asked and scored; two sides that differ in one are not comparable.
CONVENTIONS = ("convention", "prompt_fingerprint", "ocr_tokens")
# Below this many images the percentile interval is known to be too narrow (Hesterberg 2015).
FEW_IMAGES = 30


@dataclass(frozen=True)
class Verdict:
    """One benchmark's comparison; `p_holm` is corrected over all benchmarks compared, `word` says what follows."""

    benchmark: str
    difference: PairedDifference
    p_holm: float
    word: str


@dataclass(frozen=True)
class Side:
    """One recipe: its runs differ in nothing but the training seed."""

    runs: list[Revision]

    @property
    def name(self) -> str:
        return ",".join(run.name for run in self.runs)

    @property
    def seeds(self) -> list[Any]:
        return [run.params.get("seed") for run in self.runs]


def make_side(runs: list[Revision]) -> Side:
    """Check that the runs of one side are repetitions of one another.

    Raises:
        UserError: They differ in a parameter other than the seed, or two share a seed.
    """
    side = Side(runs)
    for run in runs[1:]:
        differing = sorted(set(params_that_differ(runs[0], run)) - {"seed"})
        if differing:
            raise UserError(
                f"expected runs of one side to differ in nothing but the seed, found {runs[0].name} and {run.name} to "
                f"differ in {', '.join(differing)}"
            )
    if len(set(side.seeds)) < len(runs):
        raise UserError(f"{side.name}: expected a different seed in every run of one side, found {side.seeds}")
    return side


def params_that_differ(a: Revision, b: Revision) -> dict[str, tuple[Any, Any]]:
    """{"recipe": ("baseline", "blip2")}, sorted by name; a parameter that one side lacks is None there."""
    names = sorted(a.params.keys() | b.params.keys())
    pairs = {name: (a.params.get(name), b.params.get(name)) for name in names}
    return {name: (old, new) for name, (old, new) in pairs.items() if old != new}


def common_benchmarks(a: Side, b: Side) -> tuple[list[str], list[str]]:
    """Benchmarks that every run scored, and those that only some did, in the order of the first run."""
    runs = [*a.runs, *b.runs]
    every = list(dict.fromkeys(name for run in runs for name in run.scores))
    shared = [name for name in every if all(name in run.scores for run in runs)]
    return shared, [name for name in every if name not in shared]


def judge(a: Side, b: Side, *, resamples: int = RESAMPLES, seed: int = 0) -> list[Verdict]:
    """Compare two sides on every benchmark that all their runs scored.

    Raises:
        UserError: One side has one seed and the other several, no benchmark is shared, or a benchmark was asked
            differently (other questions, prompts or scoring conventions).
    """
    if (len(a.runs) == 1) != (len(b.runs) == 1):
        raise UserError(
            f"expected one run on both sides or several on both, found {len(a.runs)} ({a.name}) and {len(b.runs)} "
            f"({b.name}); leave out the extra seeds or train the missing ones"
        )
    benchmarks, _ = common_benchmarks(a, b)
    if not benchmarks:
        raise UserError(f"expected a benchmark that both sides scored, found none in {a.name} and {b.name}")
    differences = [_compare(benchmark, a, b, resamples, seed) for benchmark in benchmarks]
    adjusted = holm([difference.p for difference in differences])
    return [
        Verdict(benchmark, difference, p_holm, _word(difference, p_holm))
        for benchmark, difference, p_holm in zip(benchmarks, differences, adjusted, strict=True)
    ]


def _compare(benchmark: str, a: Side, b: Side, resamples: int, seed: int) -> PairedDifference:
    _require_same_conventions(benchmark, [*a.runs, *b.runs])
    scores = pair(benchmark, *({run.name: run.scores[benchmark] for run in side.runs} for side in (a, b)))
    return compare_scores(
        scores.a,
        scores.b,
        scores.clusters,
        paired_seeds=a.seeds == b.seeds,
        resamples=resamples,
        seed=derive_seed(seed, "comparison", benchmark),
    )


def _require_same_conventions(benchmark: str, runs: list[Revision]) -> None:
    for name in CONVENTIONS:
        found = [run.metrics.get(f"{benchmark}.{name}") for run in runs]
        if any(value != found[0] for value in found):
            told = ", ".join(f"{run.name} {value!r}" for run, value in zip(runs, found, strict=True))
            raise UserError(
                f"{benchmark}: expected the same {name} in every revision, found {told}; answer and score both alike"
            )


def _word(difference: PairedDifference, p_holm: float) -> str:
    if p_holm >= LEVEL:
        return CANT_TELL
    return BETTER if difference.difference > 0 else WORSE


def verdict_document(a: Side, b: Side, verdicts: list[Verdict]) -> dict[str, Any]:
    """The verdict as JSON: sides, parameters that differ, and per benchmark every number of the printed table."""
    return {
        "a": [{"revision": run.name, "commit": run.commit, "seed": run.params.get("seed")} for run in a.runs],
        "b": [{"revision": run.name, "commit": run.commit, "seed": run.params.get("seed")} for run in b.runs],
        "params": {name: {"a": old, "b": new} for name, (old, new) in params_that_differ(a.runs[0], b.runs[0]).items()},
        "confidence": CONFIDENCE,
        "level": LEVEL,
        "seed_variance": "known" if len(a.runs) > 1 else "unknown",
        "benchmarks": {
            verdict.benchmark: {
                "verdict": verdict.word,
                **{key: _rounded(value) for key, value in asdict(verdict.difference).items()},
                "p_holm": _rounded(verdict.p_holm),
            }
            for verdict in verdicts
        },
    }


def _rounded(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value
