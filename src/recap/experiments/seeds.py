"""`python -m recap.experiments.seeds --seeds 3 baseline blip2`: train what is missing for a verdict over seeds.

What `make seeds N=3` does. The first seed is params.yaml's, whose runs are the experiments that `make` leaves; the
next ones are the experiments <recipe>-s<seed>. Runs that are up to date cost nothing, and what was interrupted goes
on. Ends with the verdict over all seeds, and its page in reports/.
"""

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from recap.comparison.statistics import MIN_SEEDS
from recap.experiments.freshness import NOT_THERE
from recap.experiments.git import head_commit
from recap.experiments.locked import locked_stages, stages_after
from recap.experiments.refs import experiment_commit, spoken_name
from recap.experiments.running import Run
from recap.experiments.series import check_recipes, commit_of, make_runs, save_reports, stale_runs
from recap.experiments.workspace import alone, put_back
from recap.io import read_json
from recap.params import load_all
from recap.runtime.errors import UserError
from recap.runtime.stage import run as run_command

TIMINGS = Path("data/timings")


def main() -> None:
    args = parse_args()
    check_recipes((args.a, args.b))
    few = f"fewer than {MIN_SEEDS} seeds a side, found N={args.seeds}, give no verdict"
    sides = train_missing((args.a, args.b), args.seeds, final=args.b, few=few)
    names = [",".join(side) for side in sides]
    for module in ("recap.comparison", "recap.reporting.comparison"):
        print(f"\n== python -m {module} {' '.join(names)}", flush=True)
        code = subprocess.run([sys.executable, "-m", module, *names], check=False).returncode
        if code:
            sys.exit(code)


def train_missing(recipes: Sequence[str], count: int, *, final: str, few: str) -> list[list[str]]:
    """Train what is missing or stale of some seeds of some recipes, and save a report of each run.

    Args:
        recipes: Which.
        count: Training seeds of each.
        final: The recipe whose first run is left in the workspace.
        few: What to note where so many seeds are too few to judge by.

    Returns:
        The revisions of each recipe, one a seed.
    """
    with alone():
        interrupted = put_back()
        baseline = head_commit()
        sides = [seed_runs(recipe, load_all().seed, count) for recipe in recipes]
        # Seed by seed: if it is interrupted, all recipes have about as many.
        runs = [run for together in zip(*sides, strict=True) for run in together]
        stale = stale_runs(runs, baseline)
        for run in runs:
            print(f"{run.name}: seed {run.seed}, {f'to train: {stale[run]}' if run in stale else 'up to date'}")
        print(estimate(runs, stale, baseline, sides=len(sides)), flush=True)
        if count < MIN_SEEDS:
            print(f"note: {few}", flush=True)
        if stale or interrupted:
            make_runs(list(stale), final=sides[recipes.index(final)][0], baseline=baseline)
        save_reports(runs, baseline)
        return [[spoken_name(run.name, commit_of(run, baseline)) for run in side] for side in sides]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m recap.experiments.seeds", description=__doc__)
    parser.add_argument("a", help="the recipe compared against: the stem of a file in recipes/")
    parser.add_argument("b", help="the recipe that may be better")
    parser.add_argument("--seeds", type=int, required=True, help="training seeds a side")
    args = parser.parse_args()
    if args.seeds < 1:
        raise UserError(f"expected at least one seed a side, found {args.seeds}; a verdict needs three: make seeds N=3")
    if args.a == args.b:
        raise UserError(f"expected two recipes, found {args.a} twice")
    return args


def seed_runs(recipe: str, seed: int, count: int) -> list[Run]:
    """The runs of one side: the recipe's own experiment, and one for each of the next seeds."""
    return [Run(recipe, recipe, seed), *(Run(f"{recipe}-s{n}", recipe, n) for n in range(seed + 1, seed + count))]


def estimate(runs: Sequence[Run], stale: Mapping[Run, str], baseline: str, *, sides: int) -> str:
    """How long it will take; `runs` begin with each side's first, and `stale` says which are to train and why."""
    missing = len(stale)
    if not missing:
        return "Nothing to train: every seed is up to date."
    commits = [commit for run in runs if (commit := experiment_commit(baseline, run.name))]
    minutes = seed_minutes(commits[0]) if commits else None
    if minutes is None:
        return f"{missing} to train; how long a run takes is not known before the first."
    # Runs of another seed, beside a first one that is up to date, share all that comes before their training with it.
    only_seeds = set(stale.values()) == {NOT_THERE} and not any(run in stale for run in runs[:sides])
    about = "about" if only_seeds else "at least"
    return f"{missing} to train, {about} {missing * minutes:.0f} minutes by the timings in {TIMINGS}."


def seed_minutes(commit: str) -> float | None:
    """Minutes that another seed takes: those of the stages that follow the seed, as the last run left its timings.

    Args:
        commit: An experiment, whose dvc.lock tells which stages these are.

    Returns:
        None if there are no timings. A stage that leaves none (`report`) takes seconds.
    """
    paths = [TIMINGS / f"{stage}.json" for stage in stages_after(locked_stages(commit), "seed")]
    seconds = [read_json(path)["seconds"] for path in paths if path.is_file()]
    return float(sum(seconds)) / 60 if seconds else None


if __name__ == "__main__":
    run_command(main)
