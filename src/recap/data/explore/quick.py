"""A sample of pairs that no stage has prepared, in any format that `prepare` reads; what is no pair is counted."""

import random
from pathlib import Path
from typing import Any

import pandas

from recap.data.corpus.images import BadImage, locate
from recap.data.explore.pictures import UNREADABLE, facts_of
from recap.data.explore.table import INDEX, read_index
from recap.data.formats.source import open_source
from recap.runtime.errors import UserError
from recap.runtime.faults import Fault
from recap.runtime.seeding import derive_seed


def read_sample(
    path: Path, images: Path | None, *, rows: int, seed: int
) -> tuple[pandas.DataFrame, list[dict[str, Any]]]:
    """Read some rows of a source. It is gone through twice: to count, and to read what was drawn.

    Args:
        path: A file or folder of pairs, or the index of a corpus.
        images: What the paths of images are relative to: the folder, or the file's folder, if not given.
        rows: How many to look at, drawn at random; all where there are no more.
        seed: Of the draw.

    Returns:
        The table of the rows that can be used, in the source's order, and the others with their `reason`.

    Raises:
        UserError: Nothing is there, nothing here reads it, or no row of it can be used.
    """
    draw = random.Random(derive_seed(seed, "explore", "sample"))
    if path.name == INDEX:
        table = read_index(path)
        return table.iloc[sorted(draw.sample(range(len(table)), min(rows, len(table))))].reset_index(drop=True), []
    source = open_source(path, root=images)
    count = sum(1 for _ in source)
    chosen = set(draw.sample(range(count), min(rows, count)))
    found: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    for number, row in enumerate(source):
        if number not in chosen:
            continue
        if isinstance(row, Fault):
            rejected.append(row.to_row())
        else:
            facts = _facts(source.root, row.image, row.content)
            found.append({"id": row.id, "image": row.image, "caption": row.caption, **facts})
    if not found:
        raise UserError(f"{path}: expected image-caption pairs, found {count} rows and none that can be used")
    return pandas.DataFrame(found), rejected


def _facts(root: Path, name: str, content: bytes | None) -> dict[str, Any]:
    try:
        return {**facts_of(locate(root, name).read_bytes() if content is None else content, name), "broken": ""}
    except BadImage as error:
        return {**UNREADABLE, "broken": str(error)}
