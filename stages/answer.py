"""Answer one benchmark with the merged model, images shown and images blanked. In: model, questions. Out: two files."""

import argparse
import logging
from pathlib import Path

from recap.data.benchmarks.registry import BENCHMARKS
from recap.io import write_jsonl
from recap.params import load_params
from recap.runtime.scratch import Journal, discard, fingerprint, scratch_dir
from recap.runtime.stage import run
from recap.runtime.timing import stage_timing

log = logging.getLogger(__name__)

# What an answer depends on besides model, questions and parameters.
CODE = (
    "src/recap/data/benchmarks",
    "src/recap/evaluation/generation",
    "src/recap/models",
    "src/recap/data/corpus",
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--benchmark", required=True, choices=BENCHMARKS)
    parser.add_argument("--questions", required=True, help="folder with the benchmark's official files")
    parser.add_argument("--model", required=True)
    parser.add_argument("--answers", required=True)
    parser.add_argument("--blank-answers", required=True, help="left empty where answer.blank_images is false")
    parser.add_argument("--timing", required=True)
    parser.add_argument("--params", default="params.yaml")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    answer = load_params("answer", args.params)
    where = load_params("device", args.params)
    batch_size = load_params("machine", args.params).answer_batch_size
    questions = BENCHMARKS[args.benchmark].load(args.questions)

    from recap.evaluation.generation.answer_files import answer_rows
    from recap.evaluation.generation.answerer import Answerer, load_for_inference
    from recap.models.loading import dtype_name, pick_device, pick_dtype
    from recap.models.presence import require_model

    folder = require_model(args.model, "merged model")
    device = pick_device(where.device)
    dtype = pick_dtype(where.dtype, device)
    decoding = {**answer.model_dump(), "device": device.type, "dtype": str(dtype)}
    scratch = scratch_dir(
        f"answer@{args.benchmark}", fingerprint(inputs=[args.questions, folder], params=decoding, code=CODE)
    )
    log.info("%s: %d questions, %s, %s, batches of %d", args.benchmark, len(questions), device, dtype, batch_size)

    with stage_timing(args.timing, f"answer@{args.benchmark}") as timing:
        timing.keep_in(scratch)
        model, processor = load_for_inference(folder, device=device, dtype=dtype)
        journal = Journal(scratch / "replies.jsonl")
        kept = sum(1 for _ in journal)
        answerer = Answerer(
            model,
            processor,
            folder=args.questions,
            journal=journal,
            batch_size=batch_size,
            **answer.model_dump(include={"max_new_tokens", "image_aspect_ratio"}),
        )
        shown = answerer.answer(questions)
        blank_rows = []
        if answer.blank_images:
            # A question whose image cannot be read counts in neither pass.
            readable = [question for question in questions if shown[question.key].fault is None]
            blank = shown | answerer.answer(readable, blank=True)
            blank_rows = answer_rows(questions, blank, model_id=Path(folder).name, blank=True)
        write_jsonl(args.answers, answer_rows(questions, shown, model_id=Path(folder).name))
        write_jsonl(args.blank_answers, blank_rows)
        alone = answerer.decoder.num_decoded_alone
        asked = {"items": kept + answerer.num_asked, "kept": kept}
        timing |= {**asked, "device": str(device), "dtype": dtype_name(dtype), "decoded_alone": alone}
        log.info("%s: done; %d near ties were decoded alone", args.benchmark, alone)
    discard(scratch)


if __name__ == "__main__":
    run(main)
