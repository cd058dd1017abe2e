"""How many images are captioned at a time: a number, or the most that fit; and what happens when they do not."""

import gc
import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import torch

from recap.captioning.candidates import Candidate
from recap.runtime.errors import UserError

log = logging.getLogger(__name__)

# `auto` begins with so many, and stays there on a CPU, which gains nothing from more.
BEGINNING = 16
# Beyond that a GPU gains nothing, and a kill loses more.
MOST = 512
# Of the memory that there is: captions to come may be longer than those so far.
SHARE = 0.9
GIB = 2**30

Generate = Callable[[Sequence[Any], Sequence[int]], list[list[Candidate]]]


class Memory(Protocol):
    """Of the device, in bytes."""

    def begin(self) -> int:
        """What is taken before a batch; `peak` counts from here."""
        ...

    def peak(self) -> int:
        """The most that was taken at a time since `begin`."""
        ...

    def limit(self) -> int:
        """The most that may be taken."""
        ...

    def clear(self) -> None:
        """Give back what is kept for later."""
        ...


class CudaMemory:
    """What PyTorch takes of a GPU, of which a run may have `memory_gb`."""

    def __init__(self, device: torch.device, memory_gb: float) -> None:
        self.device = device
        self.memory_gb = memory_gb

    def begin(self) -> int:
        torch.cuda.reset_peak_memory_stats(self.device)
        return torch.cuda.memory_allocated(self.device)

    def peak(self) -> int:
        return torch.cuda.max_memory_allocated(self.device)

    def limit(self) -> int:
        free, _ = torch.cuda.mem_get_info(self.device)
        return int(SHARE * min(free + torch.cuda.memory_reserved(self.device), self.memory_gb * GIB))

    def clear(self) -> None:
        torch.cuda.empty_cache()


def memory_of(device: torch.device, memory_gb: float) -> Memory | None:
    """What `BatchSize` goes by; None on a CPU."""
    return CudaMemory(device, memory_gb) if device.type == "cuda" else None


class BatchSize:
    """The size of the next batch.

    `auto` doubles it after every batch, as long as twice the memory of the last one would fit. A batch that does not
    fit is done in halves, down to single images, and the size stays there.

    Args:
        size: `machine.caption_batch_size`.
        memory: Of the device; None where it cannot be asked, as on a CPU.
    """

    def __init__(self, size: Literal["auto"] | int, memory: Memory | None) -> None:
        self.now = BEGINNING if size == "auto" else size
        self._memory = memory
        self._grows = size == "auto" and memory is not None

    def generate(self, generate: Generate, inputs: Sequence[Any], seeds: Sequence[int]) -> list[list[Candidate]]:
        """Caption images, as many at a time as fit.

        Raises:
            UserError: A single one does not fit.
        """
        done: list[list[Candidate]] = []
        while len(done) < len(inputs):
            part = slice(len(done), len(done) + self.now)
            taken = self._memory.begin() if self._memory else 0
            captions = _unless_out_of_memory(generate, inputs[part], seeds[part])
            if captions is None:
                self._shrink(len(inputs[part]))
                continue
            done += captions
            if self._grows and len(captions) == self.now:
                self._grow(taken)
        return done

    def _grow(self, taken: int) -> None:
        assert self._memory is not None
        each = max(1, self._memory.peak() - taken) / self.now
        fitting = int((self._memory.limit() - taken) / each)
        size = max(self.now, min(2 * self.now, fitting, MOST))
        self._grows = size == 2 * self.now
        if not self._grows:
            log.info("machine.caption_batch_size: auto: %d images at a time", size)
        self.now = size

    def _shrink(self, size: int) -> None:
        gc.collect()
        if self._memory:
            self._memory.clear()
        if size == 1:
            raise UserError(
                "machine.caption_batch_size: expected memory for one image at a time, found too little; set "
                "device.dtype to bfloat16, caption.quantization to 8bit, fewer caption.candidates, or another device"
            )
        self.now = size // 2
        self._grows = False
        log.info("a batch of %d images does not fit into the memory: from here on %d at a time", size, self.now)


def _unless_out_of_memory(
    generate: Generate, inputs: Sequence[Any], seeds: Sequence[int]
) -> list[list[Candidate]] | None:
    """None when memory ran out; by then nothing holds the tensors of the attempt any more."""
    try:
        return generate(inputs, seeds)
    except (RuntimeError, MemoryError) as error:
        # On a CPU PyTorch raises a plain RuntimeError.
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and "can't allocate memory" not in str(error):
            raise
        return None
