"""Check and copy the images of a user's folder, several at a time."""

import io
import logging
import math
import os
import shutil
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from recap.data.corpus.images import BadImage, decode_image, locate
from recap.data.corpus.index import digest_of
from recap.data.corpus.references import SUFFIXES, Links, name_key, shortened
from recap.data.formats.pictures import from_base64, suffix_of

logger = logging.getLogger(__name__)


def examine(
    root: Path, relatives: Iterable[str], what: str, *, links: Links = "inside", may_fail: float = math.inf
) -> dict[str, str | BadImage]:
    """Find and decode every image once, completely.

    Args:
        root: The folder that the paths start from.
        relatives: Paths as rows give them; repeated ones are opened once.
        what: Name of the progress bar.
        links: See `recap.data.corpus.references.resolve`.
        may_fail: How many of the paths given may be found wanting; with one more no further image is opened.

    Returns:
        By path as given: the path of the file that it means, or why the image cannot be used.
    """
    rows = Counter(relatives)
    unique = list(rows)
    logger.info("%s: checking %d images below %s", what, len(unique), root)
    # Threads, not processes: Pillow lets go of the interpreter lock while it decodes.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda name: _examined(root, name, links), unique)
        found: dict[str, str | BadImage] = {}
        failed = 0
        for name, result in zip(unique, tqdm(results, total=len(unique), desc=what, unit="image"), strict=True):
            found[name] = result
            failed += rows[name] * isinstance(result, BadImage)
            if failed > may_fail:
                pool.shutdown(cancel_futures=True)
                break
        return found


def _examined(root: Path, relative: str, links: Links) -> str | BadImage:
    try:
        path = locate(root, relative, links_may_leave=False, links=links)
        decode_image(path, shortened(relative))
    except BadImage as fault:
        # Anew, without its traceback: that would keep the pixels of every broken picture.
        return BadImage(*fault.args)
    return path.relative_to(root).as_posix()


def embedded_picture(text: str) -> tuple[str, bytes]:
    """A picture that stands in its row as base64 or as a data URI.

    Returns:
        A name for it, the same for the same bytes, and these.

    Raises:
        BadImage: It is no base64, or no sound picture.
    """
    try:
        content = from_base64(text)
    except ValueError as error:
        raise BadImage("broken_image", f"expected the picture itself as base64, {error}") from None
    decode_image(io.BytesIO(content), f"a picture of {len(content)} bytes inside its row")
    return f"embedded/{digest_of(content)}{suffix_of(content)}", content


def copy_images(root: Path, targets: dict[str, str], folder: Path, *, links: Links = "inside") -> None:
    """Copy `root/source` to `folder/target` for each `source: target`.

    Copies, not hard links: DVC makes the files in its cache read-only, and a link would make the user's so too.
    """
    for source, target in tqdm(targets.items(), desc="copying", unit="image"):
        path = folder / target
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(locate(root, source, links_may_leave=False, links=links), path)


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
