"""Caption every image of the corpus, as far as the store of captions does not know it yet.

In: corpus, its images, a captioner's folder. Out: every image's candidates, the images that have none that can be
used and why, metrics. Captions do not depend on the recipe. `recap.launch` starts one process per GPU; each captions
its part into the store, and the first one publishes. A killed run goes on where it was.
"""

import argparse
import logging
from datetime import timedelta
from pathlib import Path

from recap.io import write_jsonl, write_results
from recap.params import load_params
from recap.runtime.scratch import discard, scratch_dir
from recap.runtime.stage import run

log = logging.getLogger(__name__)

HEADLINE = ("num_failed",)
# Until one process has done its part while the others wait. Its end, however it comes, is theirs too.
PATIENCE = timedelta(days=30)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="corpus rows (an index or JSONL)")
    parser.add_argument("--images", type=Path, required=True, help="folder that the rows' image paths start from")
    parser.add_argument("--model", type=Path, required=True, help="the captioner's folder")
    parser.add_argument("--candidates", type=Path, required=True, help="out: {image, candidates} per image (JSONL)")
    parser.add_argument("--failed", type=Path, required=True, help="out: images without a caption, and why (JSONL)")
    parser.add_argument("--metrics", type=Path, required=True, help="out: metrics (JSON)")
    parser.add_argument("--details", type=Path, required=True, help="out: everything that is no metric (JSON)")
    parser.add_argument("--timing", type=Path, required=True, help="out: seconds and hardware (JSON)")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    sections = ("caption", "device", "machine")
    params, device_params, machine = (load_params(section, args.params) for section in sections)

    from recap.captioning.batching import BatchSize, memory_of
    from recap.captioning.captions import Captioner, Work, caption_missing
    from recap.captioning.decoding import Decoding
    from recap.captioning.keys import caption_settings
    from recap.captioning.loading import load_captioner
    from recap.captioning.outcomes import KIND, Allowance, Tally, outcomes
    from recap.captioning.pictures import digests_of, names_by_digest, unique_images
    from recap.data.corpus.records import read_corpus
    from recap.models.loading import dtype_name, pick_device, pick_dtype, readable_model
    from recap.models.presence import require_model
    from recap.runtime.contents import folder_digest
    from recap.runtime.faults import Fault
    from recap.runtime.prefetch import loading_threads
    from recap.runtime.ranks import from_rank_zero, gathered, is_rank_zero, joined, timing_on_rank_zero
    from recap.runtime.store import Store, digest_of_settings, store_path

    device = pick_device(device_params.device)
    dtype = pick_dtype(device_params.dtype, device)
    decoding = Decoding.of(params)
    threads = loading_threads(machine.caption_threads)
    with (
        joined(device, even_alone=False, patience=PATIENCE),
        timing_on_rank_zero(args.timing, "caption") as timing,
        Store(store_path(machine.store)) as store,
    ):
        model = require_model(args.model, "captioner")
        settings = caption_settings(
            from_rank_zero(lambda: folder_digest(model, store)),
            decoding,
            device=device,
            dtype=dtype,
            quantization=params.quantization,
            seed=params.seed,
        )
        scratch = scratch_dir("caption", digest_of_settings(KIND, settings)[:16])
        if is_rank_zero():
            timing.keep_in(scratch)
        images = unique_images(read_corpus(args.corpus))
        digests = from_rank_zero(lambda: digests_of(args.images, images, threads=threads))
        names = names_by_digest(digests)
        missing = from_rank_zero(lambda: store.missing(KIND, settings, names))
        log.info(
            "%d images, %d different ones: %d are in %s, %d are to be captioned by %s on %s in %s, %d threads decode",
            len(images), len(names), len(names) - len(missing), store.path, len(missing), model, device, dtype, threads,
        )  # fmt: skip

        allowance = Allowance(params.max_failed, len(images))
        for fault in (found for found in digests.values() if isinstance(found, Fault)):
            allowance.spend(fault)

        def load() -> Captioner:
            with readable_model(model, "captioner"):
                return load_captioner(
                    model, decoding, device=device, dtype=dtype,
                    quantization=params.quantization, trust_remote_code=device_params.trust_remote_code,
                )  # fmt: skip

        faults = caption_missing(
            load,
            store,
            settings,
            Work(args.images, names, missing),
            seed=params.seed,
            batch_size=BatchSize(machine.caption_batch_size, memory_of(device, machine.memory_gb)),
            threads=threads,
            allowance=allowance,
        )  # fmt: skip
        parts = gathered(faults)
        if is_rank_zero():
            tally = Tally(Allowance(params.max_failed, len(images)))
            found = outcomes(store, settings, digests, [fault for part in parts for fault in part])
            written = write_jsonl(args.candidates, tally.rows(found))
            write_jsonl(args.failed, (fault.to_row() for fault in tally.faults))
            write_results(args.metrics, args.details, "caption", tally.summary(), headline=HEADLINE)
            log.info("candidates of %d images in %s, %d failures in %s",
                     written, args.candidates, len(tally.faults), args.failed)  # fmt: skip
            timing |= {
                "items": len(names),
                "kept": len(names) - len(missing),
                "device": str(device),
                "dtype": dtype_name(dtype),
            }
    if is_rank_zero():
        discard(scratch)


if __name__ == "__main__":
    run(main)
