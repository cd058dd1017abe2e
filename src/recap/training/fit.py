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
from recap.runtime.ranks import world_size
from recap.training.arguments import training_arguments
from recap.training.batches import BatchPlan, batch_plan
from recap.training.compute import Compute
from recap.training.dataset import Example, RowEncoder, TrainingSamples
from recap.training.dealing import Deal, deal
from recap.training.provenance import provenance
from recap.training.sampling import exposure, exposure_by_source
from recap.training.stability import stability
from recap.training.trainable import cast_trained, trained
from recap.training.trainer import History, Trained, train
from recap.training.validation import Validation

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
    captions: Sequence[Example] = (),
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
        captions: Rows that finetuning mixes in, see `recap.training.dealing`.
        stage: "pretrain" or "finetune", for the log.
        params: The section of the stage.
        compute: Device, precision and how the work is spread.
        work: The scratch folder; checkpoints lie in it, and a run that was killed goes on from them.
        seed: The run's seed.

    Raises:
        UserError: The batch cannot be cut, too many rows cannot train, a sample cannot be read, or the run diverges.
    """
    plan = batch_plan(params.global_batch_size, compute.micro_batch_size, world_size())
    dealt = deal(encoder, examples, captions, params, seed)
    cast_trained(model)
    size = _size(model)
    _announce(stage, dealt, params, plan, compute, size)
    done = train(
        model,
        TrainingSamples(dealt.rows, dealt.order, encoder),
        encoder.collate,
        training_arguments(params, compute, plan, output_dir=work, seed=seed),
        params=params,
        validation=_validation(dealt, encoder, params, plan, compute),
        description=stage,
    )
    return TrainingResult(
        rows=dealt.rows,
        order=dealt.order,
        history=done.history,
        metrics=_metrics(done, dealt, params, plan, compute, size),
        left_out=dealt.left_out,
        samples_kept=done.steps_before * params.global_batch_size,
        loading_percent=done.loading_percent,
    )


def _announce(
    stage: str, dealt: Deal, params: TrainingParams, plan: BatchPlan, compute: Compute, size: dict[str, float]
) -> None:
    """Say what follows from parameters, rows and machine, before the work starts."""
    logger.info(
        "%s: %d rows (%d left out, %d held out), %d steps of %d samples (%d process(es) x %d at a time x %d) "
        "= %.2f epochs, %d trained parameters (%.2f %%), %s, %s",
        *(stage, len(dealt.rows), len(dealt.left_out), dealt.held_out, params.max_steps, params.global_batch_size),
        *(plan.processes, plan.micro_batch_size, plan.accumulation_steps, len(dealt.order) / len(dealt.rows)),
        *(size["trained_parameters"], size["trained_percent"]),
        *(compute.device, dtype_name(compute.dtype)),
    )
    seen = exposure_by_source(dealt.order, dealt.rows)
    if len(seen) > 1:
        parts = [
            f"{found['samples_seen']} of {source}s ({found['rows']} rows, {found['epochs']:.2f} epochs)"
            for source, found in seen.items()
        ]
        logger.info("%s: of %d samples %s", stage, len(dealt.order), ", ".join(parts))


def _validation(
    dealt: Deal, encoder: RowEncoder, params: TrainingParams, plan: BatchPlan, compute: Compute
) -> Validation | None:
    """What the Trainer asks for the loss of the held-out rows, where there are any."""
    if not dealt.validation or not isinstance(params, FinetuneParams):
        return None
    return Validation(
        dealt.validation, encoder, plan.micro_batch_size, compute.dataloader_workers, steps=params.val_steps
    )


def _metrics(
    done: Trained, dealt: Deal, params: TrainingParams, plan: BatchPlan, compute: Compute, size: dict[str, float]
) -> dict[str, Any]:
    losses, norms = ([entry[key] for entry in done.history] for key in ("loss", "grad_norm"))
    metrics = {
        "steps": len(done.history),
        "samples_per_step": params.global_batch_size,
        "micro_batch_size": plan.micro_batch_size,
        "accumulation_steps": plan.accumulation_steps,
        **exposure(dealt.order, len(dealt.rows)),
        "samples_with_image": sum(dealt.rows[row].image is not None for row in dealt.order),
        "rows_left_out": len(dealt.left_out),
        **size,
        **stability(losses, norms, max_grad_norm=params.max_grad_norm),
        **provenance(compute.device, compute.dtype),
    }
    if isinstance(params, FinetuneParams):
        metrics["by_source"] = exposure_by_source(dealt.order, dealt.rows)
        metrics["rows_held_out"] = dealt.held_out
        metrics["val_rows"] = len(dealt.validation)
        metrics["val_loss"] = done.validation[-1]["val_loss"] if done.validation else None
    return metrics


def _size(model: nn.Module) -> dict[str, float]:
    count = sum(parameter.numel() for _, parameter in trained(model))
    total = sum(parameter.numel() for parameter in model.parameters())
    return {
        "trained_tensors": sum(1 for _ in trained(model)),
        "trained_parameters": count,
        "trained_percent": 100 * count / total,
    }
