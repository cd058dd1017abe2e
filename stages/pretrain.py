"""Train MGM's projector and patch-info mining on image-caption pairs; towers and language model stay frozen.

In: processed captions, corpus images, three pretrained folders. Out: models/projector/, metrics, curves, left-out rows.
On several GPUs put `torchrun --nproc-per-node N` in place of `python`; pretrain.deepspeed names a ZeRO configuration.
"""

import argparse
from pathlib import Path

from recap.params import load_params
from recap.runtime.stage import run

HEADLINE = ("loss_final", "loss_spike_score", "samples_seen", "unique_samples")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train MGM's connectors on image-caption pairs.")
    parser.add_argument("--data", type=Path, required=True, help="image-caption pairs (JSONL)")
    parser.add_argument("--images", type=Path, required=True, help="folder that image paths start from")
    parser.add_argument("--language-model", type=Path, required=True, help="Gemma")
    parser.add_argument("--vision-tower", type=Path, required=True, help="CLIP")
    parser.add_argument("--vision-tower-aux", type=Path, required=True, help="ConvNeXt")
    parser.add_argument("--projector", type=Path, required=True, help="out: trained connectors")
    parser.add_argument("--left-out", type=Path, required=True, help="out: rows that could not train (JSONL)")
    parser.add_argument("--metrics", type=Path, required=True, help="out: metrics (JSON)")
    parser.add_argument("--details", type=Path, required=True, help="out: everything that is no metric (JSON)")
    parser.add_argument("--plots", type=Path, required=True, help="out: loss, gradient norm, learning rate by step")
    parser.add_argument("--timing", type=Path, required=True, help="out: duration and hardware (JSON)")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="parameter file")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    names = ("pretrain", "mgm", "device", "seed", "machine")
    params, mgm, compute, seed, machine = (load_params(name, args.params) for name in names)

    from recap.models.loading import pick_device, pick_dtype
    from recap.models.mgm.build import build_mgm
    from recap.models.mgm.projector import save_projector
    from recap.runtime.scratch import discard
    from recap.runtime.seeding import seed_everything
    from recap.training.checkpoints import checkpoint_folder
    from recap.training.connectors import freeze_all_but_connectors
    from recap.training.dataset import caption_examples
    from recap.training.fit import fit, publish
    from recap.training.ranks import is_rank_zero, timing_on_rank_zero
    from recap.training.trainer import whole_parameters

    device = pick_device(compute.device)
    dtype = pick_dtype(compute.dtype, device)
    parts = (args.language_model, args.vision_tower, args.vision_tower_aux)
    sections = {"seed": seed, "pretrain": params, "mgm": mgm, "device": compute}
    with timing_on_rank_zero(args.timing, "pretrain") as timing:
        work = checkpoint_folder("pretrain", inputs=[args.data, args.images, *parts], params=sections)
        if is_rank_zero():
            timing.keep_in(work)
        seed_everything(seed)
        model, processor = build_mgm(
            *parts,
            **mgm.model_dump(exclude={"max_length"}),
            dtype=dtype,
            trust_remote_code=compute.trust_remote_code,
        )
        freeze_all_but_connectors(model)
        result = fit(
            model,
            processor,
            caption_examples(args.data),
            stage="pretrain",
            images=args.images,
            params=params,
            max_length=mgm.max_length,
            work=work,
            device=device,
            dtype=dtype,
            seed=seed,
            dataloader_workers=machine.dataloader_workers,
        )
        with whole_parameters(model):
            if is_rank_zero():
                save_projector(model, args.projector)
        if is_rank_zero():
            publish(
                result,
                "pretrain",
                timing,
                left_out=args.left_out,
                plots=args.plots,
                metrics=args.metrics,
                details=args.details,
                headline=HEADLINE,
                work=work,
            )
    if is_rank_zero():
        discard(work)


if __name__ == "__main__":
    run(main)
