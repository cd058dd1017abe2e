"""Which metrics a comparison shows, and in which order it lists benchmarks."""

from typing import Any, TypeGuard

from recap.data.benchmarks.registry import BENCHMARKS

# Metrics worth a line in a comparison, in this order; `dvc metrics diff` prints them all.
HEADLINE = (
    "process.kept_percent",
    "process.rows_out",
    *(f"quality.after.{name}" for name in ("words_mean", "mattr", "mtld", "hdd", "self_bleu", "alignment")),
    "pretrain.unique_samples",
    "pretrain.loss_final",
    "finetune.loss_final",
    "finetune.val_loss",
    *(f"{benchmark}.{name}" for benchmark in BENCHMARKS for name in ("accuracy", "blank_accuracy")),
)


def benchmark_order(name: str) -> tuple[int, str]:
    """Sorts benchmarks as the pipeline does; those that it does not know come last, by name."""
    return (list(BENCHMARKS).index(name) if name in BENCHMARKS else len(BENCHMARKS), name)


def is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
