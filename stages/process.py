"""Turn the corpus into the one that the run trains on: the recipe, executed by Data-Juicer.

In: corpus, raw and BLIP-2 captions with their alignment scores, a recipe. Out: the processed corpus, the statistics of
its rows, a trace of every row that was dropped, changed or added, the funnel in numbers and as a chart.
"""

import argparse

from recap.params import load_params
from recap.runtime.stage import run

HEADLINE = ("rows_in", "rows_out", "kept_percent", "recaptioned_rows")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--images", required=True, help="the folder that image paths start from")
    parser.add_argument("--raw-captions", required=True, help="the corpus's captions with their scores")
    parser.add_argument("--captions", required=True, help="BLIP-2's")
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--statistics", required=True, help="Parquet: what operators computed of each row")
    parser.add_argument("--trace", required=True)
    parser.add_argument("--plots", required=True)
    parser.add_argument("--metrics", required=True)
    parser.add_argument("--details", required=True, help="everything that is no metric")
    parser.add_argument("--timing", required=True)
    parser.add_argument("--params", default="params.yaml")
    args = parser.parse_args()
    workers = load_params("machine", args.params).process_workers
    seed = load_params("seed", args.params)

    from recap.data.corpus.records import read_corpus
    from recap.data.processing.funnel import funnel_metrics, plot_funnel, write_computed, write_trace
    from recap.data.processing.recipe import read_recipe
    from recap.data.processing.runner import run_recipe
    from recap.io import write_jsonl, write_results
    from recap.runtime.timing import stage_timing

    with stage_timing(args.timing, "process") as timing:
        recipe = read_recipe(args.recipe)
        records = read_corpus(args.corpus)
        timing["items"] = len(records)
        processed = run_recipe(
            recipe, records,
            image_root=args.images, captions=args.captions, raw_captions=args.raw_captions, workers=workers, seed=seed,
        )  # fmt: skip
        write_jsonl(args.output, processed.rows)
        write_computed(args.statistics, processed)
        write_trace(args.trace, processed.steps)
        plot_funnel(args.plots, processed, len(records))
        facts = funnel_metrics(processed, len(records))
        write_results(args.metrics, args.details, "process", facts, headline=HEADLINE)


if __name__ == "__main__":
    run(main)
