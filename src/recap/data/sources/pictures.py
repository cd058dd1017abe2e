"""Check and copy the images of a user's folder, several at a time."""

import logging
import os
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from recap.data.corpus.images import BadImage, open_image

logger = logging.getLogger(__name__)

# Suffixes that a question's image may have where its name is given without one, in order of preference.
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def find_faults(root: Path, relatives: Iterable[str], what: str) -> dict[str, BadImage]:
    """Decode every image once, completely.

    Args:
        root: The folder that the paths start from; neither ".." nor a link may leave it.
        relatives: Paths, repeated ones are opened once.
        what: Name of the progress bar.

    Returns:
        The images that cannot be used, with the reason.
    """
    unique = list(dict.fromkeys(relatives))
    logger.info("%s: checking %d images below %s", what, len(unique), root)
    # Threads, not processes: Pillow lets go of the interpreter lock while it decodes.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = tqdm(pool.map(lambda name: _fault(root, name), unique), total=len(unique), desc=what, unit="image")
        return {name: fault for name, fault in zip(unique, found, strict=True) if fault is not None}


def _fault(root: Path, relative: str) -> BadImage | None:
    try:
        open_image(root, relative, links_may_leave=False)
    except BadImage as fault:
        return fault
    return None


def copy_images(root: Path, targets: dict[str, str], folder: Path) -> None:
    """Copy `root/source` to `folder/target` for each `source: target`.

    Copies, not hard links: DVC makes the files in its cache read-only, and a link would make the user's so too.
    """
    for source, target in tqdm(targets.items(), desc="copying", unit="image"):
        path = folder / target
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / source, path)


class PictureFinder:
    """Finds the file of an image that a question names without folder or suffix."""

    def __init__(self, root: Path, folders: tuple[str, ...]) -> None:
        """Index the images directly in some folders below `root`; the first folder wins, then the first of SUFFIXES."""
        self._by_stem: dict[str, str] = {}
        for folder in folders:
            if not (root / folder).is_dir():
                continue
            names = [Path(name) for name in os.listdir(root / folder)]
            images = [name for name in names if name.suffix.lower() in SUFFIXES]
            for name in sorted(images, key=lambda name: (SUFFIXES.index(name.suffix.lower()), name.name)):
                self._by_stem.setdefault(name.stem, str(Path(folder) / name))
        self._folders = ", ".join(folder or "." for folder in folders)

    def find(self, *stems: str) -> str:
        """The path, relative to the root, of the first of several possible names.

        Raises:
            BadImage: missing_image.
        """
        for stem in stems:
            if stem in self._by_stem:
                return self._by_stem[stem]
        raise BadImage("missing_image", f"no image named {' or '.join(stems)!r} in any of {self._folders}")
