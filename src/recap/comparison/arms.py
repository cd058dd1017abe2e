"""Several recipes against one, in one table: an experiment with arms, of which some are placebos.

In: the runs of each recipe. Out: a JSON document, and the table that is printed of it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from recap.comparison.compare import compare
from recap.comparison.headline_metrics import benchmark_order
from recap.comparison.printing import table
from recap.comparison.statistics import MIN_SEEDS
from recap.comparison.tables import NONE
from recap.comparison.words import BETTER

METRICS = {"rows": "process.rows_out", "val_loss": "finetune.val_loss"}
"""What a row shows besides accuracies."""

NOT_CONTENT = "A gain over {base} that a placebo shows too was not content."


def arms_document(sides: Mapping[str, Sequence[str]], placebos: Sequence[str]) -> dict[str, Any]:
    """Compare every recipe with the first.

    Args:
        sides: The revisions of each recipe, one a training seed.
        placebos: Those of the recipes that are placebos.

    Returns:
        `{"base": recipe, "judged": bool, "arms": {recipe: arm}}`, an arm being `{"placebo", "runs", "rows", "val_loss",
        "accuracy": {benchmark: percent}, "against_base": {benchmark: {"word", "difference", "low", "high"}}}`. Values
        are means over seeds, None where a run has none; `against_base` is empty for the first recipe.

    Raises:
        UserError: A revision can't be read, or the runs differ in more than recipe, seed and machine.
    """
    base, *others = sides
    found = {arm: compare(sides[base], sides[arm]).document for arm in others}
    first = next(iter(found.values()))
    arms = {base: _arm(first, "a", {}, placebo=base in placebos)}
    for arm, document in found.items():
        against = {
            benchmark: {
                "word": verdict["word"],
                **{name: verdict["shown"][name] for name in ("difference", "low", "high")},
            }
            for benchmark, verdict in document["benchmarks"].items()
        }
        arms[arm] = _arm(document, "b", against, placebo=arm in placebos)
    return {"base": base, "judged": all(document["judged"] for document in found.values()), "arms": arms}


def _arm(document: dict[str, Any], side: str, against: dict[str, Any], *, placebo: bool) -> dict[str, Any]:
    metrics = {name: values[side] for name, values in document["metrics"].items()}
    return {
        "placebo": placebo,
        "runs": document[side]["runs"],
        **{name: metrics.get(metric) for name, metric in METRICS.items()},
        "accuracy": {name: verdict["shown"][side] for name, verdict in document["benchmarks"].items()},
        "against_base": against,
    }


def arms_text(document: Mapping[str, Any]) -> str:
    """The table, the words where recipes are judged, and how to read a placebo."""
    arms = document["arms"]
    benchmarks = sorted({name for arm in arms.values() for name in arm["accuracy"]}, key=benchmark_order)
    head = ["recipe", "seeds", *METRICS, *(f"{name} %" for name in benchmarks)]
    rows = [
        [
            f"{name} (placebo)" if arm["placebo"] else name,
            str(len(arm["runs"])),
            _number(arm["rows"], ",.0f"),
            _number(arm["val_loss"], ".3f"),
            *(_number(arm["accuracy"].get(benchmark), ".1f") for benchmark in benchmarks),
        ]
        for name, arm in arms.items()
    ]
    parts = [table([head, *rows], left=[0])]
    if document["judged"]:
        parts += [f"Against {document['base']}\n{_words(document, benchmarks)}"]
    return "\n\n".join([*parts, "\n".join(sentences(document))])


def _words(document: Mapping[str, Any], benchmarks: Sequence[str]) -> str:
    rows = [["recipe", *benchmarks]]
    for name, arm in document["arms"].items():
        if against := arm["against_base"]:
            cells = (against.get(benchmark) for benchmark in benchmarks)
            rows.append(
                [name, *(NONE if cell is None else f"{cell['difference']:+.1f} {cell['word']}" for cell in cells)]
            )
    return table(rows, left=[0])


def sentences(document: Mapping[str, Any]) -> list[str]:
    """How to read the placebos; what they say where recipes are judged."""
    base, arms = document["base"], document["arms"]
    rule = NOT_CONTENT.format(base=base)
    if not document["judged"]:
        return [rule, f"Fewer than {MIN_SEEDS} seeds a recipe: numbers of runs, and no word on recipes."]
    better = {
        name: [b for b, cell in arm["against_base"].items() if cell["word"] == BETTER] for name, arm in arms.items()
    }
    found = [rule, "A word allows for the benchmarks of its row (Holm), not for the number of rows."]
    for name, arm in arms.items():
        for benchmark in [] if arm["placebo"] else sorted(better[name], key=benchmark_order):
            too = [other for other in arms if arms[other]["placebo"] and benchmark in better[other]]
            shown = f"so is the placebo {' and '.join(too)}" if too else "no placebo is"
            found.append(f"{benchmark}: {name} is better than {base}, and {shown}.")
    return found


def _number(value: float | None, form: str) -> str:
    return NONE if value is None else format(value, form)
