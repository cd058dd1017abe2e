"""Tables of Arrow: Parquet files, and datasets that Hugging Face's `save_to_disk` wrote. Read a batch at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from recap.data.formats.files import read_shards, refuse_repeated
from recap.data.formats.rows import RawRow
from recap.runtime.errors import UserError, one_line
from recap.runtime.faults import Fault

# Pictures stand in the rows, so a batch is small.
ROWS_AT_A_TIME = 64


def is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def read_parquet(path: Path) -> Iterator[RawRow | Fault]:
    """The rows of a file, or of all files of a folder.

    Raises:
        UserError: The only file is no whole Parquet file.
    """
    return read_shards(path, is_parquet, _read_file)


def _read_file(name: str, file: Path) -> Iterator[RawRow]:
    try:
        with pyarrow.parquet.ParquetFile(file) as table:
            refuse_repeated(file, table.schema_arrow.names)
            yield from _rows(table.iter_batches(batch_size=ROWS_AT_A_TIME), name)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{file}: expected a Parquet file, found: {one_line(error, 300)}") from None


def read_saved_dataset(path: Path) -> Iterator[RawRow]:
    """The rows of a dataset, or of the split `train` of several. Images are not decoded.

    Raises:
        UserError: The folder holds no such dataset, or splits none of which is called train.
    """
    from datasets import DatasetDict, load_from_disk  # seconds to import

    try:
        dataset = load_from_disk(str(path))
    except Exception as error:  # whatever its parsers of descriptions meet
        raise UserError(f"{path}: expected a saved dataset, found: {one_line(error, 300)}") from None
    if isinstance(dataset, DatasetDict):
        split = "train" if "train" in dataset else next(iter(dataset), "") if len(dataset) == 1 else None
        if not split:
            raise UserError(
                f"{path}: expected a split 'train', found {', '.join(dataset) or 'none'}; save the one to use"
            )
        dataset = dataset[split]
    batches = dataset.with_format("arrow").iter(batch_size=ROWS_AT_A_TIME)
    try:
        yield from _rows(batches, path.name)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{path}: expected a saved dataset, found: {one_line(error, 300)}") from None


def _rows(batches: Iterator[Any], name: str) -> Iterator[RawRow]:
    number = 0
    for batch in batches:
        # Arrow follows offsets without looking: those of a damaged file lead out of memory.
        batch.validate(full=True)
        for values in batch.to_pylist():
            number += 1
            # A table has every column in every row: one without a value says nothing.
            yield RawRow(f"{name}:row {number}", {key: value for key, value in values.items() if value is not None})
