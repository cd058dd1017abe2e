"""Pictures of the corpus that a benchmark asks about too: a model that trained on them has seen the exam."""

import base64
from pathlib import Path

import numpy
import pandas

from recap.data.benchmarks.questions import DATA_URI
from recap.data.benchmarks.registry import WITH_FILES
from recap.data.corpus.images import BadImage, locate
from recap.data.explore.duplicates import close_pairs, confirmed, is_plain, to_hashes
from recap.data.explore.pictures import facts_of

FACTS = ("digest", "phash", "width", "height", "brightness")
COLUMNS = ("image", "benchmark", "benchmark_image", "match")


def benchmark_pictures(folder: str | Path) -> pandas.DataFrame:
    """What is compared of every picture that a benchmark below `folder` asks about.

    A picture that cannot be read is left out: nobody can be asked about it.

    Returns:
        Columns `benchmark`, `benchmark_image` and `FACTS`.

    Raises:
        UserError: A benchmark's files are not in its official format.
    """
    rows = []
    for name, benchmark in WITH_FILES.items():
        root = Path(folder) / benchmark.folder
        if not root.is_dir():
            continue
        for image_id, image in {question.image_id: question.image for question in benchmark.load(root)}.items():
            label = image_id if image.startswith(DATA_URI) else image
            try:
                facts = facts_of(_read(root, image), label)
            except (BadImage, ValueError):
                continue
            rows.append({"benchmark": name, "benchmark_image": label} | {column: facts[column] for column in FACTS})
    return pandas.DataFrame(rows, columns=["benchmark", "benchmark_image", *FACTS])


def _read(root: Path, image: str) -> bytes:
    if image.startswith(DATA_URI):
        return base64.b64decode(image.removeprefix(DATA_URI))
    return locate(root, image).read_bytes()


def no_leaks() -> pandas.DataFrame:
    """What `find_leaks` returns where there is no benchmark."""
    return pandas.DataFrame(columns=list(COLUMNS))


def find_leaks(pictures: pandas.DataFrame, asked: pandas.DataFrame) -> pandas.DataFrame:
    """Which pictures of a corpus are a benchmark's.

    Args:
        pictures: The corpus's readable pictures (`recap.data.explore.table.distinct_pictures`).
        asked: Of `benchmark_pictures`.

    Returns:
        Columns `COLUMNS`, a row per picture and benchmark, in the corpus's order; `match` is "same file" or "looks the
        same" (`recap.data.explore.duplicates`).
    """
    same = pictures[["image", "digest"]].merge(asked, on="digest").assign(match="same file")
    found = pandas.concat([same, _alike(pictures, asked).assign(match="looks the same")])
    found = found.drop_duplicates(["image", "benchmark"])
    place = pandas.Series(range(len(pictures)), index=pictures["image"])
    found = found.assign(place=found["image"].map(place)).sort_values(["place", "benchmark"], kind="stable")
    return found[list(COLUMNS)].reset_index(drop=True)


def _alike(pictures: pandas.DataFrame, asked: pandas.DataFrame) -> pandas.DataFrame:
    """Pairs that look the same, plain surfaces aside."""
    if pictures.empty or asked.empty:
        return pandas.DataFrame(columns=["image", "benchmark", "benchmark_image"])
    mine, theirs = _with_hashes(pictures), _with_hashes(asked)
    different = numpy.unique(numpy.concatenate([mine["hash"], theirs["hash"]]))
    first, second = close_pairs(different)
    # Every hash looks like itself, and likeness goes both ways.
    links = pandas.DataFrame(
        {
            "hash": different[numpy.concatenate([numpy.arange(len(different)), first, second])],
            "theirs": different[numpy.concatenate([numpy.arange(len(different)), second, first])],
        }
    ).drop_duplicates()
    links = links[links["hash"].isin(mine["hash"]) & links["theirs"].isin(theirs["hash"])]
    pairs = mine.merge(links, on="hash").merge(
        theirs.rename(columns={"hash": "theirs"}), on="theirs", suffixes=("", "_theirs")
    )
    others = pairs[["width_theirs", "height_theirs", "brightness_theirs"]].set_axis(
        ["width", "height", "brightness"], axis=1
    )
    alike = (pairs["hash"] == pairs["theirs"]).to_numpy() | confirmed(pairs, others)
    return pairs.loc[alike, ["image", "benchmark", "benchmark_image"]]


def _with_hashes(pictures: pandas.DataFrame) -> pandas.DataFrame:
    hashes = to_hashes(pictures["phash"])
    return pictures.assign(hash=hashes)[~is_plain(hashes)]
