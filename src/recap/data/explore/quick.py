"""A sample of a file of pairs that no stage has prepared: what cannot be read is counted, as `prepare` would."""

import json
import random
from pathlib import Path
from typing import Any

import pandas

from recap.data.corpus.records import Record, caption_of
from recap.data.explore.table import INDEXED, read_index, table_of
from recap.runtime.errors import UserError
from recap.runtime.seeding import derive_seed


def read_sample(file: Path, images: Path, *, rows: int, seed: int) -> tuple[pandas.DataFrame, list[dict[str, Any]]]:
    """Read some rows of a file.

    Args:
        file: Data-Juicer JSON Lines, or a corpus's index.
        images: The folder that image paths start from.
        rows: How many lines to look at, drawn at random; all where there are no more.
        seed: Of the draw.

    Returns:
        The table of the rows that can be used, in the file's order, and the others with their `reason`.

    Raises:
        UserError: The file is missing, or holds neither.
    """
    if not file.is_file():
        raise UserError(f"{file}: expected a file of image-caption pairs, found none")
    draw = random.Random(derive_seed(seed, "explore", "sample"))
    if file.suffix == INDEXED:
        table = read_index(file)
        return table.iloc[sorted(draw.sample(range(len(table)), min(rows, len(table))))].reset_index(drop=True), []
    with file.open("rb") as stream:
        count = sum(1 for line in stream if line.strip())
    chosen = set(draw.sample(range(count), min(rows, count)))
    with file.open("rb") as stream:
        lines = (line for line in stream if line.strip())
        found = [_read(line, f"{file.name}:{number + 1}") for number, line in enumerate(lines) if number in chosen]
    records = [row for row in found if isinstance(row, Record)]
    if not records:
        raise UserError(f"{file}: expected JSON Lines with text and images, found {count} rows and none like that")
    return table_of(records, images), [{"reason": row} for row in found if isinstance(row, str)]


def _read(line: bytes, where: str) -> Record | str:
    """A pair, or the reason why a line is none."""
    try:
        row = json.loads(line)
    except ValueError:
        return "broken_json"
    if not isinstance(row, dict):
        return "not_an_object"
    text = row.get("text", row.get("caption"))
    images = row.get("images") or row.get("image")
    image = images[0] if isinstance(images, list) and images else images
    if not isinstance(text, str):
        return "missing_text"
    if not isinstance(image, str):
        return "no_image"
    caption = caption_of(text)
    return Record(str(row.get("id", where)), image, caption) if caption else "empty_caption"
