"""How the samples of an optimizer step are cut to fit a machine. Imports nothing heavy.

`global_batch_size` belongs to the experiment. How many samples a process holds at a time belongs to the machine, and
gradient accumulation follows from both and from the number of processes.
"""

from dataclasses import dataclass

from recap.params import MachineParams
from recap.runtime.errors import UserError


@dataclass(frozen=True)
class BatchPlan:
    """How the samples of one optimizer step are cut: global = micro * accumulation * processes."""

    micro_batch_size: int
    accumulation_steps: int
    processes: int


def processes_to_start(machine: MachineParams, gpus: int) -> int:
    """Processes of one host. `auto` is one under plain, else one per visible GPU and one on a CPU."""
    if machine.launcher == "plain":
        return 1
    return max(1, gpus) if machine.processes == "auto" else machine.processes


def batch_plan(global_batch_size: int, micro_batch_size: int, processes: int) -> BatchPlan:
    """Cut a global batch over the processes of a launch.

    Args:
        global_batch_size: Samples of one optimizer step.
        micro_batch_size: Samples that one process holds at a time, at most.
        processes: That train together.

    Raises:
        UserError: The processes cannot share it equally, or micro-batches do not make it up.
    """
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
