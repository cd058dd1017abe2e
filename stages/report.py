"""Put a whole run on one page. In: what the other stages wrote. Out: a self-contained HTML file, bars for a plot."""

import argparse
from pathlib import Path

from recap.runtime.stage import run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Put a whole run on one self-contained HTML page.")
    parser.add_argument("--metrics", type=Path, required=True, help="folder of all metrics files")
    parser.add_argument("--details", type=Path, required=True, help="folder of what the stages found beside them")
    parser.add_argument("--plots", type=Path, required=True, help="folder with pretrain/ and finetune/")
    parser.add_argument("--corpus", type=Path, required=True, help="folder that image paths start from")
    parser.add_argument("--raw-captions", type=Path, required=True, help="the corpus's captions and their alignment")
    parser.add_argument("--captions", type=Path, required=True, help="BLIP-2's captions, with every candidate")
    parser.add_argument("--processed", type=Path, required=True, help="folder of the processed corpus and its trace")
    parser.add_argument("--scores", type=Path, required=True, help="folder of score files")
    parser.add_argument("--benchmarks", type=Path, required=True, help="folder of the benchmarks' official files")
    parser.add_argument("--timings", type=Path, required=True, help="folder of durations")
    parser.add_argument("--report", type=Path, required=True, help="out: the page")
    parser.add_argument("--accuracy", type=Path, required=True, help="out: JSON, the accuracy of every benchmark")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="parameter file")
    return parser.parse_args()


def main() -> None:
    args = vars(parse_args())
    report, accuracy = args.pop("report"), args.pop("accuracy")

    from recap.io import write_json, write_text
    from recap.reporting.bars import accuracy_bars
    from recap.reporting.page import render
    from recap.reporting.run import RunFiles, load_run
    from recap.reporting.working_tree import uncommitted_changes

    found = load_run(RunFiles(**args))
    write_json(accuracy, accuracy_bars(found))
    write_text(report, render(found, uncommitted_changes(args["params"])))


if __name__ == "__main__":
    run(main)
