"""The two sides of a comparison: the runs of one recipe each, one a training seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from recap.comparison.headline_metrics import HEADLINE, benchmark_order, is_number
from recap.comparison.revisions import Revision
from recap.comparison.statistics import MIN_SEEDS
from recap.runtime.errors import UserError


@dataclass(frozen=True)
class Side:
    """One recipe: its runs differ in their seed, and are in the order of it."""

    runs: list[Revision]

    @property
    def names(self) -> str:
        return ",".join(run.name for run in self.runs)

    @property
    def label(self) -> str:
        """What stands above its column: the revision where there is one, else the recipe that all runs share."""
        return self.runs[0].name if len(self.runs) == 1 else self.runs[0].recipe


def make_side(runs: Sequence[Revision]) -> Side:
    """Check that runs are repetitions of one recipe; whether they are of the same data, `comparability` checks.

    Raises:
        UserError: They have different recipes, or two have the same seed, or are one run under two seeds.
    """
    side = Side(sorted(runs, key=lambda run: run_order(run.seed, run.name)))
    recipes = sorted({run.recipe for run in runs})
    if len(recipes) > 1:
        raise UserError(f"{side.names}: expected runs of one recipe on one side, found {' and '.join(recipes)}")
    seeds = [run.seed for run in side.runs]
    if len(set(seeds)) < len(seeds):
        raise UserError(f"{side.names}: expected a different seed in every run of one side, found {seeds}")
    for one, other in combinations(side.runs, 2):
        if _same_run(one, other):
            raise UserError(
                f"{side.names}: expected runs that were trained one by one, found that seeds {one.seed} and "
                f"{other.seed} are the same run ({one.name}, {other.name}); `make seeds` trains another seed"
            )
    return side


def _same_run(one: Revision, other: Revision) -> bool:
    """Whether two runs have one model; where a lock does not tell, whether they score alike wherever both have scores.

    Models that differ may score alike: two that answer nothing do.
    """
    if one.model and other.model:
        return one.model == other.model
    shared = one.scores.keys() & other.scores.keys()
    return bool(shared) and all(_scored(one, name) == _scored(other, name) for name in shared)


def _scored(run: Revision, benchmark: str) -> dict[str, tuple[float, float | None]]:
    return {key: (question.score, question.blank_score) for key, question in run.scores[benchmark].items()}


def run_order(seed: Any, name: str) -> tuple[str, str]:
    """Sorts runs by seed: numbers in the order of their size, before names; a run without a seed is no error."""
    return str(seed).rjust(20), name


def labels(a: Side, b: Side) -> tuple[str, str]:
    """The sides' labels, told apart where both are of one recipe."""
    return (a.label, b.label) if a.label != b.label else (f"A: {a.label}", f"B: {b.label}")


def headings(a: Side, b: Side) -> tuple[str, str]:
    """Labels that say what a column holds: "blip2 (3 seeds)" is a mean over three runs."""
    first, second = (
        label if len(side.runs) == 1 else f"{label} ({len(side.runs)} seeds)"
        for label, side in zip(labels(a, b), (a, b), strict=True)
    )
    return first, second


def common_benchmarks(a: Side, b: Side) -> tuple[list[str], list[str]]:
    """Benchmarks that every run scored, and those that only some did, in the pipeline's order."""
    runs = [*a.runs, *b.runs]
    every = sorted({name for run in runs for name in run.scores}, key=benchmark_order)
    shared = [name for name in every if all(name in run.scores for run in runs)]
    return shared, [name for name in every if name not in shared]


def not_judged_because(a: Side, b: Side) -> str | None:
    """Why the recipe is not judged, or None where there are seeds enough."""
    counts = [len(side.runs) for side in (a, b)]
    if min(counts) >= MIN_SEEDS:
        return None
    if counts[0] == counts[1]:
        return "one seed a side" if counts[0] == 1 else f"only {counts[0]} seeds a side"
    return "only {} and {} seeds".format(*counts)


def wiring_only(a: Side, b: Side) -> bool:
    """Whether any run was on photographs with a bundled tiny model, which only ever saw drawings."""
    return any(run.details.get("check.wiring_only") is True for run in [*a.runs, *b.runs])


def params_that_differ(a: Side, b: Side) -> dict[str, tuple[Any, Any]]:
    """{"recipe": ("baseline", "blip2")}, sorted by name; None where a parameter is missing.

    A side whose runs differ in a parameter, as in their seeds, is shown with the list of its values.
    """
    names = sorted({name for side in (a, b) for run in side.runs for name in run.params if not is_machine(name)})
    pairs = {name: (_value(a, name), _value(b, name)) for name in names}
    return {name: (old, new) for name, (old, new) in pairs.items() if old != new}


def is_machine(name: str) -> bool:
    """Whether a parameter, or a whole section, only says how the work is spread."""
    return name.partition(".")[0] == "machine"


def _value(side: Side, name: str) -> Any:
    values = [run.params.get(name) for run in side.runs]
    return values[0] if all(value == values[0] for value in values) else values


def headline_metrics(a: Side, b: Side) -> dict[str, tuple[list[float], list[float]]]:
    """Headline metrics that every run has: {name: (values of A's runs, of B's)}."""
    shared = [name for name in HEADLINE if all(is_number(run.metrics.get(name)) for run in [*a.runs, *b.runs])]
    return {name: ([run.metrics[name] for run in a.runs], [run.metrics[name] for run in b.runs]) for name in shared}
