"""Write pairs as one Parquet file whose column `image` Hugging Face's datasets shows as pictures."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from recap.data.corpus.records import Record
from recap.data.export.pairs import Pair

# A row group is what readers hold at a time.
GROUP_BYTES = 64 * 10**6
GROUP_ROWS = 1000
_IMAGE = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
_OWN = {"id": pyarrow.string(), "caption": pyarrow.string(), "image": _IMAGE}


def write_parquet(pairs: Iterable[Pair], records: Iterable[Record], folder: Path) -> int:
    """`train.parquet`: id, caption, image (`{"bytes", "path"}`), and a column per further field.

    Args:
        pairs: What to write.
        records: The same rows without pictures: they are read beforehand, as a column needs one type.
        folder: Gets the file.

    Returns:
        The number of pairs.
    """
    types = column_types(dict(record.fields) for record in records)
    schema = _shown_as_pictures(
        pyarrow.schema(list((_OWN | {k: v for k, v in types.items() if k not in _OWN}).items()))
    )
    count = 0
    with parquet.ParquetWriter(folder / "train.parquet", schema, compression="zstd") as writer:
        for group in _groups(pairs):
            writer.write_table(pyarrow.Table.from_pylist([_row(pair, types) for pair in group], schema))
            count += len(group)
    return count


def column_types(rows: Iterable[dict[str, Any]]) -> dict[str, pyarrow.DataType]:
    """Field -> a type that holds all its values; text, for JSON, where there is none, and for objects.

    An object's keys may differ from row to row, which Arrow's structs do not say.
    """
    types: dict[str, pyarrow.DataType] = {}
    rows = iter(rows)
    while chunk := list(islice(rows, 10_000)):
        for name in dict.fromkeys(name for row in chunk for name in row):
            types[name] = _common(types.get(name, pyarrow.null()), [row.get(name) for row in chunk])
    return types


def _common(known: pyarrow.DataType, values: list[Any]) -> pyarrow.DataType:
    try:
        found = pyarrow.array(values).type
        if pyarrow.types.is_nested(found) and "struct" in str(found):
            return pyarrow.string()
        both = [pyarrow.schema([("field", kind)]) for kind in (known, found)]
        return pyarrow.unify_schemas(both, promote_options="permissive").field("field").type
    except (pyarrow.ArrowException, OverflowError):
        return pyarrow.string()


def _row(pair: Pair, types: dict[str, pyarrow.DataType]) -> dict[str, Any]:
    as_text = {name for name, kind in types.items() if pyarrow.types.is_string(kind)}
    fields = {
        name: json.dumps(value, ensure_ascii=False)
        if name in as_text and value is not None and not isinstance(value, str)
        else value
        for name, value in pair.fields.items()
    }
    image = {"bytes": pair.content, "path": pair.image}
    return {**fields, "id": pair.id, "caption": pair.caption, "image": image}


def _groups(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    group: list[Pair] = []
    size = 0
    for pair in pairs:
        group.append(pair)
        size += len(pair.content)
        if size >= GROUP_BYTES or len(group) >= GROUP_ROWS:
            yield group
            group, size = [], 0
    if group:
        yield group


def _shown_as_pictures(schema: pyarrow.Schema) -> pyarrow.Schema:
    """The schema with the note by which datasets knows images."""
    from datasets import Features, Image  # seconds to import

    features = Features.from_arrow_schema(schema)
    features["image"] = Image()
    return schema.with_metadata(features.arrow_schema.metadata)
