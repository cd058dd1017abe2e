"""SIGTERM, as a wish to stop: the step is finished, a checkpoint is saved, and the process exits with 143.

Schedulers send it before they kill, `recap.launch` hands it on to every rank, and the kernel sends it to a stage whose
dvc is gone. Before the first step and after the last one there is nothing to save: it ends the process at once.
"""

import logging
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import torch
from torch import distributed
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from recap.runtime.ranks import TERMINATED, is_rank_zero, world_size

logger = logging.getLogger(__name__)


class SaveOnTermination(TrainerCallback):
    """Ends training with a checkpoint after the step in which any rank got a SIGTERM."""

    def __init__(self) -> None:
        self._asked = False
        self._before: Any = None
        self.stopped_at: int | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._before = signal.signal(signal.SIGTERM, self._ask)
        loader = kwargs["train_dataloader"]
        loader.worker_init_fn = partial(_start_worker, loader.worker_init_fn)

    def _ask(self, *_: Any) -> None:
        self._asked = True

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if _on_any_rank(self._asked):
            control.should_save = control.should_training_stop = True
            self.stopped_at = state.global_step

    def restore(self) -> None:
        """Answer SIGTERM as before the training: to be called however it ended."""
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def exit(self) -> NoReturn:
        """End the process as one that SIGTERM ended."""
        if is_rank_zero():
            logger.info("SIGTERM: saved step %s; the same command goes on from there", self.stopped_at)
        sys.exit(TERMINATED)


def _start_worker(before: Callable[[int], None] | None, worker: int) -> None:
    """Have a data-loading worker survive one SIGTERM: sent to a whole process group it reaches workers too.

    Without them the step could not be finished. A second one ends them: the loader sends it to those that hang.
    """
    signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    if before is not None:
        before(worker)


def _on_any_rank(wish: bool) -> bool:
    """Ranks have to stop after the same step, and the signal reaches each in its own time."""
    if world_size() == 1:
        return wish
    wishes = torch.tensor(int(wish))
    distributed.all_reduce(wishes, distributed.ReduceOp.MAX)
    return bool(wishes)
