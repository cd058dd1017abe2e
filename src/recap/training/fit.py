"""Training from rows to metrics.

In: a model whose trained parameters have `requires_grad`, the rows. Out: the history of every step, the metrics, and
the rows that were left out.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from recap.models.loading import dtype_name
from recap.params import FinetuneParams, TrainingParams
from recap.runtime.faults import Fault
from recap.runtime.ranks import from_rank_zero, world_size
from recap.training.arguments import training_arguments
from recap.training.batches import batch_plan
from recap.training.compute import Compute
from recap.training.dataset import Example, RowEncoder, TrainingSamples
from recap.training.provenance import provenance
from recap.training.sampling import exposure, group_by_modality_length, row_order
from recap.training.stability import stability
from recap.training.trainable import cast_trained, trained
from recap.training.trainer import History, train
from recap.training.validation import Validation, hold_out

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingResult:
    """What a run leaves behind besides the model.

    Attributes:
        rows: The rows that trained.
        order: Which of them each sample was, shape (samples,).
        history: One dict per optimizer step.
        metrics: For `metrics/<stage>.json` and `data/details/<stage>.json`.
        left_out: Rows that could not train, with a reason each.
        samples_kept: Samples that an interrupted run before this process had trained on.
        loading_percent: Share of the training's seconds that it waited for samples to be loaded.
    """

    rows: Sequence[Example]
    order: NDArray[np.int64]
    history: History
    metrics: dict[str, Any]
    left_out: list[Fault]
    samples_kept: int
    loading_percent: float


def fit(
    model: nn.Module,
    encoder: RowEncoder,
    examples: Sequence[Example],
    *,
    stage: str,
    params: TrainingParams,
    compute: Compute,
    work: Path,
    seed: int,
) -> TrainingResult:
    """Train `model` in place on exactly `params.max_steps` optimizer steps.

    Args:
        model: Its trained parameters have `requires_grad`; they are made float32, whatever the others are.
        encoder: Makes model inputs of rows.
        examples: All rows of the training file.
        stage: "pretrain" or "finetune", for the log.
        params: The section of the stage.
        compute: Device, precision and how the work is spread.
        work: The scratch folder; checkpoints lie in it, and a run that was killed goes on from them.
        seed: The run's seed.

    Raises:
        UserError: The batch cannot be cut, too many rows cannot train, a sample cannot be read, or the run diverges.
    """
    plan = batch_plan(params.global_batch_size, compute.micro_batch_size, world_size())
    fit_to_train, left_out = screened_once(encoder, examples, max_left_out=params.max_left_out)
    kept, validation = _part(fit_to_train, encoder, params, plan.micro_batch_size, compute.dataloader_workers)
    order = row_order(len(kept), params.max_steps * params.global_batch_size, seed)
    if params.group_by_modality_length:
        order = group_by_modality_length(order, kept, params.global_batch_size)
    samples = TrainingSamples(kept, order, encoder)
    cast_trained(model)
    size = _size(model)
    seen = exposure(order, len(kept))
    logger.info(
        "%s: %d rows (%d left out, %d held out), %d steps of %d samples (%d process(es) x %d at a time x %d) "
        "= %.2f epochs, %d trained parameters (%.2f %%), %s, %s",
        *(stage, len(kept), len(left_out), len(fit_to_train) - len(kept), params.max_steps, params.global_batch_size),
        *(plan.processes, plan.micro_batch_size, plan.accumulation_steps, seen["epochs"]),
        *(size["trained_parameters"], size["trained_percent"]),
        *(compute.device, dtype_name(compute.dtype)),
    )
    arguments = training_arguments(params, compute, plan, output_dir=work, seed=seed)
    done = train(model, samples, encoder.collate, arguments, params=params, validation=validation, description=stage)
    losses, norms = ([entry[key] for entry in done.history] for key in ("loss", "grad_norm"))
    metrics = {
        "steps": len(done.history),
        "samples_per_step": params.global_batch_size,
        "micro_batch_size": plan.micro_batch_size,
        "accumulation_steps": plan.accumulation_steps,
        **seen,
        "samples_with_image": sum(kept[row].image is not None for row in order),
        "rows_left_out": len(left_out),
        **size,
        **stability(losses, norms, max_grad_norm=params.max_grad_norm),
        **provenance(compute.device, compute.dtype),
    }
    if isinstance(params, FinetuneParams):
        metrics["rows_held_out"] = len(fit_to_train) - len(kept)
        metrics["val_rows"] = len(validation.rows) if validation else 0
        metrics["val_loss"] = done.validation[-1]["val_loss"] if done.validation else None
    kept_before = done.steps_before * params.global_batch_size
    return TrainingResult(kept, order, done.history, metrics, left_out, kept_before, done.loading_percent)


def _part(
    examples: Sequence[Example], encoder: RowEncoder, params: TrainingParams, batch_size: int, workers: int
) -> tuple[list[Example], Validation | None]:
    """The rows to train on, and the held-out ones where the stage has any."""
    if not isinstance(params, FinetuneParams):
        return list(examples), None
    training, held_out = hold_out(examples, params.val_rows)
    if len(held_out) < params.val_rows:
        logger.info("val_rows: %d of the %d asked for can be held out", len(held_out), params.val_rows)
    return training, Validation(held_out, encoder, batch_size, workers, params.val_steps) if held_out else None


def screened_once(
    encoder: RowEncoder, examples: Sequence[Example], *, max_left_out: float
) -> tuple[list[Example], list[Fault]]:
    """`RowEncoder.screen`, by one process for all: only what is left out travels, which is little."""
    left_out = from_rank_zero(lambda: encoder.screen(examples, max_left_out=max_left_out)[1])
    names = {fault.where for fault in left_out}
    return [example for example in examples if example.where not in names], left_out


def _size(model: nn.Module) -> dict[str, float]:
    count = sum(parameter.numel() for _, parameter in trained(model))
    total = sum(parameter.numel() for parameter in model.parameters())
    return {
        "trained_tensors": sum(1 for _ in trained(model)),
        "trained_parameters": count,
        "trained_percent": 100 * count / total,
    }
