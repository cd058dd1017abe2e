"""Pictures of the corpus that a benchmark asks about too: a model that trained on them has seen the exam."""

from pathlib import Path

import numpy
import pandas
from PIL import Image

from recap.data.benchmarks.pictures import open_question_image
from recap.data.benchmarks.registry import WITH_FILES
from recap.data.corpus.images import BadImage, open_image
from recap.data.corpus.index import INDEX
from recap.data.explore.duplicates import close_pairs, confirmed, is_plain, to_hashes
from recap.data.explore.table import read_index
from recap.runtime.errors import UserError

FACTS = ["digest", "phash", "width", "height", "brightness"]
SAME_FILE, SAME_LOOK = "same file", "looks the same"
COLUMNS = ("image", "benchmark", "benchmark_image", "match")

MINIATURE_SIDE_PX, MAX_CELL_DIFFERENCE = 16, 48
"""Two pictures are one when no cell of their miniatures differs by more, of 255, in any colour. Photographs that were
scaled to a third and compressed stay below 15; drawings that hashes confuse are beyond 100."""


def benchmark_pictures(folder: str | Path) -> pandas.DataFrame:
    """What `prepare` has recorded of every picture that a benchmark below `folder` asks about: none is opened.

    Returns:
        Columns `benchmark`, `benchmark_image` and `FACTS`.

    Raises:
        UserError: A benchmark's files are not in its official format, or no index describes its pictures.
    """
    found = [pandas.DataFrame(columns=["benchmark", "benchmark_image", *FACTS])]
    for name, benchmark in WITH_FILES.items():
        root = Path(folder) / benchmark.folder
        if root.is_dir():
            asked = {question.image_id for question in benchmark.load(root)}
            pictures = read_index(root / INDEX)
            pictures = pictures[pictures["image"].isin(asked)].drop_duplicates("image")
            found.append(pictures.rename(columns={"image": "benchmark_image"})[["benchmark_image", *FACTS]])
            found[-1].insert(0, "benchmark", name)
    return pandas.concat([table for table in found[1:] if not table.empty] or found, ignore_index=True)


def no_leaks() -> pandas.DataFrame:
    """What `find_leaks` finds where there is no benchmark."""
    return pandas.DataFrame(columns=list(COLUMNS))


def find_leaks(
    pictures: pandas.DataFrame, asked: pandas.DataFrame, root: str | Path, benchmarks: str | Path
) -> pandas.DataFrame:
    """Which pictures of a corpus are a benchmark's: `find_candidates`, those that only look alike looked at again.

    Args:
        pictures: See `find_candidates`.
        asked: Of `benchmark_pictures`.
        root: The folder of the corpus; only candidates are opened.
        benchmarks: The folder of the benchmarks' folders; likewise.

    Raises:
        UserError: A candidate's picture cannot be opened any more.
    """
    candidates = find_candidates(pictures, asked)
    alike = candidates[candidates["match"] == SAME_LOOK]
    keys = candidates[["benchmark", "benchmark_image"]].itertuples(index=False, name=None)
    try:
        theirs = _miniatures(benchmarks, alike)
        same = [
            match == SAME_FILE or is_same(miniature(open_image(root, image)), theirs[key])
            for image, match, key in zip(candidates["image"], candidates["match"], keys, strict=True)
        ]
    except BadImage as error:  # a file that was referred to: whether it leaks nobody could say
        raise UserError(f"{error.reason}: {error.detail}; run prepare again to reject it") from None
    return candidates[numpy.array(same, dtype=bool)].reset_index(drop=True)


def _miniatures(benchmarks: str | Path, chosen: pandas.DataFrame) -> dict[tuple[str, str], bytes]:
    """By benchmark and picture, for the rows of `chosen`."""
    found = {}
    for name, names in chosen.groupby("benchmark")["benchmark_image"]:
        root = Path(benchmarks) / WITH_FILES[name].folder
        questions = {question.image_id: question for question in WITH_FILES[name].load(root)}
        for image in names.unique():
            found[name, image] = miniature(open_question_image(questions[image], root))
    return found


def miniature(image: Image.Image) -> bytes:
    """The picture at 16 by 16 pixels, RGB."""
    side = (MINIATURE_SIDE_PX, MINIATURE_SIDE_PX)
    return image.convert("RGB").resize(side, Image.Resampling.BOX).tobytes()


def is_same(one: bytes, other: bytes) -> bool:
    """Whether two miniatures are of one picture."""
    first, second = (numpy.frombuffer(data, dtype=numpy.uint8).astype(int) for data in (one, other))
    return bool(numpy.abs(first - second).max() <= MAX_CELL_DIFFERENCE)


def find_candidates(pictures: pandas.DataFrame, asked: pandas.DataFrame) -> pandas.DataFrame:
    """Which pictures of a corpus are a benchmark's, or may be: nothing is opened.

    Args:
        pictures: The corpus's pictures (`recap.data.explore.table.distinct_pictures`).
        asked: Of `benchmark_pictures`.

    Returns:
        Columns `COLUMNS`, a row per picture and benchmark, in the corpus's order; `match` is "same file" or "looks the
        same" (`recap.data.explore.duplicates`).
    """
    same = pictures[["image", "digest"]].merge(asked, on="digest").assign(match=SAME_FILE)
    found = pandas.concat([same, _alike(pictures, asked).assign(match=SAME_LOOK)])
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
