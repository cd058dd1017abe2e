"""Score how well captions fit their images, and choose each image's caption among its candidates.

In: a corpus's index, or data/candidates.jsonl; the images; a CLIP-like model, or the marker that says that there is
none. Out: every caption with its score; of candidates, also which is the image's caption. A score is the cosine of
image and text, in [-1, 1], not CLIPScore, which is a multiple of it. Scores are kept in the store, and only what is not
there is computed.
"""

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recap.params import load_params
from recap.runtime.stage import run

if TYPE_CHECKING:
    from recap.alignment.scoring import Pair, Scores

log = logging.getLogger("align")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, required=True, help="a corpus's index.parquet, or candidates (JSONL)")
    parser.add_argument("--images", type=Path, required=True, help="folder of the corpus")
    parser.add_argument(
        "--model", type=Path, required=True, help="CLIP, SigLIP or BLIP-2 with ITM; or the marker for none"
    )
    parser.add_argument("--aligned", type=Path, required=True, help="out: captions with their scores (JSONL)")
    parser.add_argument("--details", type=Path, required=True, help="out: what the scores say (JSON)")
    parser.add_argument("--timing", type=Path, required=True, help="out: seconds and hardware (JSON)")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    params, device_params, machine = (load_params(name, args.params) for name in ("align", "device", "machine"))

    from recap.alignment.aligners import load_aligner
    from recap.alignment.outputs import align_candidates, align_corpus
    from recap.alignment.scoring import Scores, no_scores, score_pairs
    from recap.data.corpus.index import INDEX
    from recap.io import write_jsonl, write_metrics
    from recap.models.loading import dtype_name, pick_device, pick_dtype, readable_model
    from recap.models.presence import is_aligner, require_model
    from recap.runtime.contents import folder_digest
    from recap.runtime.store import Store, store_path
    from recap.runtime.timing import stage_timing

    with stage_timing(args.timing, args.timing.stem) as timing:
        model = require_model(args.model, "aligner")
        device = pick_device(device_params.device)
        dtype = pick_dtype(device_params.dtype, device)

        def load() -> Any:
            with readable_model(model, "CLIP-like model"):
                return load_aligner(model, device=device, dtype=dtype)

        def score(pairs: list["Pair"]) -> Scores:
            if not is_aligner(model):
                log.info("no aligner (%s): captions get no scores", model)
                return no_scores(pairs)
            with Store(store_path(machine.store)) as store:
                made_with = {"model": folder_digest(model, store), "dtype": dtype_name(dtype), "device": device.type}
                return score_pairs(
                    load, made_with, args.images, pairs, store=store, batch_size=machine.align_batch_size
                )

        if args.texts.suffix == ".parquet":
            aligned = align_corpus(args.texts, score)
        else:
            aligned = align_candidates(args.texts, args.images / INDEX, score, choose=params.choose)
        write_jsonl(args.aligned, aligned.rows)
        write_metrics(args.details, args.details.stem, {"aligner": is_aligner(model), **aligned.facts})
        warn(aligned.scores)
        timing |= {
            "items": aligned.scores.num_pairs,
            "kept": aligned.scores.num_kept,
            "device": str(device),
            "dtype": dtype_name(dtype),
        }


def warn(scores: "Scores") -> None:
    from recap.runtime.faults import first_of, reasons_of

    if cut := scores.num_cut:
        log.warning("warning: %d texts are longer than the model reads; their beginnings were scored", cut)
    if scores.faults:
        faults = list(scores.faults.values())
        log.warning("warning: %d images have no score: %s%s", len(faults), reasons_of(faults), first_of(faults))


if __name__ == "__main__":
    run(main)
