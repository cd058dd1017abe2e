"""Write a corpus of Recap's in another format, whole or not at all."""

from pathlib import Path

from recap.data.export.pairs import read_pairs, read_records
from recap.data.export.parquet import write_parquet
from recap.data.export.writers import write_data_juicer, write_llava, write_webdataset
from recap.io import atomic_path
from recap.runtime.errors import UserError


def export(rows: Path, images: Path, output: Path, to: str) -> int:
    """Write rows and their pictures into a new folder.

    Args:
        rows: `data/processed/train.jsonl` or `data/corpus/index.parquet`.
        images: The corpus's folder, with shards or with pictures as files.
        output: The folder; it must not hold anything yet.
        to: llava, webdataset, parquet or data-juicer.

    Returns:
        The number of pairs.

    Raises:
        UserError: The output is taken, rows or pictures are missing, or no format is called so.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"{output}: expected a new folder to write to, found one that holds something; name another")
    with atomic_path(output) as draft:
        draft.mkdir()
        pairs = read_pairs(rows, images)
        match to:
            case "llava":
                return write_llava(pairs, draft)
            case "webdataset":
                return write_webdataset(pairs, draft)
            case "parquet":
                return write_parquet(pairs, read_records(rows), draft)
            case "data-juicer":
                return write_data_juicer(pairs, draft)
    raise UserError(f"expected llava, webdataset, parquet or data-juicer, found {to!r}")
