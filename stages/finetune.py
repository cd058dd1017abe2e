"""Finetune MGM on conversations: LoRA on the language model, the connectors whole, towers frozen.

In: conversations with images, processed captions where finetune.caption_share mixes them in, what training starts from,
the trained connectors. Out: models/adapter/, metrics, curves, left-out rows.
"""

import argparse
from pathlib import Path

from recap.params import load_params
from recap.runtime.stage import run
from recap.training.command import training_parser

# Samples seen are no news here: they are finetune.max_steps batches, whatever the recipe.
HEADLINE = ("val_loss", "loss_final", "loss_spike_score", "world_size")


def parse_args() -> argparse.Namespace:
    parser = training_parser("Finetune MGM on conversations with LoRA.", data="conversations (LLaVA JSON)")
    parser.add_argument("--captions", type=Path, required=True, help="image-caption pairs to mix in (JSONL)")
    parser.add_argument("--caption-images", type=Path, required=True, help="folder that their image paths start from")
    parser.add_argument("--projector", type=Path, required=True, help="connectors that pretrain trained")
    parser.add_argument("--adapter", type=Path, required=True, help="out: PEFT folder")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    names = ("finetune", "lora", "mgm", "device", "seed", "machine")
    sections = {name: load_params(name, args.params) for name in names}
    # Without captions their file is not read, and unfinished work does not depend on it.
    mixed_in = [args.captions, args.caption_images] if sections["finetune"].caption_share else []

    from recap.io import atomic_path
    from recap.models.mgm.projector import load_projector
    from recap.runtime.ranks import is_rank_zero
    from recap.training.dataset import CAPTION, CONVERSATION, caption_examples, conversation_examples
    from recap.training.lora import adapter_shapes, add_lora, connector_weights, save_adapter, verify_adapter
    from recap.training.run import training_run
    from recap.training.trainer import whole_parameters

    with training_run("finetune", args, sections, script=__file__, inputs=[args.projector, *mixed_in]) as training:
        base, processor = training.build_mgm()
        load_projector(base, args.projector)
        before = connector_weights(base)
        model = add_lora(base, sections["lora"])
        shapes = adapter_shapes(model)
        result = training.fit(
            model,
            processor,
            conversation_examples(args.data),
            caption_examples(args.captions) if mixed_in else [],
            images={CONVERSATION: args.images, CAPTION: args.caption_images},
        )
        with whole_parameters(model):
            if is_rank_zero():
                with atomic_path(args.adapter) as draft:
                    save_adapter(model, draft)
                    # Text alone teaches the connectors nothing.
                    taught = before if result.metrics["samples_with_image"] else {}
                    result.metrics.update(verify_adapter(draft, shapes=shapes, before=taught))
        training.publish(result, headline=HEADLINE)


if __name__ == "__main__":
    run(main)
