"""`python -m recap.experiments.placebo --seeds 1`: was it content? Run the placebo recipes beside baseline and blip2.

What `make placebo` does. Each recipe becomes the DVC experiment of its name, further seeds <recipe>-s<seed>, as `make`
and `make seeds` leave them: runs that are up to date cost nothing, and what was interrupted goes on. Ends with one
table of all recipes, with words on each against baseline from three seeds on; `--show` prints it again without a run.
"""

import argparse

from recap.comparison.arms import arms_document, arms_text
from recap.comparison.statistics import MIN_SEEDS
from recap.experiments.seeds import train_missing
from recap.experiments.series import check_recipes
from recap.io import read_object, write_json
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
    few = f"fewer than {MIN_SEEDS} seeds a recipe, found N={args.seeds}, give no words"
    names = dict(zip(ARMS, train_missing(ARMS, args.seeds, final=HEADLINE, few=few), strict=True))
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
