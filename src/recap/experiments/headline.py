"""`python -m recap.experiments.headline baseline blip2`: run recipes as experiments and show what they changed.

What `make` does. Each recipe becomes the DVC experiment of its name; a recipe whose experiment is still up to
date costs nothing. Ends with `dvc metrics diff` of the first and the last, and says where each run's report lies.
"""

import argparse
import time
from typing import Any

from recap.comparison.printing import metrics_text
from recap.experiments.git import head_commit
from recap.experiments.refs import spoken_name
from recap.experiments.running import Run
from recap.experiments.series import check_recipes, commit_of, make_runs, save_reports, stale_runs
from recap.experiments.workspace import alone, put_back
from recap.params import load_all
from recap.runtime.stage import run as run_command


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m recap.experiments.headline", description=__doc__)
    parser.add_argument("recipes", nargs="+", help="stems of files in recipes/; the first is compared with the last")
    recipes = list(dict.fromkeys(parser.parse_args().recipes))
    check_recipes(recipes)
    with alone():
        interrupted = put_back()
        seed, baseline = load_all().seed, head_commit()
        runs = [Run(recipe, recipe, seed) for recipe in recipes]
        stale = stale_runs(runs, baseline)
        for run, why in stale.items():
            print(f"{run.name}: {why}", flush=True)
        start = time.monotonic()
        if stale or interrupted:
            make_runs(list(stale), runs[-1], baseline)
        if stale:
            print(f"\n{' and '.join(run.name for run in stale)} took {(time.monotonic() - start) / 60:.1f} minutes.")
        else:
            print(f"Nothing to do: the experiments {' and '.join(recipes)} are up to date.")
        commits = [commit_of(run, baseline) for run in (runs[0], runs[-1])]
        names = [spoken_name(recipe, commit) for recipe, commit in zip((recipes[0], recipes[-1]), commits, strict=True)]
        print(f"\ndvc metrics diff {' '.join(names)}\n\n{_metrics_table(*names, *commits)}\n")
        save_reports(runs, baseline)
    print(f"verdict: make compare A={names[0]} B={names[1]}")
    print(f"every metric: dvc metrics diff {' '.join(names)}")


def _metrics_table(name_a: str, name_b: str, a: str, b: str) -> str:
    """`dvc metrics diff` of the commits `a` and `b`, cut to the headline metrics."""
    from dvc.repo import Repo

    with Repo() as repo:
        diff: dict[str, Any] = repo.metrics.diff(a, b, all=True).get("diff", {})
    values = {name: value for metrics in diff.values() for name, value in metrics.items()}
    before, after = ({name: value.get(side) for name, value in values.items()} for side in ("old", "new"))
    return metrics_text(name_a, before, name_b, after)


if __name__ == "__main__":
    run_command(main)
