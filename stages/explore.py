"""Look at the corpus as it comes: what is wrong with it, how much of it, and a recipe that mends it.

In: corpus, what is known of its pictures, its captions' alignment, the rejected rows, the benchmarks. Out: numbers,
charts, a Markdown report, the suggested recipe, and the list of pictures that a benchmark asks about.
"""

import argparse
import os

from recap.params import load_params
from recap.runtime.stage import run

HEADLINE = ("text.too_short_percent", "leaked_images")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--images", required=True, help="the folder that image paths start from")
    parser.add_argument("--rejected", required=True)
    parser.add_argument("--raw-captions", required=True, help="captions with their alignment (JSONL)")
    parser.add_argument("--benchmarks", required=True, help="the folder with a folder per benchmark")
    parser.add_argument("--report", required=True)
    parser.add_argument("--recipe", required=True, help="output: the suggested recipe")
    parser.add_argument("--leaked", required=True, help="output: pictures that a benchmark asks about")
    parser.add_argument("--plots", required=True)
    parser.add_argument("--metrics", required=True)
    parser.add_argument("--details", required=True, help="everything that is no metric")
    parser.add_argument("--timing", required=True)
    parser.add_argument("--params", default="params.yaml")
    args = parser.parse_args()
    quality = load_params("quality", args.params)

    from recap.data.explore.alignment import with_alignment
    from recap.data.explore.exploration import explore_corpus
    from recap.data.explore.leaks import benchmark_pictures, find_leaks
    from recap.data.explore.markdown import exploration_report
    from recap.data.explore.plots import plot_exploration
    from recap.data.explore.recipe import recipe_text
    from recap.data.explore.table import distinct_pictures, read_index
    from recap.io import read_jsonl, write_jsonl, write_results, write_text
    from recap.runtime.timing import stage_timing

    with stage_timing(args.timing, "explore") as timing:
        table = with_alignment(read_index(args.corpus), args.raw_captions)
        rejected = list(read_jsonl(args.rejected))
        timing["items"] = len(table)
        leaks = find_leaks(distinct_pictures(table), benchmark_pictures(args.benchmarks), args.images, args.benchmarks)
        found = explore_corpus(table, rejected, leaks, leaked_path=args.leaked, quality=quality)
        recipe = recipe_text(found.rules, len(table))
        plot_exploration(args.plots, found)
        plots = os.path.relpath(args.plots, os.path.dirname(args.report))
        write_text(args.report, exploration_report(found, recipe=recipe, plots=plots))
        write_text(args.recipe, recipe)
        write_jsonl(args.leaked, leaks.to_dict("records"))
        write_results(args.metrics, args.details, "explore", found.facts, headline=HEADLINE)


if __name__ == "__main__":
    run(main)
