"""Score how well captions fit their images, and choose each image's caption among its candidates.

In: a corpus's index, or data/candidates.jsonl; the images; a CLIP-like model, or the marker that says that there is
none. Out: every caption with its score; of candidates, also which is the image's caption. A score is the cosine of
image and text, in [-1, 1], not CLIPScore, which is a multiple of it. Scores are kept in the store, and only what is not
there is computed.
"""

import argparse
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recap.params import load_params
from recap.runtime.stage import run

if TYPE_CHECKING:
    from recap.alignment.scoring import Pair, Scores

    Score = Callable[[list[Pair]], Scores]

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
    from recap.alignment.scoring import Scores, no_scores, score_pairs
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
            rows, scores, facts = align_corpus(args.texts, score)
        else:
            rows, scores, facts = align_candidates(args.texts, args.images, score, params.choose)
        write_jsonl(args.aligned, rows)
        write_metrics(args.details, args.details.stem, {"aligner": is_aligner(model), **facts})
        warn(scores)
        timing |= {
            "items": scores.num_pairs,
            "kept": scores.num_kept,
            "device": str(device),
            "dtype": dtype_name(dtype),
        }


def align_corpus(index: Path, score: "Score") -> tuple[list[dict[str, Any]], "Scores", dict[str, Any]]:
    """The corpus's own captions, and what other rows' captions would be worth."""
    from recap.alignment.chance import captions_by_chance, scored_rows
    from recap.alignment.summary import describe_alignment, describe_scores
    from recap.data.corpus.records import read_corpus

    records = read_corpus(index)
    others = captions_by_chance(records)
    scores = score(
        [(record.image, record.caption) for record in records]
        + [(records[number].image, other) for number, other in others.items()]
    )
    rows = scored_rows(records, others, scores)
    facts = {
        **describe_scores(scores),
        "alignment": describe_alignment(row["alignment"] for row in rows),
        "chance": describe_alignment(row["chance"] for row in rows),
    }
    return rows, scores, facts


def align_candidates(
    candidates: Path, corpus: Path, score: "Score", choose: str
) -> tuple[list[dict[str, Any]], "Scores", dict[str, Any]]:
    """Every image's candidates, and which of them is its caption."""
    from recap.alignment.choosing import chosen_captions, pairs_of, require_scores
    from recap.alignment.summary import describe_alignment, describe_choices, describe_scores
    from recap.data.corpus.index import INDEX
    from recap.data.corpus.records import read_corpus
    from recap.io import read_jsonl

    images = list(read_jsonl(candidates))
    scores = score(pairs_of(images))
    require_scores(images, choose, scores.by_pair)
    raw = [record.caption for record in read_corpus(corpus / INDEX)]
    rows = list(chosen_captions(images, scores.by_pair, choose=choose, corpus=raw))
    facts = {
        **describe_scores(scores),
        "choose": choose,
        "choices": describe_choices(rows),
        "alignment": describe_alignment(row["alignment"] for row in rows),
    }
    return rows, scores, facts


def warn(scores: "Scores") -> None:
    from recap.runtime.faults import first_of, reasons_of

    if cut := scores.num_cut:
        log.warning("warning: %d texts are longer than the model reads; their beginnings were scored", cut)
    if scores.faults:
        faults = list(scores.faults.values())
        log.warning("warning: %d images have no score: %s%s", len(faults), reasons_of(faults), first_of(faults))


if __name__ == "__main__":
    run(main)
