"""A sample of pairs that no stage has prepared, in any format that `prepare` reads, judged as `prepare` does."""

import os
import random
from pathlib import Path
from typing import Any

import pandas

from recap.data.corpus.index import INDEX, digest_of
from recap.data.corpus.references import Links
from recap.data.explore.table import COLUMNS, read_index
from recap.data.formats.samples import repeated_id
from recap.data.formats.source import open_source
from recap.data.sources.examination import Files, Picture, examined
from recap.runtime.errors import UserError
from recap.runtime.faults import Fault, first_of
from recap.runtime.seeding import derive_seed


def read_sample(
    path: Path, images: Path | None, *, rows: int, seed: int, links: Links = "inside", workers: int | None = None
) -> tuple[pandas.DataFrame, list[dict[str, Any]]]:
    """Read some rows of a source. It is gone through twice: to count, and to read what was drawn.

    Args:
        path: A file or folder of pairs, or the index of a corpus.
        images: What the paths of images are relative to: the folder, or the file's folder, if not given.
        rows: How many to look at, drawn at random; all where there are no more.
        seed: Of the draw.
        links: Where symbolic links may lead, see `recap.data.corpus.references.resolve`.
        workers: Processes that decode pictures; one per CPU if None.

    Returns:
        The table of the rows that can be used, in the source's order, and the others as `prepare` lists them; an id
        that comes twice is found where both of its rows were drawn.

    Raises:
        UserError: Nothing is there, nothing here reads it, or no row of it can be used.
    """
    draw = random.Random(derive_seed(seed, "explore", "sample"))
    if path.name == INDEX:
        table = read_index(path)
        return table.iloc[sorted(draw.sample(range(len(table)), min(rows, len(table))))].reset_index(drop=True), []
    source = open_source(path, root=images)
    count = source.count()
    chosen = set(draw.sample(range(count), min(rows, count)))
    drawn = (row for number, row in enumerate(source) if number in chosen)
    found: list[dict[str, Any]] = []
    faults: list[Fault] = []
    ids: set[str] = set()
    known: dict[str, dict[str, Any] | Fault] = {}  # by picture's name its facts, or what is wrong with it
    for row, new in examined(drawn, Files(source.root, links), known, workers or len(os.sched_getaffinity(0))):
        if isinstance(row, Fault):
            faults.append(row)
            continue
        if new is not None:
            known[row.image] = _facts(new.picture) if isinstance(new.picture, Picture) else new.picture
        facts = known[row.image]
        if isinstance(facts, Fault):
            faults.append(facts.at(row.where, row.id))
        elif row.id in ids:
            faults.append(repeated_id(row))
        else:
            ids.add(row.id)
            found.append({"id": row.id, "image": row.image, "caption": row.caption, **facts})
    if not found:
        raise UserError(
            f"{path}: expected image-caption pairs, found {count} rows and none that can be used{first_of(faults)}"
        )
    return pandas.DataFrame(found, columns=list(COLUMNS)), [fault.to_row() for fault in faults]


def _facts(picture: Picture) -> dict[str, Any]:
    return {**picture.facts, "digest": digest_of(picture.content)}
