"""What a training run computes on, and how its batches are cut to fit: the same experiment on any machine.

`global_batch_size` belongs to the experiment. How many samples a process holds at a time belongs to the machine, and
gradient accumulation follows from both and from the number of processes.
"""

from dataclasses import dataclass

import torch

from recap.models.loading import pick_device, pick_dtype
from recap.params import DeviceParams, MachineParams
from recap.runtime.errors import UserError
from recap.training.ranks import world_size


@dataclass(frozen=True)
class Compute:
    """Device, precision, and what says how the work is spread.

    Attributes:
        device: A CPU, or the first visible GPU.
        dtype: bfloat16 and float16 turn autocast on; trained parameters stay float32.
        micro_batch_size: Samples that one process holds at a time, at most.
        gradient_checkpointing: Compute activations twice instead of keeping them.
        deepspeed: Path of a ZeRO configuration, or None.
        dataloader_workers: Processes that load samples; they change no number.
    """

    device: torch.device
    dtype: torch.dtype
    micro_batch_size: int
    gradient_checkpointing: bool
    deepspeed: str | None
    dataloader_workers: int


def compute_for(stage: str, device: DeviceParams, machine: MachineParams) -> Compute:
    """The sections `device` and `machine` for the stage "pretrain" or "finetune".

    Raises:
        UserError: There is no such device.
    """
    where = pick_device(device.device)
    return Compute(
        device=where,
        dtype=pick_dtype(device.dtype, where),
        micro_batch_size=getattr(machine, f"{stage}_micro_batch_size"),
        gradient_checkpointing=machine.gradient_checkpointing,
        deepspeed=machine.deepspeed,
        dataloader_workers=machine.dataloader_workers,
    )


@dataclass(frozen=True)
class BatchPlan:
    """How the samples of one optimizer step are cut: global = micro * accumulation * processes."""

    micro_batch_size: int
    accumulation_steps: int
    processes: int


def batch_plan(global_batch_size: int, micro_batch_size: int) -> BatchPlan:
    """Cut a global batch over the processes of this launch.

    Args:
        global_batch_size: Samples of one optimizer step.
        micro_batch_size: Samples that one process holds at a time, at most.

    Raises:
        UserError: The processes cannot share it equally, or micro-batches do not make it up.
    """
    processes = world_size()
    share, rest = divmod(global_batch_size, processes)
    if rest:
        raise UserError(
            f"global_batch_size: expected a multiple of the {processes} processes (machine.processes), "
            f"found {global_batch_size}"
        )
    micro = min(micro_batch_size, share)
    if share % micro:
        raise UserError(
            f"global_batch_size: expected a multiple of {processes} processes x {micro} samples each "
            f"(machine.*_micro_batch_size), found {global_batch_size}; the next that fit are "
            f"{global_batch_size // (processes * micro) * processes * micro} and "
            f"{-(-global_batch_size // (processes * micro)) * processes * micro}"
        )
    return BatchPlan(micro, share // micro, processes)
