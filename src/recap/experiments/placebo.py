"""`python -m recap.experiments.placebo --seeds 1`: was it content? Run the placebo recipes beside baseline and blip2.

What `make placebo` does. Each recipe becomes the DVC experiment of its name, further seeds <recipe>-s<seed>, as `make`
and `make seeds` leave them: runs that are up to date cost nothing, and what was interrupted goes on. Ends with one
table of all recipes, with words on each against baseline from three seeds on; `--show` prints it again without a run.
"""

import argparse

from recap.comparison.arms import arms_document, arms_text
from recap.comparison.statistics import MIN_SEEDS
from recap.experiments.git import head_commit
from recap.experiments.refs import spoken_name
from recap.experiments.seeds import estimate, seed_runs
from recap.experiments.series import check_recipes, commit_of, make_runs, save_reports, stale_runs
from recap.experiments.workspace import alone, put_back
from recap.io import read_object, write_json
from recap.params import load_all
from recap.reporting.results import PLACEBO
from recap.runtime.errors import UserError
from recap.runtime.stage import run as run_command

BASELINE, HEADLINE = "baseline", "blip2"
PLACEBOS = ("shuffled", "length_matched", "other_image")
ARMS = (BASELINE, HEADLINE, *PLACEBOS)


def main() -> None:
    args = parse_args()
    if args.show:
        print(arms_text(read_object(PLACEBO)))
        return
    check_recipes(ARMS)
    with alone():
        interrupted = put_back()
        baseline = head_commit()
        sides = {recipe: seed_runs(recipe, load_all().seed, args.seeds) for recipe in ARMS}
        # Seed by seed: if it is interrupted, all recipes have about as many.
        runs = [run for together in zip(*sides.values(), strict=True) for run in together]
        stale = stale_runs(runs, baseline)
        for run in runs:
            print(f"{run.name}: seed {run.seed}, {f'to train: {stale[run]}' if run in stale else 'up to date'}")
        print(estimate(runs, stale, baseline, sides=len(ARMS)), flush=True)
        if args.seeds < MIN_SEEDS:
            print(f"note: fewer than {MIN_SEEDS} seeds a recipe, found N={args.seeds}, give no words", flush=True)
        if stale or interrupted:
            make_runs(list(stale), final=sides[HEADLINE][0], baseline=baseline)
        save_reports(runs, baseline)
        names = {
            recipe: [spoken_name(run.name, commit_of(run, baseline)) for run in side] for recipe, side in sides.items()
        }
    document = arms_document(names, PLACEBOS)
    write_json(PLACEBO, document)
    print(f"\n{arms_text(document)}\n\nthe same in {PLACEBO}; again: python -m recap.experiments.placebo --show")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m recap.experiments.placebo", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="training seeds a recipe; words need three")
    parser.add_argument("--show", action="store_true", help=f"print the table in {PLACEBO} and run nothing")
    args = parser.parse_args()
    if args.seeds < 1:
        raise UserError(f"expected at least one seed a recipe, found {args.seeds}; words need three: make placebo N=3")
    return args


if __name__ == "__main__":
    run_command(main)
