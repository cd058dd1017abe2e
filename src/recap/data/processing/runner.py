"""Run a recipe on a corpus through Data-Juicer, one operator at a time, and account for every row.

In: corpus records, the folder of their images, BLIP-2 captions, a recipe. Out: the rows that remain, in corpus order,
and for every operator which rows it dropped or changed, and why.

Operators see two texts. `text` is the bare caption, so that lengths, words and repetition are the caption's:
py-data-juicer 1.6.1 counts its own markers as text (`words_num_filter` finds two words and `text_length_filter` 28
characters too many in "<__dj__image> a cat <|__dj__eoc|>"). `marked_text` holds the markers; operators that look for
them, which are those that relate texts to images, are given that column, and both columns are kept in step.
"""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets

from recap.data.corpus.records import Record, caption_of, dj_text
from recap.data.processing import leaks  # noqa: F401 - registers its operator
from recap.data.processing.accounting import Row, Step, account, check_rows
from recap.data.processing.juicer import (
    NON_STATS_FILTERS,
    OPERATORS,
    Deduplicator,
    Fields,
    Filter,
    Mapper,
    NestedDataset,
    PipelineConfigError,
    Selector,
    load_ops,
    pre_instantiation_check,
    setup_mp,
)
from recap.data.processing.operators import RAW, Blip2CaptionMapper, read_captions
from recap.data.processing.recipe import Operator, Recipe
from recap.runtime.errors import UserError

logger = logging.getLogger(__name__)

COLUMNS = ("id", "image", "text", "marked_text", "images", "raw_text", "caption_source")

PROGRESS_BAR_ROWS = 20_000
"""From so many rows on, an operator may take long enough to show Data-Juicer's progress bars."""

# What operators raise on rows that they cannot handle, and constructors on arguments that they refuse.
OPERATOR_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, OSError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip


@dataclass(frozen=True)
class Processed:
    """The result of a recipe: corpus rows with `raw_text` and `caption_source`, and the funnel that led to them."""

    rows: list[Row]
    steps: list[Step]


def run_recipe(
    recipe: Recipe, records: Sequence[Record], *, image_root: str | Path, captions: str | Path, workers: int = 1
) -> Processed:
    """Run a recipe.

    Args:
        recipe: Its operators run in order.
        records: The corpus; ids must be unique.
        image_root: The folder that the records' image paths start from.
        captions: BLIP-2 captions, JSON Lines of `{"image", "caption"}`.
        workers: Processes per operator; the result does not depend on it.

    Raises:
        UserError: The corpus is empty or repeats an id, an operator is unknown or fails, a row is unaccounted for,
            or no row remains.
    """
    built = build_operators(recipe, captions)
    if not records:
        raise UserError("expected a corpus with rows, found none; rerun prepare")
    repeated = len(records) - len({record.id for record in records})
    if repeated:
        raise UserError(f"expected a corpus of rows with different ids, found {repeated} repeated; rerun prepare")
    setup_mp("fork")  # workers inherit the settings of `juicer`, and start at once
    _show_progress_bars(len(records) >= PROGRESS_BAR_ROWS)
    rows, steps = _to_operator_rows(records, image_root), []
    for operator, op in zip(recipe.operators, built, strict=True):
        rows, step = _run_operator(operator, op, rows, workers)
        steps.append(step)
        logger.info(
            "%s: %d rows in, %d dropped, %d changed", step.label, step.rows_in, len(step.dropped), len(step.changed)
        )
        if not step.rows_out:
            funnel = ", ".join(f"{step.label} dropped {len(step.dropped)}" for step in steps)
            raise UserError(f"recipe {recipe.name} keeps none of {len(records)} rows: {funnel}; relax its rules")
    return Processed([_to_corpus_row(row) for row in rows], steps)


def build_operators(recipe: Recipe, captions: str | Path) -> list[Any]:
    """Instantiate a recipe's operators through Data-Juicer's registry, after its own check of names and arguments.

    Raises:
        UserError: An operator or an argument is unknown, ill-typed or refused.
    """
    try:
        pre_instantiation_check([{operator.name: operator.arguments} for operator in recipe.operators])
    except PipelineConfigError as error:
        own = ", ".join(sorted(_own_operators()))
        raise UserError(
            f"recipe {recipe.name}: {'; '.join(map(str, error.errors))}; "
            f"{len(OPERATORS.modules)} operators exist, Data-Juicer's own and {own}"
        ) from None
    read_captions.cache_clear()  # another run in this process may have read an older file
    return [_build(recipe, operator, captions) for operator in recipe.operators]


def _build(recipe: Recipe, operator: Operator, captions: str | Path) -> Any:
    try:
        (op,) = load_ops([{operator.name: _complete(operator, captions)}])
    except PipelineConfigError as error:
        problems = "; ".join(map(str, error.errors))
        raise UserError(f"recipe {recipe.name}: {operator.label}: {problems}") from None
    except OPERATOR_ERRORS as error:
        raise UserError(f"recipe {recipe.name}: {operator.label} refuses its arguments: {_one_line(error)}") from error
    if not isinstance(op, Filter | Mapper | Deduplicator | Selector):
        raise UserError(
            f"recipe {recipe.name}: {operator.label} regroups rows; expected filters, mappers, deduplicators, selectors"
        )
    return op


def _own_operators() -> list[str]:
    return [name for name, cls in OPERATORS.modules.items() if cls.__module__ == Blip2CaptionMapper.__module__]


def _complete(operator: Operator, captions: str | Path) -> dict[str, Any]:
    """The recipe's arguments and those that the run supplies.

    A failing operator must raise: with `skip_op_error`, Data-Juicer would drop its whole batch without a word.
    """
    supplied: dict[str, Any] = {"auto_op_parallelism": False, "num_proc": None, "skip_op_error": False}
    cls = OPERATORS.modules[operator.name]
    if operator.name in _own_operators():
        supplied["captions_path"] = str(captions)
    if reads_markers(cls):
        supplied["text_key"] = "marked_text"
    return {**supplied, **operator.arguments}


def reads_markers(operator: type) -> bool:
    """Whether an operator looks for Data-Juicer's markers in the text: its module imports their names."""
    names = vars(sys.modules[operator.__module__])
    return "SpecialTokens" in names or "remove_special_tokens" in names


def _show_progress_bars(show: bool) -> None:
    if show:
        datasets.enable_progress_bars()
    else:
        datasets.disable_progress_bars()


def _to_operator_rows(records: Sequence[Record], image_root: str | Path) -> list[Row]:
    """Rows as operators see them, with absolute image paths that they can open."""
    root = Path(image_root).absolute()
    return [
        {
            "id": record.id,
            "image": record.image,
            "text": record.caption,
            "marked_text": dj_text(record.caption),
            "images": [str(root / record.image)],
            "raw_text": record.caption,
            "caption_source": RAW,
        }
        for record in records
    ]


def _to_corpus_row(row: Row) -> Row:
    pair = Record(row["id"], row["image"], row["text"])
    return {**pair.to_row(), "raw_text": row["raw_text"], "caption_source": row["caption_source"]}


def _run_operator(operator: Operator, op: Any, rows: list[Row], workers: int) -> tuple[list[Row], Step]:
    """Run one operator; return the rows behind it, in their order, and what it did."""
    processes = min(workers, len(rows))
    op.num_proc = processes if processes > 1 else None
    dataset = NestedDataset.from_list(rows)
    try:
        if isinstance(op, Filter):
            # The two halves of Filter.run, apart: rows that vanish without a verdict differ from dropped ones, and
            # the statistics of a dropped row are the reason.
            scored = op.run(dataset, reduce=False)
            check_rows(operator.label, rows, scored.to_list(), may_drop=False)
            result = scored.filter(op.process, num_proc=op.num_proc, batch_size=op.batch_size)
        else:
            scored = result = op.run(dataset)
    except OPERATOR_ERRORS as error:
        raise UserError(f"operator {operator.label} failed on {len(rows)} rows: {_one_line(error)}") from error
    returned = result.to_list()
    check_rows(operator.label, rows, returned, may_drop=not isinstance(op, Mapper))
    remaining = {row["id"]: _columns_in_step(row, op.text_key) for row in returned}
    after = [remaining[row["id"]] for row in rows if row["id"] in remaining]
    return after, account(operator.label, operator.name, _with_statistics(op, rows, scored), after)


def _columns_in_step(row: Row, text_key: str) -> Row:
    """A row's own columns, the text that the operator does not write derived from the one that it does.

    Statistics are not carried on: Data-Juicer would reuse those of a caption that has been replaced since.
    """
    text = caption_of(row["marked_text"]) if text_key == "marked_text" else row["text"]
    return {**{column: row[column] for column in COLUMNS}, "text": text, "marked_text": dj_text(text)}


def _with_statistics(op: Any, rows: list[Row], scored: Any) -> list[Row]:
    """The rows that an operator was given, with the statistics that it judged them by."""
    if not isinstance(op, Filter) or op._name in NON_STATS_FILTERS.modules:
        return rows
    statistics = dict(zip(scored["id"], scored[Fields.stats], strict=True))
    return [{**row, "stats": statistics[row["id"]]} for row in rows]


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}"
