"""The quick look at image-caption pairs, without a pipeline: what is wrong, and the recipe that mends it.

    python -m recap.data.explore FILE [--sample 50000] [--images FOLDER] [--output FOLDER]

FILE is a file or folder in any format that `prepare` reads (docs/DATA.md), or the index.parquet of a corpus. The sample
is drawn by --seed, and shares are its own.
"""

import argparse
import logging
from pathlib import Path

from recap.runtime.stage import run

logger = logging.getLogger("explore")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--sample", type=_rows, default=50_000, help="rows to look at (default: %(default)s)")
    parser.add_argument("--images", type=Path, help="where image paths start from (default: FILE, or its folder)")
    parser.add_argument("--output", type=Path, help="a folder for report.md, its charts, and suggested_recipe.yaml")
    parser.add_argument("--seed", type=int, default=42, help="of the sample (default: %(default)s)")
    parser.add_argument("--params", type=Path, default="params.yaml", help="`quality` and `data.links` are read")
    args = parser.parse_args()

    from recap.data.explore.exploration import explore_corpus
    from recap.data.explore.leaks import no_leaks
    from recap.data.explore.markdown import exploration_report, summary
    from recap.data.explore.plots import plot_exploration
    from recap.data.explore.quick import read_sample
    from recap.data.explore.recipe import recipe_text
    from recap.io import write_text
    from recap.params import load_all

    params = load_all(args.params)
    table, rejected = read_sample(args.file, args.images, rows=args.sample, seed=args.seed, links=params.data.links)
    found = explore_corpus(table, rejected, no_leaks(), leaked_path="", quality=params.quality)
    recipe = recipe_text(found.rules, len(table))
    print(f"{summary(found)}\n\n{recipe}", end="")
    if args.output:
        plot_exploration(args.output / "plots", found)
        write_text(args.output / "report.md", exploration_report(found, recipe=recipe, plots="plots"))
        write_text(args.output / "suggested_recipe.yaml", recipe)
        logger.info("%s holds the report, its charts and the recipe", args.output)


def _rows(text: str) -> int:
    if (rows := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"expected one row or more, found {rows}")
    return rows


if __name__ == "__main__":
    run(main)
