"""Pictures inside the page: thumbnails as data URIs, so that the report is one file.

In: an image below a folder, or in base64. Out: `data:image/jpeg;base64,...`, at most `SIDE_PX` pixels a side, or None
where the image is missing or broken; the page then says so in its place.
"""

import base64
import io
from pathlib import Path

from recap.data.benchmarks.pictures import open_named
from recap.data.corpus.images import BadImage

# Twice the width that a card shows, for screens with fine pixels.
SIDE_PX = 384
JPEG_QUALITY = 78


def thumbnail(folder: Path, image: str) -> str | None:
    """A small copy of an image.

    Args:
        folder: The folder that `image` starts from.
        image: A path below it, or `data:;base64,...`.
    """
    try:
        picture = open_named(image, folder, "an example")
    except BadImage:
        return None
    picture.thumbnail((SIDE_PX, SIDE_PX))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
