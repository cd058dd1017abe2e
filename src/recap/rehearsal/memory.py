"""Counts the memory that tensors hold, part by part, while code runs: on real tensors and on fake ones alike.

In: whatever runs inside the `with` block. Out: the bytes alive now, and at the peak. Every storage is counted from the
operation that makes it until Python and autograd have let go of it, once however many views share it. What a kernel
allocates and frees within one operation (workspaces of convolutions, of attention) is not seen.
"""

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

WEIGHTS, OPTIMIZER, GRADIENTS = "weights", "optimizer", "gradients"
BATCHES, LOGITS, ACTIVATIONS = "batches", "logits", "activations"
PARTS = (WEIGHTS, OPTIMIZER, GRADIENTS, ACTIVATIONS, LOGITS, BATCHES)


class MemoryCounter(TorchDispatchMode):
    """Memory by part. What no one claims is activations; what is as wide as the vocabulary is logits.

    Args:
        vocabulary_size: Entries of the last dimension of logits.

    Attributes:
        now: Bytes alive, by part.
        peak: The same at the moment when their sum was largest.
    """

    def __init__(self, vocabulary_size: int) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size
        self.now: Counter[str] = Counter()
        self.peak: Mapping[str, int] = {}
        self._largest = 0
        # Storage address -> part, bytes, and the reference that tells when it is gone.
        self._alive: dict[int, tuple[str, int, weakref.ref[torch.UntypedStorage]]] = {}

    @property
    def peak_bytes(self) -> int:
        return self._largest

    def reset_peak(self) -> None:
        """Look for the next peak from here on."""
        self._largest, self.peak = 0, {}
        self._compare_with_peak()

    def claim(self, tensors: Iterable[torch.Tensor], part: str) -> None:
        """Say what tensors are, whether they were made inside the block or before it."""
        for tensor in tensors:
            self._count(tensor.untyped_storage(), part)
        self._compare_with_peak()

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in _tensors(result):
            storage = tensor.untyped_storage()
            if storage._cdata not in self._alive:
                wide = tensor.dim() > 1 and tensor.shape[-1] == self.vocabulary_size
                self._count(storage, LOGITS if wide else ACTIVATIONS)
        self._compare_with_peak()
        return result

    def _count(self, storage: torch.UntypedStorage, part: str) -> None:
        key = storage._cdata
        if key in self._alive:
            self._forget(key)
        # The address may be given to another storage later, so the entry goes with the storage.
        self._alive[key] = (part, storage.nbytes(), weakref.ref(storage, lambda _: self._forget(key)))
        self.now[part] += storage.nbytes()

    def _forget(self, key: int) -> None:
        part, size, _ = self._alive.pop(key)
        self.now[part] -= size

    def _compare_with_peak(self) -> None:
        total = self.now.total()
        if total > self._largest:
            self._largest, self.peak = total, dict(self.now)


def claim_model(counter: MemoryCounter, model: nn.Module) -> None:
    """Claim a model's parameters and buffers, and its gradients as they arise."""
    counter.claim([*model.parameters(), *model.buffers()], WEIGHTS)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(lambda grown: counter.claim([_grad(grown)], GRADIENTS))


def _grad(parameter: torch.Tensor) -> torch.Tensor:
    if parameter.grad is None:
        raise RuntimeError("expected a gradient in its own hook")
    return parameter.grad


def _tensors(result: Any) -> Iterator[torch.Tensor]:
    if isinstance(result, torch.Tensor):
        yield result
    elif isinstance(result, tuple | list):
        for item in result:
            yield from _tensors(item)
