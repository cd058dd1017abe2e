"""Random sampling whose draws belong to the image: no other row of a batch, and no batch before it, has a say.

`generate(do_sample=True)` draws all rows of a batch from one stream, so a caption changes with the batch size, the
order of the images and every restart. Here each image has a stream of its own, one draw per token, and the token is
found by inverting the cumulative distribution. In: logits. Out: logits that leave greedy search one choice.
"""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import LogitsProcessor


def uniform_draws(seeds: Sequence[int], steps: int) -> torch.Tensor:
    """Draws in [0, 1) for B rows and `steps` tokens, float32 of shape [B, steps], each row from its own seed.

    They are drawn on the CPU, so that every device sees the same, and by NumPy, which uses all bits of a seed: to
    PyTorch's generator two seeds with the same low 32 bits are one.
    """
    rows = [np.random.default_rng(seed).random(steps, dtype=np.float32) for seed in seeds]
    return torch.from_numpy(np.stack(rows))


class KeyedSampling(LogitsProcessor):
    """Choose each row's next token with that row's own draw; use one object for one call of `generate`.

    Args:
        draws: [B, steps], float32 in [0, 1), on the device of the logits.
        temperature: Divides the logits; above 0.
        top_p: Sample among the most probable tokens whose probabilities reach this sum; 1.0 is all tokens.
    """

    def __init__(self, draws: torch.Tensor, *, temperature: float = 1.0, top_p: float = 1.0) -> None:
        self.draws = draws
        self.temperature = temperature
        self.top_p = top_p
        self.step = 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Map logits [B, V] to zeros at the sampled tokens and minus infinity elsewhere, [B, V]."""
        # float64, in vocabulary order: rounding that differs with the batch's shape moves the borders between
        # tokens by 1e-7 or so, and a draw falls into such a gap about as rarely.
        probabilities = torch.softmax(scores.double() / self.temperature, dim=-1)
        if self.top_p < 1:
            probabilities = keep_nucleus(probabilities, self.top_p)
        cumulative = probabilities.cumsum(dim=-1)
        targets = self.draws[:, self.step, None].double() * cumulative[:, -1:]
        self.step += 1
        # right=True finds the first token whose cumulative sum exceeds the target: never one of probability 0.
        tokens = torch.searchsorted(cumulative, targets, right=True).clamp(max=scores.shape[-1] - 1)
        return torch.full_like(scores, float("-inf")).scatter_(1, tokens, 0.0)


def keep_nucleus(probabilities: torch.Tensor, top_p: float) -> torch.Tensor:
    """Zero all but the smallest set of most probable tokens that reaches `top_p` (Holtzman et al. 2020, 3.1).

    Args:
        probabilities: [B, V], rows sum to 1.
        top_p: In (0, 1].

    Returns:
        [B, V], not renormalised.
    """
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1) - ordered
    dropped = torch.zeros_like(before, dtype=torch.bool).scatter_(1, order, before >= top_p)
    return probabilities.masked_fill(dropped, 0.0)
