"""Finetune MGM on conversations: LoRA on the language model, the connectors whole, towers frozen.

In: conversations with images, three pretrained folders, the trained connectors. Out: models/adapter/, metrics, curves,
left-out rows. On several GPUs put `torchrun --nproc-per-node N` in place of `python`; see finetune.deepspeed.
"""

import argparse
from pathlib import Path

from recap.params import load_params
from recap.runtime.stage import run

# Samples seen are no news here: they are finetune.max_steps batches, of the same conversations for every recipe.
HEADLINE = ("loss_final", "loss_spike_score")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Finetune MGM on conversations with LoRA.")
    parser.add_argument("--data", type=Path, required=True, help="conversations (LLaVA JSON)")
    parser.add_argument("--images", type=Path, required=True, help="folder that image paths start from")
    parser.add_argument("--language-model", type=Path, required=True, help="Gemma")
    parser.add_argument("--vision-tower", type=Path, required=True, help="CLIP")
    parser.add_argument("--vision-tower-aux", type=Path, required=True, help="ConvNeXt")
    parser.add_argument("--projector", type=Path, required=True, help="connectors that pretrain trained")
    parser.add_argument("--adapter", type=Path, required=True, help="out: PEFT folder")
    parser.add_argument("--left-out", type=Path, required=True, help="out: rows that could not train (JSONL)")
    parser.add_argument("--metrics", type=Path, required=True, help="out: metrics (JSON)")
    parser.add_argument("--details", type=Path, required=True, help="out: everything that is no metric (JSON)")
    parser.add_argument("--plots", type=Path, required=True, help="out: loss, gradient norm, learning rate by step")
    parser.add_argument("--timing", type=Path, required=True, help="out: duration and hardware (JSON)")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="parameter file")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    names = ("finetune", "lora", "mgm", "device", "seed", "machine")
    params, lora, mgm, compute, seed, machine = (load_params(name, args.params) for name in names)

    from recap.io import atomic_path
    from recap.models.loading import pick_device, pick_dtype
    from recap.models.mgm.build import build_mgm
    from recap.models.mgm.projector import load_projector
    from recap.runtime.scratch import discard
    from recap.runtime.seeding import seed_everything
    from recap.training.checkpoints import checkpoint_folder
    from recap.training.connectors import keep_connectors_in_float32
    from recap.training.dataset import conversation_examples
    from recap.training.fit import fit, publish
    from recap.training.lora import add_lora, connector_weights, lora_layers, save_adapter, verify_adapter
    from recap.training.ranks import is_rank_zero, timing_on_rank_zero
    from recap.training.trainer import whole_parameters

    device = pick_device(compute.device)
    dtype = pick_dtype(compute.dtype, device)
    parts = (args.language_model, args.vision_tower, args.vision_tower_aux)
    sections = {"seed": seed, "finetune": params, "lora": lora, "mgm": mgm, "device": compute}
    with timing_on_rank_zero(args.timing, "finetune") as timing:
        work = checkpoint_folder("finetune", inputs=[args.data, args.images, *parts, args.projector], params=sections)
        if is_rank_zero():
            timing.keep_in(work)
        seed_everything(seed)
        base, processor = build_mgm(
            *parts,
            **mgm.model_dump(exclude={"max_length"}),
            dtype=dtype,
            trust_remote_code=compute.trust_remote_code,
        )
        keep_connectors_in_float32(base)
        load_projector(base, args.projector)
        before = connector_weights(base)
        model = add_lora(base, lora)
        layers = lora_layers(model)
        result = fit(
            model,
            processor,
            conversation_examples(args.data),
            stage="finetune",
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
                with atomic_path(args.adapter) as draft:
                    save_adapter(model, draft)
                    result.metrics.update(verify_adapter(draft, lora_layers=layers, before=before))
        if is_rank_zero():
            publish(
                result,
                "finetune",
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
