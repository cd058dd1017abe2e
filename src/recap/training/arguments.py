"""`transformers.TrainingArguments` from the values of a run.

Every step is logged (no stability metric can be computed from sparser logs), the samples come in the order in which the
dataset holds them, and only a launch on several GPUs uses more than one.
"""

import math
from pathlib import Path

import torch
from transformers import TrainingArguments
from transformers.utils import is_torch_tf32_available

from recap.params import TrainingParams
from recap.runtime.errors import UserError
from recap.training.batches import BatchPlan
from recap.training.compute import Compute
from recap.training.zero import zero_config

# The checkpoint before last is kept until the last one is marked complete.
CHECKPOINTS_KEPT = 2


def training_arguments(
    params: TrainingParams, compute: Compute, plan: BatchPlan, *, output_dir: Path, seed: int
) -> TrainingArguments:
    """The Trainer's arguments for one stage.

    Args:
        params: The section `pretrain` or `finetune`.
        compute: Device, precision and how the work is spread.
        plan: How the samples of a step are cut.
        output_dir: Where checkpoints go.
        seed: The run's seed.

    Raises:
        UserError: The device is a GPU other than the first visible one, or the DeepSpeed file does not exist.
    """
    device = compute.device
    if device.type == "cuda" and device.index:
        raise UserError(
            f"training runs on the first visible GPU, found device {device}; "
            f"set device.device to cuda and run with CUDA_VISIBLE_DEVICES={device.index}"
        )
    # Under DeepSpeed precision is a matter of its own configuration, see `zero_config`.
    zero = zero_config(compute.deepspeed, compute.dtype) if compute.deepspeed is not None else None
    arguments = TrainingArguments(
        output_dir=str(output_dir),
        max_steps=params.max_steps,
        per_device_train_batch_size=plan.micro_batch_size,
        gradient_accumulation_steps=plan.accumulation_steps,
        optim="adamw_torch",
        learning_rate=params.learning_rate,
        lr_scheduler_type=params.lr_scheduler_type,
        # The first step of a warm-up has the rate 0; a run of one step should learn something all the same.
        warmup_steps=min(math.ceil(params.warmup_ratio * params.max_steps), params.max_steps - 1),
        weight_decay=params.weight_decay,
        max_grad_norm=params.max_grad_norm,
        activation_checkpointing=compute.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False} if compute.gradient_checkpointing else None,
        use_cpu=device.type == "cpu",
        ddp_backend="gloo" if device.type == "cpu" and plan.processes > 1 else None,
        ddp_find_unused_parameters=False,
        bf16=zero is None and compute.dtype == torch.bfloat16,
        fp16=zero is None and compute.dtype == torch.float16,
        tf32=True if device.type == "cuda" and is_torch_tf32_available() else None,
        seed=seed % 2**32,
        train_sampling_strategy="sequential",
        dataloader_num_workers=compute.dataloader_workers,
        dataloader_prefetch_factor=_prefetch_factor(plan, compute.dataloader_workers),
        dataloader_pin_memory=device.type == "cuda",
        remove_unused_columns=False,
        label_names=["labels"],
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_steps=params.save_steps,
        save_total_limit=CHECKPOINTS_KEPT,
        deepspeed=zero,
        report_to=[],
        disable_tqdm=True,
    )
    if arguments.n_gpu > 1:
        # Without a launcher the Trainer would spread each batch over all visible GPUs (nn.DataParallel), and the
        # number of samples per step would depend on the machine.
        arguments._n_gpu = 1
    return arguments


def _prefetch_factor(plan: BatchPlan, workers: int) -> int | None:
    """Micro-batches that each worker loads ahead: all that a step accumulates, as the Trainer takes them at once."""
    return max(2, math.ceil(plan.accumulation_steps / workers)) if workers else None
