"""Fold the LoRA adapter and the connectors into one model, and prove that it answers as the adapter model does.

In: what training started from, connectors, adapter, finetune rows as probes. Out: models/merged/, metrics/merge.json.
"""

import argparse
from pathlib import Path

from recap.params import load_params
from recap.runtime.stage import run

HEADLINE = ("logit_difference_max",)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Merge the adapter into a model and prove the merge.")
    parser.add_argument("--start-from", type=Path, required=True, help="what training started from")
    parser.add_argument("--language-model", type=Path, required=True, help="Gemma")
    parser.add_argument("--vision-tower", type=Path, required=True, help="CLIP")
    parser.add_argument("--vision-tower-aux", type=Path, required=True, help="ConvNeXt")
    parser.add_argument("--projector", type=Path, required=True, help="connectors that pretrain trained")
    parser.add_argument("--adapter", type=Path, required=True, help="folder that finetune, or the original, wrote")
    parser.add_argument("--data", type=Path, required=True, help="conversations to take probes from (LLaVA JSON)")
    parser.add_argument("--images", type=Path, required=True, help="folder that image paths start from")
    parser.add_argument("--merged", type=Path, required=True, help="out: model for from_pretrained")
    parser.add_argument("--metrics", type=Path, required=True, help="out: the proof in a number (JSON)")
    parser.add_argument("--details", type=Path, required=True, help="out: the rest of the proof (JSON)")
    parser.add_argument("--timing", type=Path, required=True, help="out: duration and hardware (JSON)")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="parameter file")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    names = ("merge", "finetune", "mgm", "device", "seed")
    params, finetune, mgm, compute, seed = (load_params(name, args.params) for name in names)

    import torch

    from recap.io import atomic_path, write_results
    from recap.merging.memory import return_freed_tensors
    from recap.merging.merge import merge_and_prove
    from recap.merging.probes import pick_probes
    from recap.models.loading import pick_device, pick_dtype
    from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
    from recap.models.mgm.processing_mgm import MGMProcessor
    from recap.models.mgm.projector import load_projector
    from recap.models.mgm.start import build_start
    from recap.runtime.seeding import seed_everything
    from recap.runtime.timing import stage_timing
    from recap.training.dataset import CONVERSATION, RowEncoder, conversation_examples

    def base(dtype: torch.dtype) -> tuple[MGMForConditionalGeneration, MGMProcessor]:
        """What finetune started from."""
        model, processor = build_start(
            *(args.start_from, args.language_model, args.vision_tower, args.vision_tower_aux),
            **mgm.model_dump(exclude={"max_length"}),
            dtype=dtype,
            trust_remote_code=compute.trust_remote_code,
        )
        load_projector(model, args.projector)
        return model, processor

    return_freed_tensors()
    device = pick_device(compute.device)
    with stage_timing(args.timing, "merge") as timing:
        seed_everything(seed)
        model, processor = base(torch.float32)
        encoder = RowEncoder(processor, {CONVERSATION: args.images}, finetune.image_aspect_ratio, mgm.max_length)
        probes = pick_probes(
            conversation_examples(args.data), params.probes, encoder, max_left_out=finetune.max_left_out
        )
        with atomic_path(args.merged) as draft:
            proof = merge_and_prove(
                model,
                probes,
                rebuild=lambda dtype: base(dtype)[0],
                adapter=args.adapter,
                merged=draft,
                dtype=pick_dtype(compute.dtype, device),
                device=device,
                tolerance=params.tolerance,
            )
        write_results(args.metrics, args.details, "merge", proof, headline=HEADLINE)
        timing.update(device=str(device))


if __name__ == "__main__":
    run(main)
