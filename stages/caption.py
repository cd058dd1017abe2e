"""Caption every image of the corpus with BLIP-2.

In: corpus (JSONL), its images, a BLIP-2 folder. Out: one caption per unique image, the images that failed and why,
metrics. Captions do not depend on the recipe. A killed run goes on where it was.
"""

import argparse
import logging
from dataclasses import fields
from pathlib import Path

from recap.io import write_jsonl, write_results
from recap.params import load_params
from recap.runtime.scratch import Journal, discard, scratch_dir
from recap.runtime.stage import run
from recap.runtime.timing import stage_timing

log = logging.getLogger(__name__)

HEADLINE = ("num_failed",)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="corpus rows (JSONL)")
    parser.add_argument("--images", type=Path, required=True, help="folder that the rows' image paths start from")
    parser.add_argument("--model", type=Path, required=True, help="BLIP-2 folder")
    parser.add_argument("--captions", type=Path, required=True, help="out: {image, caption} per image (JSONL)")
    parser.add_argument("--failed", type=Path, required=True, help="out: images without one, and why (JSONL)")
    parser.add_argument("--metrics", type=Path, required=True, help="out: metrics (JSON)")
    parser.add_argument("--details", type=Path, required=True, help="out: everything that is no metric (JSON)")
    parser.add_argument("--timing", type=Path, required=True, help="out: seconds and hardware (JSON)")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    sections = ("caption", "device", "machine")
    params, device_params, machine = (load_params(section, args.params) for section in sections)

    from recap.captioning.blip2 import Blip2Captioner, Decoding
    from recap.captioning.captions import Caption, caption_images, unique_images
    from recap.captioning.resume import resume_key
    from recap.captioning.summary import summarize
    from recap.data.corpus.records import read_corpus
    from recap.models.loading import dtype_name, pick_device, pick_dtype
    from recap.models.presence import require_model
    from recap.runtime.faults import Fault

    with stage_timing(args.timing, "caption") as timing:
        model = require_model(args.model, "captioner")
        device = pick_device(device_params.device)
        dtype = pick_dtype(device_params.dtype, device)
        decoding = Decoding(**params.model_dump(include={field.name for field in fields(Decoding)}))
        images = unique_images(read_corpus(args.corpus))
        scratch = scratch_dir("caption", resume_key(model, decoding, seed=params.seed, device=device, dtype=dtype))
        timing.keep_in(scratch)
        log.info("captioner %s on %s in %s; unfinished work is kept in %s", model, device, dtype, scratch)

        result = caption_images(
            Blip2Captioner.load(model, decoding, device=device, dtype=dtype),
            args.images,
            images,
            journal=Journal(scratch / "captions.jsonl"),
            seed=params.seed,
            batch_size=machine.caption_batch_size,
            max_failed=params.max_failed,
        )
        captions = [{"image": o.image, "caption": o.caption} for o in result.outcomes if isinstance(o, Caption)]
        failures = [outcome.to_row() for outcome in result.outcomes if isinstance(outcome, Fault)]
        write_jsonl(args.captions, captions)
        write_jsonl(args.failed, failures)
        write_results(args.metrics, args.details, "caption", summarize(result.outcomes), headline=HEADLINE)
        log.info("%d captions in %s, %d failures in %s", len(captions), args.captions, len(failures), args.failed)
        timing |= {
            "items": len(images),
            "kept": result.num_kept,
            "device": str(device),
            "dtype": dtype_name(dtype),
        }
    discard(scratch)


if __name__ == "__main__":
    run(main)
