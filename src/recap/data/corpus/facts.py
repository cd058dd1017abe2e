"""What the pixels of a picture say about it in a few bytes: its brightness, and a hash that look-alikes share."""

from typing import TypedDict

import imagehash
import numpy
from PIL import Image

SHRUNKEN_SIDE_PX = 128
"""The shorter side is averaged down to about this before it is looked at: four times what the hash looks at."""


class PictureFacts(TypedDict):
    """Two columns of the corpus's index.

    Attributes:
        brightness: Mean of the grey picture, 0 (black) to 255 (white).
        phash: Perceptual hash of 64 bits as 16 hexadecimal digits (`imagehash.phash`); pictures that look the same
            differ in few bits.
    """

    brightness: float
    phash: str


def picture_facts(image: Image.Image) -> PictureFacts:
    """The facts of an upright picture, of any mode that Pillow turns into grey.

    It is averaged down first, which costs a tenth of hashing the whole picture and hardly moves the hash.
    """
    factor = max(1, min(image.size) // SHRUNKEN_SIDE_PX)
    grey = image.reduce(factor).convert("L") if image.mode in ("L", "RGB") else image.convert("L").reduce(factor)
    return {"brightness": float(numpy.asarray(grey).mean()), "phash": str(imagehash.phash(grey))}
