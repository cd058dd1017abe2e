"""Everything one run left behind, read into memory for the pages.

In: the folders that the stages wrote. Out: `Artifacts`, and with checked parameters a `Run`. What an optional stage
did not write (no blank pass, no captions used, a benchmark left out) is empty here, and the page says so. Rows of the
corpus stay in their files: there may be more of them than fit into memory.
"""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recap.data.benchmarks.registry import BENCHMARKS
from recap.io import read_json, read_jsonl
from recap.params import Params, load_all
from recap.reporting.pictures import thumbnail

TRAINING_STAGES = ("pretrain", "finetune")
CURVES = ("loss", "val_loss", "grad_norm")
# The order of the pipeline, for the table of durations; `answer` and `score` have one entry a benchmark.
STAGES = (
    "prepare", "align@raw", "explore", "check", "caption", "align@blip2", "process", "quality", "pretrain", "finetune",
    "merge", "answer", "score",
)  # fmt: skip
# Stages that have details alone.
MEASURES_NOTHING = ("check", "align_raw", "align_blip2")

Series = list[tuple[int, float]]
Row = dict[str, Any]


@dataclass(frozen=True)
class StoredRows:
    """The rows of a JSON Lines file, read anew whenever they are gone through; none where there is no file."""

    path: Path

    def __iter__(self) -> Iterator[Row]:
        return read_jsonl(self.path) if self.path.exists() else iter(())

    def __bool__(self) -> bool:
        return next(iter(self), None) is not None


@dataclass(frozen=True)
class DroppedRows:
    """Trace rows of the rows that an operator dropped, each with its `operator`, in the order of the recipe."""

    trace: Path

    def __iter__(self) -> Iterator[Row]:
        # The files are called NN_<operator>.jsonl.
        for path in sorted(self.trace.glob("[0-9][0-9]_*.jsonl")):
            operator = path.stem.split("_", 1)[1]
            yield from ({**row, "operator": operator} for row in read_jsonl(path) if row["after"] is None)


@dataclass(frozen=True)
class Bin:
    """Captions whose alignment is `low` or more, and less than the next bin's: percent of those with a score."""

    low: float
    before: float
    after: float


@dataclass(frozen=True)
class RunFiles:
    """Where a run's artifacts lie; every path is a flag of the stage."""

    metrics: Path
    details: Path
    plots: Path
    corpus: Path
    raw_captions: Path
    captions: Path
    processed: Path
    scores: Path
    benchmarks: Path
    timings: Path
    params: Path

    def thumbnail(self, folder: Path, image: str) -> str | None:
        """A small copy of a picture, as a data URI: see `recap.reporting.pictures.thumbnail`."""
        return thumbnail(folder, image)


@dataclass(frozen=True)
class Artifacts:
    """What the stages of one run wrote.

    Attributes:
        files: For pictures, which are read when they are shown.
        metrics: All metrics files merged, with the details of each: {"textvqa": {...}, "process": {...}, ...}.
        curves: {"pretrain": {"loss": [(step, value), ...], "grad_norm": ...}, "finetune": ...}.
        alignment: Captions by how well they fit their pictures, before and after processing; empty where no
            caption was scored.
        raw_captions: Of every row of the corpus: id, image, caption, alignment.
        captions: Of every image that BLIP-2 captioned: image, caption, alignment, candidates.
        processed: Rows of the processed corpus, with `raw_text` and `caption_source`.
        dropped: Trace rows of the rows that an operator dropped: id, image, operator, reason, before.
        scores: Score rows by benchmark.
        timings: What each stage recorded of its duration and hardware, in the pipeline's order.
    """

    files: RunFiles
    metrics: dict[str, Any]
    curves: dict[str, dict[str, Series]]
    alignment: list[Bin]
    raw_captions: Iterable[Row]
    captions: Iterable[Row]
    processed: Iterable[Row]
    dropped: Iterable[Row]
    scores: dict[str, list[Row]]
    timings: list[Row]


@dataclass(frozen=True)
class Run(Artifacts):
    """One finished run: what it left behind, and its checked parameters."""

    params: Params

    @property
    def benchmarks(self) -> list[str]:
        """What the run was asked and scored on, in the order in which results are shown.

        Files of a benchmark that is no longer among the parameters stay where they are; they are no part of this run.
        """
        return [name for name in BENCHMARKS if name in self.params.benchmarks and name in self.metrics]


def load_run(files: RunFiles) -> Run:
    """Read a run.

    Raises:
        UserError: A file exists but is not what its stage writes, or the parameters are wrong.
    """
    params, artifacts = load_all(files.params), vars(load_artifacts(files))
    # A folder may hold what an earlier choice of benchmarks left there.
    timings = [timing for timing in artifacts.pop("timings") if _of_this_run(timing["stage"], params.benchmarks)]
    return Run(params=params, timings=timings, **artifacts)


def load_artifacts(files: RunFiles) -> Artifacts:
    """Read what the stages wrote, whatever the parameters are: an older run's may not fit today's schema.

    Raises:
        UserError: A file exists but is not what its stage writes.
    """
    score_files = {name: files.scores / f"{name}.jsonl" for name in BENCHMARKS}
    return Artifacts(
        files=files,
        metrics=_read_results(files.metrics, files.details),
        curves={stage: _read_curves(files.plots / stage) for stage in TRAINING_STAGES},
        alignment=_read_alignment(files.plots / "quality/alignment.csv"),
        raw_captions=StoredRows(files.raw_captions),
        captions=StoredRows(files.captions),
        processed=StoredRows(files.processed / "train.jsonl"),
        dropped=DroppedRows(files.processed / "trace"),
        scores={name: list(read_jsonl(path)) for name, path in score_files.items() if path.exists()},
        timings=sorted((read_json(path) for path in files.timings.glob("*.json")), key=_stage_order),
    )


def _read_results(metrics: Path, details: Path) -> dict[str, Any]:
    """What `recap.io.write_results` parted, put together again; other details without metrics are left out."""
    found, more = (
        {subject: values for path in sorted(folder.glob("*.json")) for subject, values in read_json(path).items()}
        for folder in (metrics, details)
    )
    subjects = [*found, *(subject for subject in MEASURES_NOTHING if subject in more)]
    return {subject: _merged(found.get(subject, {}), more.get(subject, {})) for subject in subjects}


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = one.keys() & other.keys()
    return one | other | {key: _merged(one[key], other[key]) for key in both if isinstance(one[key], dict)}


def _read_curves(folder: Path) -> dict[str, Series]:
    return {name: _read_curve(folder / f"{name}.tsv", name) for name in CURVES if (folder / f"{name}.tsv").exists()}


def _read_curve(path: Path, name: str) -> Series:
    """A curve as DVCLive writes it: columns `step` and `name`; values that are not finite are left out."""
    with path.open(encoding="utf-8", newline="") as stream:
        points = [(int(row["step"]), float(row[name])) for row in csv.DictReader(stream, delimiter="\t")]
    return [(step, value) for step, value in points if math.isfinite(value)]


def _read_alignment(path: Path) -> list[Bin]:
    """The columns `cosine`, `before` and `after`; a file that says that there is no aligner has no bin of percents."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    shares = [(row["cosine"], float(row["before"]), float(row["after"])) for row in rows]
    return [Bin(float(low), before, after) for low, before, after in shares] if any(map(_is_counted, shares)) else []


def _is_counted(share: tuple[str, float, float]) -> bool:
    return share[1] > 0 or share[2] > 0


def _of_this_run(stage: str, benchmarks: Mapping[str, str]) -> bool:
    verb, _, benchmark = stage.partition("@")
    return stage in STAGES or (verb in STAGES and benchmark in benchmarks)


def _stage_order(timing: Row) -> tuple[int, int, str]:
    stage = str(timing["stage"])
    verb, _, benchmark = stage.partition("@")
    known = next((STAGES.index(name) for name in (stage, verb) if name in STAGES), len(STAGES))
    return known, list(BENCHMARKS).index(benchmark) if benchmark in BENCHMARKS else -1, stage
