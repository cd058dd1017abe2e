"""Train MGM's projector and patch-info mining on image-caption pairs; towers and language model stay frozen.

In: processed captions, corpus images, what training starts from. Out: models/projector/, metrics, curves, left-out
rows.
"""

import argparse
from pathlib import Path

from recap.params import load_params
from recap.runtime.stage import run
from recap.training.command import training_parser

HEADLINE = ("loss_final", "loss_spike_score", "samples_seen", "unique_samples", "world_size")


def parse_args() -> argparse.Namespace:
    parser = training_parser("Train MGM's connectors on image-caption pairs.", data="image-caption pairs (JSONL)")
    parser.add_argument("--projector", type=Path, required=True, help="out: trained connectors")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    sections = {name: load_params(name, args.params) for name in ("pretrain", "mgm", "device", "seed", "machine")}

    from recap.models.mgm.projector import save_projector
    from recap.runtime.ranks import is_rank_zero
    from recap.training.connectors import freeze_all_but_connectors
    from recap.training.dataset import CAPTION, caption_examples
    from recap.training.run import training_run
    from recap.training.trainer import whole_parameters

    with training_run("pretrain", args, sections, script=__file__) as training:
        model, processor = training.build_mgm()
        freeze_all_but_connectors(model)
        result = training.fit(model, processor, caption_examples(args.data), images={CAPTION: args.images})
        with whole_parameters(model):
            if is_rank_zero():
                save_projector(model, args.projector)
        training.publish(result, headline=HEADLINE)


if __name__ == "__main__":
    run(main)
