"""Compare the corpus before and after processing: lengths, diversity, repetition, duplicates, alignment.

In: the raw corpus with its alignment, the processed corpus. Out: numbers with their intervals, charts.
"""

import argparse

from recap.params import load_params
from recap.runtime.stage import run

HEADLINE = {
    "after": ("words_mean", "mattr", "mtld", "hdd", "self_bleu", "alignment"),
    "change": ("alignment",),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raw-captions", required=True, help="the corpus before processing")
    parser.add_argument("--processed", required=True, help="the corpus after it")
    parser.add_argument("--plots", required=True)
    parser.add_argument("--metrics", required=True, help="the headline's values")
    parser.add_argument("--details", required=True, help="every measure with its interval")
    parser.add_argument("--timing", required=True)
    parser.add_argument("--params", default="params.yaml")
    args = parser.parse_args()
    quality = load_params("quality", args.params)

    from recap.data.statistics.aligned import read_processed, read_raw_captions
    from recap.data.statistics.comparison import compare_corpora
    from recap.data.statistics.plots import plot_comparison
    from recap.io import write_metrics
    from recap.runtime.timing import stage_timing

    with stage_timing(args.timing, "quality") as timing:
        before, after = read_raw_captions(args.raw_captions), read_processed(args.processed)
        timing["items"] = len(before.records) + len(after.records)
        facts = compare_corpora(before, after, quality=quality)
        plot_comparison(args.plots, before, after, facts)
        headline = {side: {name: facts[side][name]["value"] for name in names} for side, names in HEADLINE.items()}
        write_metrics(args.metrics, "quality", headline)
        write_metrics(args.details, "quality", facts)


if __name__ == "__main__":
    run(main)
