"""The two sides of a comparison as its page shows them: every run's records, and one run a side for examples."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recap.comparison.files import files_at
from recap.comparison.sides import run_order
from recap.params import PARAMS_PATH
from recap.reporting.comparison.checkout import Checkout, copied_files, copy_benchmarks, copy_examples, copy_records
from recap.reporting.run import Artifacts, load_artifacts
from recap.reporting.working_tree import Changes, changes_of_experiment, uncommitted_changes


@dataclass(frozen=True)
class ComparedRun:
    """One run of a side.

    Attributes:
        name: The revision, as it was asked for.
        commit: None for the workspace.
        seed: Its training seed.
        artifacts: What could be had of its outputs.
        changes: How it differs from the commit that it started from; None for a run that was committed by hand.
        missing: Outputs whose content could not be had; grows while pictures are read.
    """

    name: str
    commit: str | None
    seed: Any
    artifacts: Artifacts
    changes: Changes | None
    missing: list[str]


@dataclass(frozen=True)
class Side:
    """The runs of one recipe, by seed, whatever order they were named in.

    Attributes:
        label: What the verdict calls the side.
        recipe: Its recipe.
        runs: Ordered by seed and name.
        example: The run that answers and captions are shown of.
    """

    label: str
    recipe: str
    runs: list[ComparedRun]
    example: ComparedRun


def make_sides(document: dict[str, Any], a: Sequence[ComparedRun], b: Sequence[ComparedRun]) -> tuple[Side, Side]:
    """Order the runs, and choose the examples: the lowest seed that both sides have, else each side's lowest."""
    runs_a, runs_b = (sorted(runs, key=lambda run: run_order(run.seed, run.name)) for runs in (a, b))
    example_a, example_b = example_indices([run.seed for run in runs_a], [run.seed for run in runs_b])
    return (
        Side(document["a"]["label"], document["a"]["recipe"], runs_a, runs_a[example_a]),
        Side(document["b"]["label"], document["b"]["recipe"], runs_b, runs_b[example_b]),
    )


def example_indices(a: Sequence[Any], b: Sequence[Any]) -> tuple[int, int]:
    """Where the first seed of `a` that `b` has too stands in each; (0, 0) where they share none."""
    shared = next((seed for seed in a if seed in b), None)
    return (0, 0) if shared is None else (a.index(shared), b.index(shared))


def read_runs(document: dict[str, Any], folder: Path) -> tuple[list[ComparedRun], list[ComparedRun]]:
    """Read the runs that a verdict names from Git and DVC's cache.

    Args:
        document: The verdict.
        folder: Copies of their files are put here; pictures are copied while the page is made.

    Raises:
        UserError: A file exists but is not what its stage writes.
    """
    runs_a, runs_b = (
        sorted(document[side]["runs"], key=lambda run: run_order(run["seed"], run["revision"])) for side in ("a", "b")
    )
    copies_a, copies_b = (
        [Checkout(files_at(run["commit"]), folder / f"{side}{index}") for index, run in enumerate(runs)]
        for side, runs in (("a", runs_a), ("b", runs_b))
    )
    for copies in (*copies_a, *copies_b):
        copy_records(copies)
    example_a, example_b = example_indices([run["seed"] for run in runs_a], [run["seed"] for run in runs_b])
    for copies in (copies_a[example_a], copies_b[example_b]):
        copy_examples(copies)
    # Both sides were asked the same questions about the same pictures: one side's copy serves for both.
    if not copy_benchmarks(copies_b[example_b]):
        copy_benchmarks(copies_a[example_a])
    return (
        [_read_run(run, copies) for run, copies in zip(runs_a, copies_a, strict=True)],
        [_read_run(run, copies) for run, copies in zip(runs_b, copies_b, strict=True)],
    )


def _read_run(run: dict[str, Any], copies: Checkout) -> ComparedRun:
    commit = run["commit"]
    changes = changes_of_experiment(commit) if commit else uncommitted_changes(PARAMS_PATH)
    artifacts = load_artifacts(copied_files(copies))
    return ComparedRun(run["revision"], commit, run["seed"], artifacts, changes, copies.missing)
