"""Score a benchmark's answers. In: questions, answers, blanked answers. Out: metrics, details, scores, plots."""

import argparse
import logging

from recap.data.benchmarks.registry import BENCHMARKS
from recap.evaluation.scoring.answer_files import read_answers
from recap.evaluation.scoring.registry import scorer_of
from recap.evaluation.scoring.results import check_answered, score_with_blank, write_breakdown
from recap.io import write_jsonl, write_results
from recap.params import load_params
from recap.runtime.stage import run
from recap.runtime.timing import stage_timing

log = logging.getLogger(__name__)

HEADLINE = ("accuracy", "accuracy_stderr", "blank_accuracy")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--benchmark", required=True, choices=BENCHMARKS)
    parser.add_argument("--questions", required=True, help="folder with the benchmark's official files")
    parser.add_argument("--answers", required=True)
    parser.add_argument("--blank-answers", required=True)
    parser.add_argument("--metrics", required=True)
    parser.add_argument("--details", required=True, help="everything that is no metric")
    parser.add_argument("--scores", required=True, help="JSON Lines, one row per question")
    parser.add_argument("--plots", required=True, help="folder")
    parser.add_argument("--timing", required=True)
    parser.add_argument("--params", default="params.yaml")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    score = load_params("score", args.params)
    benchmark = BENCHMARKS[args.benchmark]
    scorer = scorer_of(benchmark)
    with stage_timing(args.timing, f"score@{args.benchmark}") as timing:
        questions = benchmark.load(args.questions)
        blank_answers = list(read_answers(args.blank_answers))
        metrics, rows = score_with_blank(scorer, questions, read_answers(args.answers), blank_answers)
        check_answered(metrics, score.max_unanswered, args.answers)
        log.info(
            "%s: accuracy %.2f %%, image blanked %s, %d of %d answered (%s)",
            args.benchmark,
            metrics["accuracy"],
            "not asked" if metrics["blank_accuracy"] is None else f"{metrics['blank_accuracy']:.2f} %",
            metrics["num_scored"],
            metrics["num_expected"],
            scorer.convention,
        )
        write_jsonl(args.scores, rows)
        write_breakdown(args.plots, rows)
        write_results(args.metrics, args.details, args.benchmark, metrics, headline=HEADLINE)
        timing["items"] = len(questions)


if __name__ == "__main__":
    run(main)
