"""Pictures of a corpus for Data-Juicer's operators: as files while an operator reads them, their sizes without reading.

Rows name pictures. Operators that read them find temporary files in the place of the names, a batch at a time; filters
that only measure find what the corpus's index says.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow
from pyarrow import compute

from recap.data.corpus.images import BadImage, stored_image
from recap.data.corpus.index import INDEX, index_of, index_table
from recap.data.processing.columns import json_column, statistics_of, with_column
from recap.data.processing.juicer import Deduplicator, Fields, Filter, Mapper, Selector, StatsKeys
from recap.data.processing.operators import OWN
from recap.runtime.errors import UserError

MEASURED = {
    "image_shape_filter": (StatsKeys.image_width, StatsKeys.image_height),
    "image_aspect_ratio_filter": (StatsKeys.aspect_ratios,),
    "image_size_filter": (StatsKeys.image_sizes,),
}
"""Filters whose statistics the index holds: upright pixels, as Data-Juicer opens pictures, and bytes."""


def reads_pictures(operator: type, name: str) -> bool:
    """Whether an operator opens pictures: its code names `image_key`, and neither the index nor a name serves it.

    So does Data-Juicer's own catalogue of operators find out (data_juicer/tools/op_search.py, analyze_modality_tag).
    """
    if name in MEASURED or name in OWN:
        return False
    bases = {base for kind in (Filter, Mapper, Deduplicator, Selector) for base in kind.__mro__}
    return any("image_key" in inspect.getsource(cls) for cls in operator.__mro__ if cls not in bases)


@contextmanager
def picture_files(root: str | Path, names: Sequence[str]) -> Iterator[dict[str, str]]:
    """Give pictures of a corpus as files, which end with the block.

    Args:
        root: The folder of the corpus.
        names: Of pictures, as rows name them.

    Yields:
        Absolute paths by name, each with the name's own suffix.

    Raises:
        OSError: A picture is not there, or not what it was.
    """
    index = index_of(root)
    if index is None:
        raise FileNotFoundError(f"{Path(root) / INDEX}: expected a corpus's index, found nothing; run prepare")
    with TemporaryDirectory(prefix="recap-pictures-") as folder:
        paths = {}
        for number, name in enumerate(dict.fromkeys(names)):
            path = Path(folder) / f"{number}{Path(name).suffix}"
            try:
                path.write_bytes(stored_image(index, name))
            except BadImage as error:
                raise OSError(str(error)) from None
            paths[name] = str(path)
        yield paths


def with_measures(table: pyarrow.Table, operator: str, root: str | Path) -> pyarrow.Table:
    """Rows with the statistics that an operator would measure, taken from the index, which it then uses.

    Raises:
        UserError: There is no index, or it is damaged, or it lacks a picture.
    """
    wanted = MEASURED.get(operator, ())
    known = statistics_of(table.slice(0, 1))
    if not wanted or known[0].keys() >= set(wanted):
        return table
    index = index_table(Path(root) / INDEX, ["image", "width", "height", "length"])
    names = compute.list_flatten(table["images"])
    rows = compute.index_in(names, value_set=index["image"])
    if rows.null_count:
        unknown = names.filter(compute.is_null(rows))[0]
        raise UserError(
            f"{Path(root) / INDEX}: expected a row for every picture, found none of {unknown}; rerun prepare"
        )
    found = index.take(rows)
    sizes = zip(*(found[name].to_pylist() for name in ("width", "height", "length")), strict=True)
    # One row's dicts at a time: those of all would be the largest thing in memory.
    measured = (
        {
            StatsKeys.image_width: [width],
            StatsKeys.image_height: [height],
            StatsKeys.aspect_ratios: [width / height],
            StatsKeys.image_sizes: [length],
        }
        for width, height, length in sizes
    )
    statistics = (
        {**old, **{name: new[name] for name in wanted}} for old, new in zip(statistics_of(table), measured, strict=True)
    )
    return with_column(table, Fields.stats, json_column(statistics))
