"""The training loop that the foundry's models share: AdamW, one-cycle cosine, clipping, a progress bar."""

import math
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import nn
from tqdm import tqdm

B = TypeVar("B")


def shuffled_batches(count: int, batch_size: int, seed: int) -> Iterator[torch.Tensor]:
    """Endless shuffled batches of indices [batch_size] into `count` samples."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(count, generator=generator)
        yield from (order[start : start + batch_size] for start in range(0, count - batch_size + 1, batch_size))


def train(
    modules: nn.Module,
    loss_of: Callable[[B], dict[str, torch.Tensor]],
    batches: Iterator[B],
    *,
    steps: int,
    learning_rate: float,
    name: str,
    warmup: int | None = None,
) -> dict[str, float]:
    """Minimise the sum of the losses that `loss_of` returns for a batch; one batch a step.

    `warmup` is the number of steps until the learning rate is reached, by default a twentieth of all.

    Returns:
        The mean of each loss over the last tenth of the steps.
    """
    parameters = [parameter for parameter in modules.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    rising = warmup or max(1, steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / rising, 0.5 * (1 + math.cos(math.pi * step / steps)) + 0.01),
    )
    history: list[dict[str, float]] = []
    modules.train()
    with tqdm(zip(range(steps), batches, strict=False), total=steps, desc=name) as bar:
        for step, batch in bar:
            losses = loss_of(batch)
            total = torch.stack(list(losses.values())).sum()
            optimizer.zero_grad(set_to_none=True)
            total.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            history.append({key: value.item() for key, value in losses.items()})
            if step % 20 == 0:
                bar.set_postfix({key: f"{value:.3f}" for key, value in history[-1].items()})
    modules.eval()
    tail = history[-max(1, steps // 10) :]
    return {key: sum(row[key] for row in tail) / len(tail) for key in tail[0]}
