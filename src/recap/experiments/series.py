"""Several experiments of one commit: which of them have to be made, and making them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from recap.experiments.freshness import why_stale
from recap.experiments.refs import experiment_commit
from recap.experiments.reports import save_report
from recap.experiments.running import Run, run_experiment
from recap.experiments.workspace import kept, leave_at, note_run
from recap.runtime.errors import UserError


def check_recipes(recipes: Iterable[str]) -> None:
    """Raises a UserError if a recipe has no file in recipes/."""
    for recipe in recipes:
        if not Path(f"recipes/{recipe}.yaml").is_file():
            known = ", ".join(sorted(path.stem for path in Path("recipes").glob("*.yaml")))
            raise UserError(f"recipes/{recipe}.yaml: expected a recipe, found nothing; there are: {known}")


def stale_runs(runs: Sequence[Run], baseline: str) -> dict[Run, str]:
    """The runs that have to be made, and why."""
    reasons = {run: why_stale(run, baseline) for run in runs}
    return {run: why for run, why in reasons.items() if why}


def make_runs(runs: Sequence[Run], final: Run, baseline: str) -> None:
    """Make the runs one after another, and leave the workspace as the experiment `final` has it.

    Raises:
        UserError: A run failed or was interrupted. The workspace has its branch, recipe and seed back; the runs
            that were finished stay.
    """
    with kept():
        for run in runs:
            note_run(run)
            run_experiment(run, baseline)
        if not runs or runs[-1] != final:
            leave_at(final, commit_of(final, baseline))


def save_reports(runs: Sequence[Run], baseline: str) -> None:
    for run in runs:
        print(f"report of {run.name}: {save_report(run.name, commit_of(run, baseline))}")


def commit_of(run: Run, baseline: str) -> str:
    """The commit of an experiment that has been made.

    Raises:
        UserError: Somebody removed it meanwhile.
    """
    commit = experiment_commit(baseline, run.name)
    if commit is None:
        raise UserError(f"experiment {run.name}: expected it on commit {baseline[:7]}, found it removed; start again")
    return commit
