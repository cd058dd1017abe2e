"""What a training run computes on, and how its work is spread: the same experiment on any machine."""

from dataclasses import dataclass

import torch

from recap.models.loading import pick_device, pick_dtype
from recap.params import DeviceParams, MachineParams


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
