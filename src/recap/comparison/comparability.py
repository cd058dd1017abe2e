"""Whether a difference between two sides can be put down to their recipes and their seeds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from recap.comparison.inputs import RECIPE_FILE, SHARED, benchmark_input
from recap.comparison.revisions import Revision
from recap.comparison.sides import Side, common_benchmarks, is_machine
from recap.runtime.errors import UserError

# Parameters in which runs may differ, besides those of the machine: what is compared, and what is repeated.
FREE = ("recipe", "seed")
# How a benchmark was asked and scored.
CONVENTIONS = ("convention", "prompt_fingerprint")
NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class Incomparable:
    """One thing that all runs should share and do not; `a` and `b` list the values of each side's runs."""

    what: str
    a: str
    b: str


def require_comparable(a: Side, b: Side, *, force: bool) -> list[Incomparable]:
    """Everything that makes a comparison unfair; empty unless forced.

    What no run recorded counts: nothing then says that it was the same.

    Raises:
        UserError: There is something, and `force` is not set; the message names it all.
    """
    found = list(_incomparable(a, b))
    if found and not force:
        told = "; ".join(f"{item.what} (A: {item.a}, B: {item.b})" for item in found)
        raise UserError(
            f"{a.names} and {b.names}: expected runs that differ in nothing but recipe, seed and machine, found "
            f"{len(found)} difference(s) besides: {told}; run both on the same, or add --force to compare all the same"
        )
    return found


def _incomparable(a: Side, b: Side) -> Iterator[Incomparable]:
    benchmarks, _ = common_benchmarks(a, b)
    facts_a, facts_b = ([_facts(run, benchmarks) for run in side.runs] for side in (a, b))
    for what in dict.fromkeys(name for facts in [*facts_a, *facts_b] for name in facts):
        values = [facts.get(what) for facts in [*facts_a, *facts_b]]
        if NOT_RECORDED in values or any(value != values[0] for value in values):
            yield Incomparable(what, _listed(facts_a, what), _listed(facts_b, what))
    # Two recipes have two files; the runs of one side have one.
    files_a, files_b = ([run.inputs.get(RECIPE_FILE, NOT_RECORDED) for run in side.runs] for side in (a, b))
    if len(set(files_a)) > 1 or len(set(files_b)) > 1:
        yield Incomparable(RECIPE_FILE, ", ".join(dict.fromkeys(files_a)), ", ".join(dict.fromkeys(files_b)))


def _facts(run: Revision, benchmarks: Sequence[str]) -> dict[str, Any]:
    """What every run of a comparison must share: inputs, parameters, and how each benchmark was asked and scored."""
    inputs = {what: run.inputs.get(what, NOT_RECORDED) for what in [*SHARED, *map(benchmark_input, benchmarks)]}
    params = {
        f"parameter {name}": value
        for name, value in sorted(run.params.items())
        if name not in FREE and not is_machine(name) and not _is_left_out(name, benchmarks)
    }
    conventions = {
        f"{benchmark} {name}": run.details.get(f"{benchmark}.{name}", NOT_RECORDED)
        for benchmark in benchmarks
        for name in CONVENTIONS
    }
    return inputs | params | conventions


def _is_left_out(name: str, benchmarks: Sequence[str]) -> bool:
    """Whether a parameter only chooses a benchmark that not every run answered, and that is not compared."""
    section, _, benchmark = name.partition(".")
    return section == "benchmarks" and benchmark not in benchmarks


def _listed(facts: Sequence[dict[str, Any]], what: str) -> str:
    return ", ".join(dict.fromkeys(str(each.get(what)) for each in facts))
