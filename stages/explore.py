"""Look at the corpus as it comes: captions, diversity, images, what was rejected.

In: corpus, its images, the rejected rows. Out: numbers, charts, and a Markdown report that explains them.
"""

import argparse
import os

from recap.params import load_params
from recap.runtime.stage import run

HEADLINE = ("text.too_short_percent",)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--images", required=True, help="the folder that image paths start from")
    parser.add_argument("--rejected", required=True)
    parser.add_argument("--report", required=True)
    parser.add_argument("--plots", required=True)
    parser.add_argument("--metrics", required=True)
    parser.add_argument("--details", required=True, help="everything that is no metric")
    parser.add_argument("--timing", required=True)
    parser.add_argument("--params", default="params.yaml")
    args = parser.parse_args()
    quality = load_params("quality", args.params)

    from recap.data.corpus.records import read_corpus
    from recap.data.statistics.exploration import completeness, describe_corpus, example_captions
    from recap.data.statistics.images import read_images
    from recap.data.statistics.markdown import exploration_report
    from recap.data.statistics.plots import plot_exploration
    from recap.io import read_jsonl, write_results, write_text
    from recap.runtime.timing import stage_timing

    with stage_timing(args.timing, "explore") as timing:
        complete = completeness(list(read_jsonl(args.corpus)))
        records, rejected = read_corpus(args.corpus), list(read_jsonl(args.rejected))
        timing["items"] = len(records)
        images, broken = read_images(args.images, [record.image for record in records])
        facts = describe_corpus(records, images, broken, rejected, quality=quality)
        facts["complete_percent"] = complete
        plot_exploration(args.plots, records, images)
        examples = example_captions([record.caption for record in records])
        reasons = {path: str(error) for path, error in broken.items()}
        plots = os.path.relpath(args.plots, os.path.dirname(args.report))
        write_text(args.report, exploration_report(facts, examples=examples, broken=reasons, plots=plots))
        write_results(args.metrics, args.details, "explore", facts, headline=HEADLINE)


if __name__ == "__main__":
    run(main)
