"""The processes of a launch: which of them writes, and what one of them finds out for all.

`recap.launch` numbers them in RANK, LOCAL_RANK and WORLD_SIZE, as `torchrun` does; without them a process is alone.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from recap.runtime.errors import UserError
from recap.runtime.parentage import end_with_parent
from recap.runtime.stage import SAY_AFTER_S
from recap.runtime.timing import Timing, stage_timing

if TYPE_CHECKING:
    import torch

Found = TypeVar("Found")

# Names the launcher to its ranks, see `recap.launch`.
LAUNCHER_PID = "RECAP_LAUNCHER_PID"

# The exit code after a SIGTERM, as a shell reports it.
TERMINATED = 128 + signal.SIGTERM

# Rank 0 may check millions of rows while the others wait for its answer.
PATIENCE = timedelta(hours=2)


def is_rank_zero() -> bool:
    """Whether this process publishes outputs; true in a launch of one."""
    return rank() == 0


def is_first_on_its_host() -> bool:
    """Whether this process does what is done once per host."""
    return int(os.environ.get("LOCAL_RANK", "0")) == 0


def world_size() -> int:
    """Number of processes that work together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Number of this process among them, from 0 on."""
    return int(os.environ.get("RANK", "0"))


def timing_on_rank_zero(path: Path, stage: str) -> AbstractContextManager[Timing]:
    """`stage_timing`, written by one process; the others' counts go nowhere."""
    return stage_timing(path, stage) if is_rank_zero() else nullcontext(Timing())


@contextmanager
def joined(device: "torch.device", *, even_alone: bool, patience: timedelta = PATIENCE) -> Iterator[None]:
    """The processes of this launch as one group of torch.distributed, until the body ends.

    A rank ends with its launcher: torchrun's own ranks outlive a launcher that is killed, and keep the GPUs.

    Args:
        device: What they compute on; a CUDA device is narrowed to the rank's own.
        even_alone: Make a group of one process too. DeepSpeed needs one, and would look for MPI otherwise.
        patience: How long one waits for the others.
    """
    import torch
    from torch import distributed

    if launcher := os.environ.get(LAUNCHER_PID):
        end_with_parent(int(launcher), signal.SIGKILL)
    if world_size() == 1 and not even_alone:
        yield
        return
    # Objects travel over gloo, so that what rank 0 found out does not pass through a GPU.
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if world_size() == 1:
        os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1")
        # No port of the host is needed to meet oneself.
        distributed.init_process_group(backend, store=distributed.HashStore(), rank=0, world_size=1, timeout=patience)
    else:
        distributed.init_process_group(backend, timeout=patience)
    yield
    # After a failure the others may never come to take leave: the launcher ends them.
    distributed.destroy_process_group()


def from_rank_zero(find: Callable[[], Found]) -> Found:
    """What `find` returns on rank 0, on every rank; the others do not call it.

    If it raises, rank 0 ends, and the launcher with it the others.
    """
    if world_size() == 1:
        return find()
    from torch import distributed

    box = [find() if is_rank_zero() else None]
    distributed.broadcast_object_list(box, src=0)
    found: Found = box[0]  # type: ignore[assignment]
    return found


def wait_for_all() -> None:
    """Return once every process has come here."""
    from_rank_zero(lambda: None)


def gathered(found: Found) -> list[Found]:
    """What each process found, on rank 0 in the order of ranks; on the others nothing. Each has to come here.

    Raises:
        UserError: Another process of the launch has ended.
    """
    if world_size() == 1:
        return [found]
    from torch import distributed

    boxes: list[Found | None] | None = [None] * world_size() if is_rank_zero() else None
    try:
        distributed.gather_object(found, boxes, dst=0)
    except RuntimeError as error:
        # The launcher is about to end this process too, and the one that was lost says why, or the launcher does.
        time.sleep(SAY_AFTER_S)
        raise UserError("expected every process of this launch to finish its part, found one that has ended") from error
    return boxes or []  # type: ignore[return-value]
