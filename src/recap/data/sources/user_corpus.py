"""A user's image-caption pairs, in any format that Recap reads, into `data/corpus/`."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from recap.data.formats.detection import detect, holds_pairs
from recap.data.formats.source import Source, open_source
from recap.data.sources.first_look import DATA_SUFFIXES
from recap.data.sources.packing import pack
from recap.data.sources.pictures import DEFAULT_TERMS, Terms
from recap.data.sources.rejections import Budget, Part
from recap.runtime.errors import UserError

logger = logging.getLogger(__name__)

# What a corpus may be called in a user's folder: a file, or a folder, of any format; the first one counts.
CORPUS_FILES = (
    "train.jsonl", "train.json", "train.csv", "train.tsv", "train.parquet", "train.tar", "train.tar.gz", "train",
    "blip_laion_cc_sbu_558k.json", "captions_train2017.json", "captions_train2014.json",
    "annotations/captions_train2017.json", "annotations/captions_train2014.json",
)  # fmt: skip

OpenCorpus = Callable[[Path], Source]


def find_corpus(source: Path, format: str = "auto") -> Path | None:
    """The file or folder of a user's folder that is the corpus, perhaps the folder itself; None if it holds none.

    A warning names folders and archives that are called like a corpus and are not read; `first_look` names files.

    Args:
        source: The user's folder.
        format: A key of `recap.data.formats.source.READERS`, or "auto".

    Raises:
        UserError: A format was named, and nothing of it is there.
    """
    called = [path for path in (source / name for name in CORPUS_FILES) if path.exists()]
    found = next((path for path in called if (kind := detect(path)) and format in ("auto", kind)), None)
    if found is None and holds_pairs(source, format):
        found = source
    left = [str(path.relative_to(source)) for path in called if path != found]
    if unnamed := [name for name in left if Path(name).suffix not in DATA_SUFFIXES]:
        told = f"is read from {found.name}" if found is not None else "is in none of the formats"
        logger.warning("warning: %s: the corpus %s; not read: %s", source, told, ", ".join(unnamed))
    if found is None and format != "auto":
        raise UserError(
            f"{source}: expected a corpus of data.format {format}: the folder itself, or one of "
            f"{', '.join(CORPUS_FILES)}; found {', '.join(left) or 'none'}"
        )
    return found


def take_corpus(
    corpus: Path, folder: Path, terms: Terms = DEFAULT_TERMS, *, open_corpus: OpenCorpus = open_source
) -> Part:
    """Pack the usable pairs of a user's file or folder.

    Args:
        corpus: The file or folder.
        folder: Gets the shards and the index.
        terms: How rows and pictures are taken.
        open_corpus: Opens it, with the user's parameters.
    """
    source = open_corpus(corpus)
    logger.info("corpus: %s", source)
    budget = Budget(terms.max_rejected, source.count)
    part = pack(source, source.root, folder, work=terms.work, links=terms.links, images=terms.images, budget=budget)
    return replace(part, unread=budget.total - part.total) if budget.is_overdrawn(part.total) else part
