"""Compare the corpus before and after processing, the size-dependent statistics on samples of equal size.

In: corpus, processed corpus. Out: numbers and charts.
"""

import argparse

from recap.params import load_params
from recap.runtime.stage import run

HEADLINE = (
    *(f"after.{name}" for name in ("words_mean", "mattr", "mtld", "hdd", "self_bleu")),
    *(f"before.{name}" for name in ("words_mean", "mattr")),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--processed", required=True)
    parser.add_argument("--plots", required=True)
    parser.add_argument("--metrics", required=True)
    parser.add_argument("--details", required=True, help="everything that is no metric")
    parser.add_argument("--timing", required=True)
    parser.add_argument("--params", default="params.yaml")
    args = parser.parse_args()
    quality = load_params("quality", args.params)

    from recap.data.corpus.records import read_corpus
    from recap.data.statistics.comparison import compare_corpora
    from recap.data.statistics.plots import plot_comparison
    from recap.io import write_results
    from recap.runtime.timing import stage_timing

    with stage_timing(args.timing, "quality") as timing:
        before, after = read_corpus(args.corpus), read_corpus(args.processed)
        timing["items"] = len(before) + len(after)
        facts = compare_corpora(before, after, quality=quality)
        plot_comparison(args.plots, before, after, facts)
        write_results(args.metrics, args.details, "quality", facts, headline=HEADLINE)


if __name__ == "__main__":
    run(main)
