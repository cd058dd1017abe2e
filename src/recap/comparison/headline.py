"""`python -m recap.comparison.headline baseline blip2`: run recipes as experiments and show what they changed.

What `make` does. Each recipe becomes the DVC experiment of its name; a recipe whose experiment is still up to
date costs nothing. Ends with `dvc metrics diff` of the first and the last, and says where each run's report lies.
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from recap.comparison.printing import metrics_text
from recap.params import PARAMS_PATH, load_all
from recap.runtime.errors import UserError
from recap.runtime.scratch import SCRATCH_ROOT, fingerprint
from recap.runtime.stage import run

REPORT = Path("data/report/index.html")
REPORTS = Path("reports")
STAMP = SCRATCH_ROOT / "headline"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="+", help="stems of files in recipes/; the first is compared with the last")
    recipes = parser.parse_args().recipes
    for recipe in recipes:
        if not Path(f"recipes/{recipe}.yaml").is_file():
            raise UserError(f"recipes/{recipe}.yaml: expected a recipe, found nothing")
    load_all()
    start = time.monotonic()
    if _up_to_date(recipes):
        print(f"Nothing to do: the experiments {' and '.join(recipes)} are up to date.")
    else:
        for recipe in recipes:
            _run_experiment(recipe)
        STAMP.parent.mkdir(exist_ok=True)
        STAMP.write_text(_state(recipes), encoding="utf-8")
        print(f"\n{' and '.join(recipes)} took {(time.monotonic() - start) / 60:.1f} minutes.")
    print(_metrics_table(recipes[0], recipes[-1]))
    for recipe in recipes:
        print(f"report of {recipe}: {REPORTS / f'{recipe}.html'}")
    print(f"verdict: make compare A={recipes[0]} B={recipes[-1]}")
    print(f"every metric: dvc metrics diff {recipes[0]} {recipes[-1]}")


def _run_experiment(recipe: str) -> None:
    if recipe in _experiment_commits():
        # `dvc exp run --force` would take over the name, but also run every stage again.
        subprocess.run(_dvc("exp", "remove", "--quiet", recipe), check=True)
    print(f"\n== experiment {recipe}: dvc exp run -n {recipe} -S recipe={recipe}", flush=True)
    done = subprocess.run(_dvc("exp", "run", "--name", recipe, "--set-param", f"recipe={recipe}"), check=False)
    if done.returncode:
        raise UserError(f"experiment {recipe} stopped with exit code {done.returncode}; its own message stands above")
    REPORTS.mkdir(exist_ok=True)
    shutil.copy(REPORT, REPORTS / f"{recipe}.html")


def _up_to_date(recipes: list[str]) -> bool:
    """Whether nothing that the experiments depend on has changed since they ran."""
    if not STAMP.is_file() or STAMP.read_text(encoding="utf-8") != _state(recipes):
        return False
    if not all((REPORTS / f"{recipe}.html").is_file() for recipe in recipes):
        return False
    return subprocess.run(_dvc("status", "--quiet"), check=False).returncode == 0


def _state(recipes: list[str]) -> str:
    """A digest of the experiments' commits, the parameters other than `recipe`, and the recipes themselves."""
    commits = _experiment_commits()
    params = load_all(PARAMS_PATH).model_dump(exclude={"recipe"})
    files = [Path(f"recipes/{recipe}.yaml") for recipe in recipes]
    return fingerprint(inputs=files, params={"params": params, "at": [commits.get(r) for r in recipes]}, code=[])


def _experiment_commits() -> dict[str, str]:
    command = ["git", "for-each-ref", "--format=%(refname:lstrip=-1) %(objectname)", "refs/exps"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[:-1]
    return dict(line.split(" ", 1) for line in listed)


def _metrics_table(old: str, new: str) -> str:
    """`dvc metrics diff OLD NEW`, cut to the headline metrics."""
    from dvc.repo import Repo

    with Repo() as repo:
        diff: dict[str, Any] = repo.metrics.diff(old, new, all=True)["diff"]
    values = {name: value for metrics in diff.values() for name, value in metrics.items()}
    before, after = ({name: value.get(side) for name, value in values.items()} for side in ("old", "new"))
    return f"\ndvc metrics diff {old} {new}\n\n{metrics_text(old, before, new, after)}\n"


def _dvc(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "dvc", *arguments]


if __name__ == "__main__":
    run(main)
