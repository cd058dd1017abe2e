"""Publish what a recipe did: the processed corpus, one trace file per operator, and the funnel as metrics."""

from pathlib import Path
from typing import Any

from pyarrow import parquet

from recap.data.processing.accounting import Step
from recap.data.processing.operators import BLIP2
from recap.data.processing.runner import Processed
from recap.io import atomic_path, write_jsonl


def funnel_metrics(processed: Processed, rows_in: int) -> dict[str, Any]:
    """Counts of rows, the same keys for every recipe; `operators` holds one entry per operator, in order."""
    rows_out = len(processed.rows)
    return {
        "rows_in": rows_in,
        "rows_out": rows_out,
        "kept_percent": 100 * rows_out / rows_in,
        "dropped_rows": rows_in - rows_out,
        "recaptioned_rows": sum(row["caption_source"] == BLIP2 for row in processed.rows),
        "operators": {step.label: step_counts(step) for step in processed.steps},
    }


def step_counts(step: Step) -> dict[str, int]:
    """Counts of one operator; `added` only of one that made rows of rows."""
    counts = {
        "rows_in": step.rows_in,
        "rows_out": step.rows_out,
        "dropped": len(step.dropped),
        "changed": len(step.changed),
    }
    return {**counts, "added": len(step.added)} if step.added else counts


def write_trace(folder: str | Path, steps: list[Step]) -> None:
    """Write the trace folder.

    `funnel.jsonl` has one row per operator, `NN_<operator>.jsonl` one per row that the NN-th operator dropped,
    changed or added: `{"id", "image", "reason", "before", "after"}`, `after` null where the row was dropped.
    """
    with atomic_path(folder) as draft:
        draft.mkdir()
        write_jsonl(draft / "funnel.jsonl", ({"operator": step.label, **step_counts(step)} for step in steps))
        for number, step in enumerate(steps, start=1):
            write_jsonl(draft / f"{number:02d}_{step.label}.jsonl", [*step.dropped, *step.changed, *step.added])


def write_computed(path: str | Path, processed: Processed) -> None:
    """Write what operators computed of the rows that remain: Parquet, a row per processed row, in their order."""
    with atomic_path(path) as draft:
        parquet.write_table(processed.computed, draft)
