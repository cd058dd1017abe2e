"""Run a recipe on a corpus through Data-Juicer, one operator at a time, and account for every row.

In: corpus records, the folder of their images, raw and BLIP-2 captions with their scores, a recipe. Out: the rows that
remain, in the order that the operators left them (the corpus's, unless one of them sorts or draws), for every operator
which rows it dropped, changed or added, and why, and what operators computed of the rows that remain.

Operators see the bare caption, so that lengths, words and repetition are the caption's: py-data-juicer 1.6.1 counts its
own markers as text (`words_num_filter` finds two words and `text_length_filter` 28 characters too many in
"<__dj__image> a cat <|__dj__eoc|>"). The few that look for markers are given a column that has them, while they run.
A recipe without Recap's own operators leaves the rows that Data-Juicer's `NestedDataset.process` leaves.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pyarrow

from recap.data.corpus.index import INDEX
from recap.data.corpus.records import Record, caption_of, dj_text
from recap.data.processing import batches
from recap.data.processing.accounting import Row, Rows, Step, account, check_rows, derived_ids
from recap.data.processing.building import CAPTIONER, OPERATOR_ERRORS, Supplied, build_operators, names_of, told
from recap.data.processing.captions import RAW, alignment_of, read_alignments, read_captions
from recap.data.processing.columns import as_dataset, as_table, columns_of_statistics, statistics_of, with_column
from recap.data.processing.decisions import Decision, decide
from recap.data.processing.juicer import Fields, Filter, Mapper, sampling, start_workers_by
from recap.data.processing.ops.corpus_mapper import SOURCE
from recap.data.processing.pictures import reads_pictures, with_measures
from recap.data.processing.recipe import Operator, Recipe
from recap.data.processing.rows import MARKED_TEXT, ROW, KnownCaptions, computed_columns, corpus_rows, to_dataset
from recap.runtime.errors import UserError
from recap.runtime.seeding import derive_seed

logger = logging.getLogger(__name__)

PROGRESS_BAR_ROWS = 20_000
"""From so many rows on, an operator may take long enough to show Data-Juicer's progress bars."""


@dataclass(frozen=True)
class Processed:
    """The result of a recipe.

    Attributes:
        rows: Corpus rows with where their captions come from, scores and the user's fields; see `corpus_rows`.
        steps: The funnel that led to them.
        computed: Of each row its `id`, every statistic by its name in Data-Juicer, and other columns of operators.
    """

    rows: list[Row]
    steps: list[Step]
    computed: pyarrow.Table


def run_recipe(
    recipe: Recipe, records: Sequence[Record], *,
    image_root: str | Path, captions: str | Path, raw_captions: str | Path | None = None, workers: int = 1,
    seed: int = 42,
) -> Processed:  # fmt: skip
    """Run a recipe.

    Args:
        recipe: Its operators run in order.
        records: The corpus; ids must be unique.
        image_root: The folder of the corpus's shards and index.
        captions: BLIP-2 captions, JSON Lines of `{"image", "caption", "alignment"}`.
        raw_captions: Those of the corpus in the same form, for their scores; None: raw captions have none.
        workers: Processes per operator; the result does not depend on it.
        seed: Of operators that draw.

    Raises:
        UserError: The corpus is empty or repeats an id, an operator is unknown or fails, a row is unaccounted for,
            or no row remains.
    """
    index = Path(image_root) / INDEX
    supplied = Supplied(
        captions_path=str(captions), raw_captions_path=str(raw_captions or ""),
        index_path=str(index) if index.is_file() else "", seed=seed,
    )  # fmt: skip
    built = build_operators(recipe, supplied)
    if not records:
        raise UserError("expected a corpus with rows, found none; rerun prepare")
    repeated = len(records) - len({record.id for record in records})
    if repeated:
        raise UserError(f"expected a corpus of rows with different ids, found {repeated} repeated; rerun prepare")
    _show_progress_bars(len(records) >= PROGRESS_BAR_ROWS)
    sampling.seed = seed
    known = KnownCaptions(read_captions(supplied.captions_path), read_alignments(*supplied.score_paths))
    run = _Run(records, Path(image_root), workers, seed, known)
    for operator, op in zip(recipe.operators, built, strict=True):
        step = run.apply(operator, op)
        logger.info(
            "%s: %d rows in, %d dropped, %d changed, %d added",
            step.label,
            step.rows_in,
            len(step.dropped),
            len(step.changed),
            len(step.added),
        )
        if not step.rows_out:
            funnel = ", ".join(f"{step.label} dropped {len(step.dropped)}" for step in run.steps)
            raise UserError(f"recipe {recipe.name} keeps none of {len(records)} rows: {funnel}; relax its rules")
    return run.result()


def _show_progress_bars(show: bool) -> None:
    if show:
        datasets.enable_progress_bars()
    else:
        datasets.disable_progress_bars()


class _Run:
    """The rows between two operators, and what is known of where they come from."""

    def __init__(self, records: Sequence[Record], root: Path, workers: int, seed: int, captions: KnownCaptions) -> None:
        self.root, self.workers, self.seed, self.captions = root, workers, seed, captions
        self.table = self.given = as_table(to_dataset(records))
        self.records = records
        self.sources = {record.id: number for number, record in enumerate(records)}
        self.statistics_by: dict[str, list[str]] = {}
        self.steps: list[Step] = []

    def result(self) -> Processed:
        numbers = [self.sources[row_id] for row_id in self.table["id"].to_pylist()]
        given = self.given.take(pyarrow.array(numbers, pyarrow.int64()))
        rows = corpus_rows(self.table, [self.records[number] for number in numbers], given, self.captions)
        return Processed(rows, self.steps, computed_columns(self.table, given.column_names))

    def apply(self, operator: Operator, op: Any) -> Step:
        """Run one operator on the rows."""
        seed = derive_seed(self.seed, operator.label)
        pictures = self.root if reads_pictures(type(op), operator.name) else None
        batches.prepare(op, seed, pictures)
        batches.seed_libraries(seed)
        before, table = _rows(self.table), with_measures(self.table, operator.name, self.root)
        if op.text_key == MARKED_TEXT:
            table = with_column(table, MARKED_TEXT, pyarrow.array([dj_text(text) for text in before.texts]))
        start_workers_by(op)
        try:
            scored, result = self._process(operator, op, table, before)
        except OPERATOR_ERRORS as error:
            raise UserError(f"operator {operator.label} failed on {len(table)} rows: {told(error)}") from error
        after_table = as_table(result)
        if missing := sorted(set(self.given.column_names) - set(after_table.column_names)):
            raise UserError(f"operator {operator.label} removed the field(s) {', '.join(missing)}")
        if op.text_key == MARKED_TEXT:
            texts = pyarrow.array([caption_of(text) for text in after_table[MARKED_TEXT].to_pylist()])
            after_table = with_column(after_table, "text", texts).drop_columns(MARKED_TEXT)
        after = _rows(after_table)
        check_rows(
            operator.label, before, after,
            may_drop=not isinstance(op, Mapper), may_multiply=not isinstance(op, Filter),
        )  # fmt: skip
        new_ids = derived_ids(after.ids, self.sources)
        decision = self._decision(operator, op, before, after, scored)
        step = account(
            operator.label, operator.name, before, after, new_ids,
            decision=decision, image_of=lambda row_id: self.records[self.sources[row_id]].image,
        )  # fmt: skip
        self.sources |= {new: self.sources[old] for old, new in zip(after.ids, new_ids, strict=True) if old != new}
        self.table = with_column(after_table, "id", pyarrow.array(new_ids, pyarrow.string()))
        if CAPTIONER in names_of(type(op)):
            self.table = _with_source(self.table, operator.name, {row["id"] for row in [*step.changed, *step.added]})
        self.steps.append(step)
        return step

    def _process(self, operator: Operator, op: Any, table: pyarrow.Table, before: Rows) -> tuple[Any, Any]:
        """Of a filter the rows with the statistics that it judges by, and of all the rows that are left."""
        rows, dataset = len(table), as_dataset(table)
        if isinstance(op, Mapper) and op.is_batched_op():
            # Batches of one size whatever the workers, so that chance in them is the same: the workers share what
            # makes whole batches for each, the rest follows.
            shared = rows - rows % (op.batch_size * self.workers) if self.workers > 1 else 0
            parts = [(range(shared), self.workers), (range(shared, rows), 1)]
            mapped = [
                _with_processes(op, processes).run(dataset.select(part)) for part, processes in parts if len(part)
            ]
            return None, datasets.concatenate_datasets(mapped)
        _with_processes(op, min(self.workers, rows))
        if not isinstance(op, Filter):
            return None, op.run(dataset)
        # The two halves of Filter.run, apart: rows that vanish without a verdict differ from dropped ones, and the
        # statistics of a dropped row are the reason.
        scored = op.run(dataset, reduce=False)
        check_rows(operator.label, before, _rows(as_table(scored, ROW)), may_drop=False, may_multiply=False)
        return scored, scored.filter(op.process, num_proc=op.num_proc, batch_size=op.batch_size)

    def _decision(self, operator: Operator, op: Any, before: Rows, after: Rows, scored: Any) -> Decision:
        """What a filter computed and decided by, now or when it ran first; or the score that an operator looked up."""
        if name := getattr(op, "decides_by", None):
            scores = ({name: self._alignments(rows)} for rows in (before, after))
            return decide(operator.name, before.ids, after.ids, *scores)
        if scored is None or Fields.stats not in scored.column_names:
            return decide(operator.name, before.ids, after.ids, {})
        known = statistics_of(self.table.slice(0, 1))[0]
        earlier = self.statistics_by.get(operator.name, [])
        judged = columns_of_statistics(
            as_table(scored, [Fields.stats]), lambda name: name not in known or name in earlier
        )
        self.statistics_by[operator.name] = list(judged)
        return decide(operator.name, before.ids, after.ids, judged)

    def _alignments(self, rows: Rows) -> list[float | None]:
        images = (self.records[self.sources[row_id]].image for row_id in rows.ids)
        return [
            alignment_of(image, text, self.captions.alignments) for image, text in zip(images, rows.texts, strict=True)
        ]


def _with_source(table: pyarrow.Table, source: str, new: set[str]) -> pyarrow.Table:
    """Say of some rows, by their ids, where their captions come from."""
    old = table[SOURCE].to_pylist() if SOURCE in table.column_names else [RAW] * len(table)
    said = [source if row_id in new else was for row_id, was in zip(table["id"].to_pylist(), old, strict=True)]
    return with_column(table, SOURCE, pyarrow.array(said, pyarrow.string()))


def _rows(table: pyarrow.Table) -> Rows:
    return Rows(table["id"].to_pylist(), table["text"].to_pylist(), table["images"])


def _with_processes(op: Any, processes: int) -> Any:
    op.num_proc = processes if processes > 1 else None
    return op
