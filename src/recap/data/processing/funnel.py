"""Publish what a recipe did: one trace file per operator, and the funnel as numbers and as a chart."""

from pathlib import Path
from typing import Any

from pyarrow import parquet

from recap.data.processing.accounting import Step
from recap.data.processing.captions import BLIP2
from recap.data.processing.runner import Processed
from recap.data.statistics.charts import bar_chart
from recap.io import atomic_path, write_csv, write_jsonl


def funnel_metrics(processed: Processed, rows_in: int) -> dict[str, Any]:
    """Counts of rows, the same keys for every recipe; `operators` holds one entry per operator, in order."""
    rows_out = len(processed.rows)
    return {
        "rows_in": rows_in,
        "rows_out": rows_out,
        "kept_percent": 100 * rows_out / rows_in,
        "dropped_rows": rows_in - rows_out,
        "recaptioned_rows": sum(row["caption_source"] == BLIP2 for row in processed.rows),
        "operators": {step.label: step_facts(step) for step in processed.steps},
    }


def step_facts(step: Step) -> dict[str, Any]:
    """What one operator did to how many rows, why, and how the statistic that it decided by lay before and after.

    `share_percent` and `reasons` are of the rows that it dropped.
    """
    decision = step.decision
    return {
        "rows_in": step.rows_in,
        "rows_out": step.rows_out,
        "dropped": len(step.dropped),
        "changed": len(step.changed),
        "added": len(step.added),
        "share_percent": 100 * len(step.dropped) / step.rows_in,
        "reasons": decision.reasons,
        "statistic": decision.statistic,
        "before": decision.before,
        "after": decision.after,
    }


def write_trace(folder: str | Path, steps: list[Step]) -> None:
    """Write the trace folder.

    `funnel.jsonl` has one row per operator, `NN_<operator>.jsonl` one per row that the NN-th operator dropped,
    changed or added: `{"id", "image", "reason", "before", "after"}`, `after` null where the row was dropped.
    """
    with atomic_path(folder) as draft:
        draft.mkdir()
        write_jsonl(draft / "funnel.jsonl", ({"operator": step.label, **step_facts(step)} for step in steps))
        for number, step in enumerate(steps, start=1):
            write_jsonl(draft / f"{number:02d}_{step.label}.jsonl", [*step.dropped, *step.changed, *step.added])


def write_computed(path: str | Path, processed: Processed) -> None:
    """Write what operators computed of the rows that remain: Parquet, a row per processed row, in their order."""
    with atomic_path(path) as draft:
        parquet.write_table(processed.computed, draft)


def plot_funnel(folder: str | Path, processed: Processed, rows_in: int) -> None:
    """Write funnel.csv, for `dvc plots`, and funnel.png: the rows of the corpus, and those that each operator left."""
    rows = {"corpus": rows_in, **{step.label: step.rows_out for step in processed.steps}}
    with atomic_path(folder) as draft:
        draft.mkdir()
        write_csv(draft / "funnel.csv", ("operator", "rows"), rows.items())
        bar_chart(draft / "funnel.png", rows, title="Rows that each operator left", xlabel="rows")
