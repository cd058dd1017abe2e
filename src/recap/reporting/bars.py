"""The accuracies of a run as `dvc plots` draws them: one bar a benchmark with the image, and one without.

In: a `Run`. Out: rows for one JSON file, so that one plot shows whatever benchmarks the run was asked.
"""

from typing import Any

from recap.reporting.labels import title_of
from recap.reporting.run import Run


def accuracy_bars(run: Run) -> list[dict[str, Any]]:
    """`benchmark` (a label), `image` ("shown" or "blank"), `accuracy` and `accuracy_stderr` (percent 0-100)."""
    bars = []
    for name in run.benchmarks:
        scores, title = run.metrics[name], title_of(name)
        bars.append(_bar(title, "shown", scores["accuracy"], scores.get("accuracy_stderr")))
        if scores.get("blank_accuracy") is not None:
            label = f"{title} (blank)"
            bars.append(_bar(label, "blank", scores["blank_accuracy"], scores.get("blank_accuracy_stderr")))
    return bars


def _bar(label: str, image: str, accuracy: float, error: float | None) -> dict[str, Any]:
    rounded = None if error is None else round(error, 4)
    return {"benchmark": label, "image": image, "accuracy": round(accuracy, 4), "accuracy_stderr": rounded}
