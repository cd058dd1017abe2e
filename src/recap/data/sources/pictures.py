"""Pack the pictures that a user's rows show, and find those that questions name without folder or suffix."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from recap.data.corpus.images import BadImage
from recap.data.corpus.index import digest_of
from recap.data.corpus.references import SUFFIXES, Links, Unresolved, name_key, resolve
from recap.data.formats.pictures import from_base64, suffix_of
from recap.data.formats.samples import Sample
from recap.data.sources.packing import Images, Storage, pack
from recap.data.sources.rejections import Budget
from recap.runtime.faults import Fault


@dataclass(frozen=True)
class Terms:
    """How a user's rows and their pictures are taken.

    Attributes:
        links: See `recap.data.corpus.references.resolve`.
        images: See `recap.data.sources.packing.pack`.
        max_rejected: Percent of rows; once more are rejected, the rest is not looked at.
        work: The scratch folder, where a killed run's finished shards lie; None where nothing is to be resumed.
        source: The user's folder, into which symbolic links may lead; None: the one that holds the part's file.
    """

    links: Links = "inside"
    images: Images = "copy"
    max_rejected: float = 100.0
    work: Path | None = None
    source: Path | None = None


DEFAULT_TERMS = Terms()


def picture(name: str, where: str, *, path: str | None = None, content: bytes | None = None) -> Sample:
    """A picture alone, as what is packed; its name is its id.

    Args:
        name: What rows of later stages call it.
        where: The first row that shows it.
        path: Its file below the source's folder, where that is not its name.
        content: The picture itself, where it came inside its row.
    """
    return Sample(where, name, name, "", {}, content, path)


def pack_pictures(
    pictures: Iterable[Sample | Fault],
    root: Path,
    folder: Path,
    *,
    what: str,
    terms: Terms,
    budget: Budget,
    images: Storage | None = None,
) -> dict[str | None, Fault]:
    """Write shards and index of the pictures of a finetune set or of a benchmark: a row for each.

    Args:
        pictures: Of `picture`, each name once.
        root: The folder that their files lie in.
        folder: Gets shards and index.
        what: Name of the progress bar.
        terms: How they are taken.
        budget: Says how many rows a rejected picture costs; where it is overdrawn nothing is written.
        images: In place of what `terms` say, see `recap.data.sources.packing.pack`.

    Returns:
        Why a picture cannot be used, by its name.
    """
    part = pack(
        pictures, root, folder, work=terms.work, what=what, links=terms.links, images=images or terms.images,
        budget=budget,
    )  # fmt: skip
    return {rejection.id: rejection for rejection in part.rejections}


def meant(root: Path, written: str, links: Links) -> str:
    """The path, below `root`, of the file that a row means; as it is written where none fits."""
    pure = PurePosixPath(written)
    try:
        if not pure.is_absolute() and ".." not in pure.parts and (root / pure).is_file():
            return pure.as_posix()
        return resolve(root, written, links=links)
    except (Unresolved, OSError, ValueError):  # who opens it says what is wrong
        return written


def embedded_picture(text: str) -> tuple[str, bytes]:
    """A picture that stands in its row as base64 or as a data URI.

    Returns:
        A name for it, the same for the same bytes, and these.

    Raises:
        BadImage: It is no base64.
    """
    try:
        content = from_base64(text)
    except ValueError as error:
        raise BadImage("broken_image", f"expected the picture itself as base64, {error}") from None
    return f"embedded/{digest_of(content)}{suffix_of(content)}", content


class PictureFinder:
    """Finds the file of an image that a question names without folder or suffix."""

    def __init__(self, root: Path, folders: tuple[str, ...]) -> None:
        """Index the images directly in some folders below `root`; the first folder wins, then the first of SUFFIXES."""
        self._by_stem: dict[str, str] = {}
        self._by_key: dict[str, str] = {}
        for folder in folders:
            if not (root / folder).is_dir():
                continue
            names = [Path(name) for name in os.listdir(root / folder)]
            images = [name for name in names if name.suffix.lower() in SUFFIXES]
            for name in sorted(images, key=lambda name: (SUFFIXES.index(name.suffix.lower()), name.name)):
                self._by_stem.setdefault(name.stem, str(Path(folder) / name))
                self._by_key.setdefault(name_key(name.stem), str(Path(folder) / name))
        self._folders = ", ".join(folder or "." for folder in folders)

    def find(self, *stems: str) -> str:
        """The path, relative to the root, of the first of several possible names.

        Raises:
            BadImage: missing_image.
        """
        for stem in stems:
            # Some files give the image's whole name.
            bare = Path(stem).stem if Path(stem).suffix.lower() in SUFFIXES else stem
            for names, key in ((self._by_stem, stem), (self._by_key, name_key(bare))):
                if key in names:
                    return names[key]
        raise BadImage("missing_image", f"no image named {' or '.join(stems)!r:.200} in any of {self._folders}")
