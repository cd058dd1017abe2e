"""Runs of both stages, one after the other, in the processes of one launch: starting them anew takes ten times as long.

`python -m torch.distributed.run --nproc-per-node 2 -m tests.training.rank_runs WORLD OUT RUN...`, and one process
without the launcher. A run is `stage:spread:dtype:how`:

- spread: `ddp`, or the stem of a file in configs/deepspeed
- how: `whole`, or `stopped`: the last rank alone gets a SIGTERM in step 3, and a second start goes on

Out, per run: `<run>/trained.safetensors`, `<run>/history.json`, and the checkpoints in `<run>/work`.
"""

import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from recap.io import read_json, write_json
from recap.models.loading import DTYPES
from recap.models.mgm.build import build_mgm
from recap.params import FinetuneParams, LoraParams, TrainingParams
from recap.runtime.ranks import is_rank_zero, joined, world_size
from recap.runtime.seeding import seed_everything
from recap.runtime.stage import leave_launch
from recap.training import trainer as trainer_module
from recap.training.compute import Compute
from recap.training.connectors import freeze_all_but_connectors
from recap.training.dataset import caption_examples, conversation_examples
from recap.training.fit import TrainingResult, fit
from recap.training.lora import add_lora
from recap.training.replicas import built_once
from recap.training.trainable import trained
from recap.training.trainer import ProgressBar, whole_parameters
from recap.training.zero import prepare_deepspeed

from .conftest import IMAGE_SIZE_AUX, ROOT, TRAINING, World, encoder_for

CPU = torch.device("cpu")
STEPS = TRAINING["max_steps"]
STOPPED_IN = 3
COMMON = TRAINING | {"global_batch_size": 8}
PARAMS: dict[str, TrainingParams] = {
    "pretrain": TrainingParams(**COMMON),
    # A quarter of its samples are captions: 12 of 48.
    "finetune": FinetuneParams(**COMMON, connector_learning_rate=0.005, caption_share=0.25, val_rows=1, val_steps=4),
}
LORA = LoraParams(r=4, alpha=8, dropout=0.0, target_modules=["q_proj", "v_proj", "down_proj"])


class Stopping(ProgressBar):
    """Sends the last rank a SIGTERM in the middle of the run."""

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.global_step + 1 == STOPPED_IN and args.process_index == args.world_size - 1:
            os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    world, out, names = World(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3:]
    with ExitStack() as holding:
        prepare_deepspeed(CPU, holding)
        holding.enter_context(joined(CPU, even_alone=True))
        for name in names:
            run(world, out / name, *name.split(":"))
    leave_launch()


def run(world: World, folder: Path, stage: str, spread: str, dtype: str, how: str) -> None:
    compute = Compute(
        device=CPU,
        dtype=DTYPES[dtype],
        micro_batch_size=1 if stage == "finetune" else 2,
        gradient_checkpointing=False,
        deepspeed=None if spread == "ddp" else str(configuration(spread, folder)),
        dataloader_workers=0,
    )
    if how == "stopped":
        trainer_module.ProgressBar = Stopping  # type: ignore[misc]
        try:
            train(world, folder, stage, compute)
        except SystemExit as stop:
            assert stop.code == 143
        else:
            raise AssertionError("the run was not stopped")
        finally:
            trainer_module.ProgressBar = ProgressBar  # type: ignore[misc]
    model, result = train(world, folder, stage, compute)
    with whole_parameters(model):
        if is_rank_zero():
            tensors = {name: parameter.detach().clone() for name, parameter in trained(model)}
            save_file(tensors, folder / "trained.safetensors")
            told = {
                "history": result.history,
                "val_loss": result.metrics.get("val_loss"),
                "kept": result.samples_kept,
                "captions": result.metrics.get("by_source", {}).get("caption"),
                "world_size": world_size(),
            }
            write_json(folder / "history.json", told)


def configuration(spread: str, folder: Path) -> Path:
    """A shipped configuration, for a model as large as its own: what ZeRO-3 has gathered is given up after use."""
    config = read_json(ROOT / "configs" / "deepspeed" / f"{spread}.json")
    if config["zero_optimization"]["stage"] == 3:
        config["zero_optimization"] |= {"stage3_max_live_parameters": 0, "stage3_max_reuse_distance": 0}
    write_json(folder / "zero.json", config)
    return folder / "zero.json"


def train(world: World, folder: Path, stage: str, compute: Compute) -> tuple[torch.nn.Module, TrainingResult]:
    # What a run under DeepSpeed leaves in its process, where a stage would start a new one.
    unset_hf_deepspeed_config()
    os.environ.pop("ACCELERATE_USE_DEEPSPEED", None)
    seed_everything(1)
    base, processor = built_once(
        lambda: build_mgm(*world.parts, image_size_aux=IMAGE_SIZE_AUX, dtype=compute.dtype), CPU
    )
    # Answers of these tests are short; at this size the ranks' batches make up different numbers of chunks.
    base.loss_chunk = 6
    model: torch.nn.Module = base
    if stage == "finetune":
        model = add_lora(base, LORA)
    else:
        freeze_all_but_connectors(base)
    captions = caption_examples(world.captions)
    rows = (conversation_examples(world.conversations), captions) if stage == "finetune" else (captions,)
    result = fit(
        model,
        encoder_for(processor, world.images),
        *rows,
        stage=stage,
        params=PARAMS[stage],
        compute=compute,
        work=folder / "work",
        seed=42,
    )
    return model, result


if __name__ == "__main__":
    main()
