"""Statistics of a corpus's images: size, format, mode, broken ones, and rows that show the same picture.

Every different path is read once and decoded completely, by the same code that training opens images with.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from recap.data.corpus.images import BadImage, locate, open_image
from recap.data.statistics.text import percent

SMALL_BELOW_PX = 224
"""An image is small when its width or height is below this; `image_shape_filter` of the headline recipe agrees."""

LARGE_ABOVE_PX = 512
"""An image is large when its longer side exceeds this (and it is not small)."""


@dataclass(frozen=True)
class ImageFacts:
    """What one image file is.

    Attributes:
        width: Pixels, as the image is shown (EXIF orientation applied).
        height: Pixels.
        format: Pillow's name: "JPEG", "PNG", ...
        mode: Pillow's mode in the file: "RGB", "L" (grey), "P" (palette), ...
        digest: Of the file's bytes; equal digests mean the same picture.
    """

    width: int
    height: int
    format: str
    mode: str
    digest: str

    @property
    def size_class(self) -> str:
        if min(self.width, self.height) < SMALL_BELOW_PX:
            return "small"
        return "large" if max(self.width, self.height) > LARGE_ABOVE_PX else "medium"


def read_images(root: str | Path, paths: Sequence[str]) -> tuple[dict[str, ImageFacts], dict[str, BadImage]]:
    """Read every different image.

    Args:
        root: The folder that `paths` start from.
        paths: One per row; repeated paths are read once.

    Returns:
        The facts of readable images and the reasons of the others, both by path in the order of first use.
    """
    facts, broken = {}, {}
    for path in tqdm(dict.fromkeys(paths), desc="images", unit="image"):
        try:
            facts[path] = _read_image(root, path)
        except BadImage as error:
            broken[path] = error
    return facts, broken


def _read_image(root: str | Path, path: str) -> ImageFacts:
    width, height = open_image(root, path).size
    file = locate(root, path)
    with Image.open(file) as header:
        image_format, mode = header.format or "unknown", header.mode
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "blake2b").hexdigest()
    return ImageFacts(width, height, image_format, mode, digest)


def describe_images(paths: Sequence[str], facts: dict[str, ImageFacts], num_broken: int) -> dict[str, Any]:
    """Summarise the images of a corpus.

    Args:
        paths: One per row.
        facts: The readable ones, by path.
        num_broken: How many different paths could not be read.

    Returns:
        Counts, mean sides in pixels and percentages (0-100 of the readable images); None where there is no image.
        `duplicate_image_rows` counts rows whose picture an earlier row shows already.
    """
    images = list(facts.values())
    classes = Counter(image.size_class for image in images)
    shown = [facts[path].digest for path in paths if path in facts]
    return {
        "images": len(images),
        "broken_images": num_broken,
        "duplicate_image_rows": len(shown) - len(set(shown)),
        "width_mean_px": sum(image.width for image in images) / len(images) if images else None,
        "height_mean_px": sum(image.height for image in images) / len(images) if images else None,
        **{f"{name}_percent": percent(classes[name], len(images)) for name in ("small", "medium", "large")},
        "formats": shares([image.format for image in images]),
        "modes": shares([image.mode for image in images]),
    }


def shares(values: Sequence[str]) -> dict[str, float]:
    """Percentage (0-100) of each value, the most frequent first, equals in alphabetical order."""
    counts = sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))
    return {value: 100 * count / len(values) for value, count in counts}
