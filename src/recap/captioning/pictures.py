"""The pictures of a corpus as the captioner sees them: each by the digest of its bytes, equal ones once."""

import io
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from recap.data.corpus.images import BadImage, decode_image, locate, stored_image
from recap.data.corpus.index import digest_of, index_of
from recap.data.corpus.records import Record
from recap.runtime.errors import UserError
from recap.runtime.faults import Fault


def unique_images(records: Iterable[Record]) -> list[str]:
    """The images of a corpus by name, each once, in the order of their first rows.

    Raises:
        UserError: There is none.
    """
    images = list(dict.fromkeys(record.image for record in records))
    if not images:
        raise UserError("expected images to caption, found a corpus without rows; run prepare")
    return images


def digests_of(root: Path, images: Sequence[str], *, threads: int) -> dict[str, str | Fault]:
    """Digest of each image's bytes by name, in order, or why there is none.

    Args:
        root: A corpus, whose index knows the digests; or a folder of files, which are read for them.
        images: Names.
        threads: That read.
    """
    index = index_of(root)
    known = {} if index is None else index.digests
    with ThreadPoolExecutor(threads) as pool:
        found = pool.map(lambda image: known.get(image) or _digest(root, image), images)
        return dict(zip(images, found, strict=True))


def _digest(root: Path, image: str) -> str | Fault:
    try:
        return digest_of(_content(root, image))
    except BadImage as error:
        return error.at(image)


def names_by_digest(digests: dict[str, str | Fault]) -> dict[str, list[str]]:
    """The names of each picture, in the order of their first rows."""
    names: dict[str, list[str]] = {}
    for image, digest in digests.items():
        if isinstance(digest, str):
            names.setdefault(digest, []).append(image)
    return names


def open_picture(root: Path, image: str, digest: str) -> Image.Image:
    """Decode a picture, which has to be the one of that digest; see `recap.data.corpus.images.open_image`.

    Raises:
        BadImage: With one of its reasons.
    """
    content = _content(root, image)
    if index_of(root) is None and digest_of(content) != digest:
        raise BadImage("changed_image", f"{image!r}: it was replaced while its captions were being made")
    return decode_image(io.BytesIO(content), repr(image))


def _content(root: Path, image: str) -> bytes:
    if (index := index_of(root)) is not None:
        return stored_image(index, image)
    path = locate(root, image)
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadImage("missing_image", f"{image!r}: {error.strerror}") from None
