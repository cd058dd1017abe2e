"""One training run from rows to metrics: what `pretrain` and `finetune` have in common.

In: a model whose trained parameters have `requires_grad`, the rows. Out: the history of every step, the metrics, and
the rows that were left out.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recap.io import write_jsonl, write_results
from recap.models.mgm.processing_mgm import MGMProcessor
from recap.params import TrainingParams
from recap.runtime.timing import Timing
from recap.training.arguments import training_arguments
from recap.training.curves import publish_curves
from recap.training.dataset import Example, TrainingSamples, screen
from recap.training.provenance import provenance
from recap.training.ranks import world_size
from recap.training.sampling import exposure, row_order
from recap.training.stability import stability
from recap.training.trainer import History, train, trained

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fit:
    """What a run leaves behind besides the model.

    Attributes:
        history: One dict per optimizer step.
        metrics: For `metrics/<stage>.json` and `data/details/<stage>.json`.
        left_out: Rows that could not train, with a reason each.
        samples_kept: Samples that an interrupted run before this process had trained on.
    """

    history: History
    metrics: dict[str, Any]
    left_out: list[dict[str, str]]
    samples_kept: int


def fit(
    model: nn.Module,
    processor: MGMProcessor,
    examples: Sequence[Example],
    *,
    stage: str,
    images: str | Path,
    params: TrainingParams,
    max_length: int,
    work: Path,
    device: torch.device,
    dtype: torch.dtype,
    seed: int,
    dataloader_workers: int,
) -> Fit:
    """Train `model` in place on exactly `params.max_steps` optimizer steps.

    Args:
        model: Its trained parameters have `requires_grad`; they are made float32, whatever the others are.
        processor: Encodes the rows.
        examples: All rows of the training file.
        stage: "pretrain" or "finetune", for the log.
        images: The folder that image paths start from.
        params: The section of the stage.
        max_length: Tokens of a sample, image tokens included.
        work: The scratch folder; checkpoints lie in it, and a run that was killed goes on from them.
        device: See `training_arguments`.
        dtype: See `training_arguments`.
        seed: The run's seed.
        dataloader_workers: See `training_arguments`.

    Raises:
        UserError: Too many rows cannot train, a sample cannot be read, or the run diverges.
    """
    kept, left_out = screen(examples, processor, max_length=max_length)
    samples_per_step = params.per_device_train_batch_size * params.gradient_accumulation_steps * world_size()
    order = row_order(len(kept), params.max_steps * samples_per_step, seed)
    samples = TrainingSamples(
        kept, order, processor, images=images, image_aspect_ratio=params.image_aspect_ratio, max_length=max_length
    )
    for _, parameter in trained(model):
        parameter.data = parameter.data.float()
    size = _size(model)
    seen = exposure(order, len(kept))
    logger.info(
        "%s: %d rows (%d left out), %d steps of %d samples = %.2f epochs, %d trained parameters (%.2f %%), %s, %s",
        *(stage, len(kept), len(left_out), params.max_steps, samples_per_step, seen["epochs"]),
        *(size["trained_parameters"], size["trained_percent"], device, str(dtype).removeprefix("torch.")),
    )
    arguments = training_arguments(
        params, output_dir=work, device=device, dtype=dtype, seed=seed, dataloader_workers=dataloader_workers
    )
    history, steps_before = train(model, samples, processor.collate, arguments, description=stage)
    losses, norms = ([entry[key] for entry in history] for key in ("loss", "grad_norm"))
    metrics = {
        "steps": len(history),
        "samples_per_step": samples_per_step,
        **seen,
        "rows_left_out": len(left_out),
        **size,
        **stability(losses, norms, max_grad_norm=params.max_grad_norm),
        **provenance(device, dtype),
    }
    return Fit(history, metrics, left_out, steps_before * samples_per_step)


def publish(
    result: Fit,
    stage: str,
    timing: Timing,
    *,
    left_out: Path,
    plots: Path,
    metrics: Path,
    details: Path,
    headline: Sequence[str],
    work: Path,
) -> None:
    """Write what a run leaves behind besides the model; see `publish_curves` for `plots` and `work`.

    `headline` names what goes to `metrics`; everything else goes to `details` (`recap.io.write_results`). `timing`
    is told what was trained on, and how much of it before this process.
    """
    found = result.metrics
    timing.update(items=found["samples_seen"], kept=result.samples_kept, device=found["device"], dtype=found["dtype"])
    write_jsonl(left_out, result.left_out)
    publish_curves(result.history, plots, work=work)
    write_results(metrics, details, stage, found, headline=headline)


def _size(model: nn.Module) -> dict[str, float]:
    count = sum(parameter.numel() for _, parameter in trained(model))
    total = sum(parameter.numel() for parameter in model.parameters())
    return {
        "trained_tensors": sum(1 for _ in trained(model)),
        "trained_parameters": count,
        "trained_percent": 100 * count / total,
    }
