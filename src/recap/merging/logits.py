"""How far two models' logits lie apart, never holding more than a slice of them.

The logits of one probe of 700 tokens take 0.7 GB at Gemma's vocabulary. What they are computed from, the states before
the head, takes 6 MB: these are kept, and a few positions' logits at a time are made of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from recap.runtime.errors import UserError

AT_ONCE = 2**24  # logits of a model in memory: 64 MiB in float32


@dataclass(frozen=True)
class Output:
    """What a model says to one probe.

    Attributes:
        states: [T, D], the language model's last hidden states.
        head: [vocabulary, D], what makes logits of them.
    """

    states: torch.Tensor
    head: torch.Tensor

    def logits(self) -> Iterator[torch.Tensor]:
        """Logits in float32, a few positions at a time: [t, vocabulary] each."""
        for states in self.states.split(max(1, AT_ONCE // len(self.head))):
            yield F.linear(states.to(self.head.dtype), self.head).float()


@dataclass(frozen=True)
class Difference:
    """How far two models' logits on the same probes lie apart.

    Attributes:
        maximum: Largest absolute difference of a logit.
        mean: Mean absolute difference.
        agreement: Percentage (0-100) of positions at which both put the same token first.
    """

    maximum: float
    mean: float
    agreement: float


NO_DIFFERENCE = Difference(0.0, 0.0, 100.0)


class Comparison:
    """Two models, compared probe by probe."""

    def __init__(self) -> None:
        self._maximum = self._total = 0.0
        self._logits = self._positions = self._same = 0

    @torch.inference_mode()
    def add(self, first: Output, second: Output) -> None:
        """Take in what both models say to a probe.

        Raises:
            UserError: Logits are not finite, or differ in number (the two models saw other tokens).
        """
        shapes = [(len(output.states), len(output.head)) for output in (first, second)]
        if shapes[0] != shapes[1]:
            raise UserError(f"expected logits of one shape from both models, found {shapes[0]}, {shapes[1]}")
        for one, other in zip(first.logits(), second.logits(), strict=True):
            self._same += int((one.argmax(-1) == other.argmax(-1)).sum())
            gap = one.sub_(other).abs_()
            self._maximum = max(self._maximum, _finite(gap.max()))
            self._total += gap.sum(dtype=torch.float64).item()
            self._positions += len(gap)
            self._logits += gap.numel()

    def difference(self) -> Difference:
        """What was found in all probes so far."""
        return Difference(self._maximum, self._total / self._logits, 100 * self._same / self._positions)


def _finite(largest: torch.Tensor) -> float:
    if not torch.isfinite(largest):
        raise UserError("expected finite logits from both models, found NaN or infinity; the merge is not published")
    return largest.item()
