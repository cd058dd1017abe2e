"""Prove, before anything dear, that models load and fit each other, rows train, and benchmarks are complete.

In: the models' folders, the finetune set, the benchmarks. Out: data/checks.json, the same whenever all is sound, so
that what depends on it runs again only if it has to. Anything that is not sound stops the run here, in one line.
"""

import argparse
import logging
from pathlib import Path

from recap.params import load_params
from recap.runtime.stage import run

logger = logging.getLogger("check")

SOUND = "captioner, aligner, model, finetune rows, benchmarks"


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prepared", type=Path, required=True, help="what prepare says of the data (JSON)")
    parser.add_argument("--captioner", type=Path, required=True, help="BLIP-2 folder")
    parser.add_argument(
        "--aligner", type=Path, required=True, help="CLIP, SigLIP, BLIP-2 with ITM; or the marker for none"
    )
    parser.add_argument("--start-from", type=Path, required=True, help="what training starts from")
    parser.add_argument("--language-model", type=Path, required=True, help="Gemma")
    parser.add_argument("--vision-tower", type=Path, required=True, help="CLIP")
    parser.add_argument("--vision-tower-aux", type=Path, required=True, help="ConvNeXt")
    parser.add_argument("--finetune", type=Path, required=True, help="folder of the finetune set")
    parser.add_argument("--benchmarks", type=Path, required=True, help="folder of the benchmarks' folders")
    parser.add_argument("--checks", type=Path, required=True, help="out: what is sound (JSON)")
    parser.add_argument("--details", type=Path, required=True, help="out: rows that can train, and the like (JSON)")
    parser.add_argument("--timing", type=Path, required=True, help="out: duration and hardware (JSON)")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    names = ("caption", "align", "finetune", "lora", "mgm", "device", "benchmarks")
    caption, align, finetune, lora, mgm, device, chosen = (load_params(name, args.params) for name in names)

    from recap.alignment.aligners import check_aligner
    from recap.alignment.choosing import require_score
    from recap.captioning.loading import check_captioner
    from recap.data.benchmarks.registry import BENCHMARKS
    from recap.io import read_json, write_json
    from recap.models.loading import pick_device, pick_dtype, readable_model
    from recap.models.mgm.start import build_start
    from recap.models.presence import is_aligner, only_tests_wiring
    from recap.runtime.remote_code import own_code_explained
    from recap.runtime.timing import stage_timing
    from recap.training.dataset import CONVERSATION, RowEncoder, conversation_examples
    from recap.training.lora import add_lora

    with stage_timing(args.timing, "check") as timing:
        folders = (args.start_from, args.language_model, args.vision_tower, args.vision_tower_aux)
        with readable_model(args.captioner, "captioner"):
            check_captioner(args.captioner, trust_remote_code=device.trust_remote_code)
        score = []
        if is_aligner(args.aligner):
            with readable_model(args.aligner, "CLIP-like model"):
                score = [check_aligner(args.aligner)]
        if caption.candidates * len(caption.prompts) > 1:
            require_score(align.choose, score)
        with readable_model(args.start_from, "model to train"), own_code_explained(args.start_from, "model to train"):
            model, processor = build_start(
                *folders,
                **mgm.model_dump(exclude={"max_length"}),
                dtype=pick_dtype(device.dtype, pick_device(device.device)),
                trust_remote_code=device.trust_remote_code,
            )
            add_lora(model, lora)
        encoder = RowEncoder(processor, {CONVERSATION: args.finetune}, finetune.image_aspect_ratio, mgm.max_length)
        rows, left_out = encoder.screen(
            conversation_examples(args.finetune / "train.json"), max_left_out=finetune.max_left_out
        )
        logger.info("finetune: %d rows can train, %d cannot", len(rows), len(left_out))
        for name, folder in chosen.items():
            BENCHMARKS[name].load(args.benchmarks / folder)
        timing["items"] = len(rows) + len(left_out)

    is_embedded = "user" not in read_json(args.prepared)["prepare"]["sources"].values()
    wiring_only = only_tests_wiring([args.captioner, args.aligner, *folders], source_is_world=is_embedded)
    if wiring_only:
        logger.warning(
            "warning: the tiny models know nothing but the embedded street world, so on your data this run only tests "
            "the wiring, and its scores mean nothing; `make profile P=mgm-2b` brings models for photographs"
        )
    facts = {"wiring_only": wiring_only, "finetune": {"rows": len(rows), "left_out": len(left_out)}}
    write_json(args.details, {"check": facts})
    write_json(args.checks, {"sound": SOUND})
    logger.info("sound: %s", SOUND)


if __name__ == "__main__":
    run(main)
