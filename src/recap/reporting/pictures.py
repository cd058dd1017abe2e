"""Pictures inside the page: thumbnails as data URIs, so that the report is one file.

In: an image below a folder, or in base64. Out: `data:image/jpeg;base64,...`, at most `SIDE_PX` pixels a side, or None
where the image is missing or broken; the page then says so in its place.
"""

import base64
import binascii
import io
from pathlib import Path

from PIL import Image

from recap.data.corpus.images import DECODING_ERRORS, FORMATS, MAX_PIXELS, BadImage, open_image

# Twice the width that a card shows, for screens with fine pixels.
SIDE_PX = 384
JPEG_QUALITY = 78
EMBEDDED = "base64,"


def thumbnail(folder: Path, image: str) -> str | None:
    """A small copy of an image.

    Args:
        folder: The folder that `image` starts from.
        image: A path below it, or `data:;base64,...`.
    """
    try:
        picture = _decode(image) if image.startswith("data:") else open_image(folder, image)
    except (BadImage, binascii.Error, *DECODING_ERRORS):
        return None
    picture.thumbnail((SIDE_PX, SIDE_PX))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _decode(uri: str) -> Image.Image:
    content = base64.b64decode(uri.split(EMBEDDED, 1)[-1])
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise BadImage("image_too_large", f"{image.width}x{image.height}, at most {MAX_PIXELS} pixels are allowed")
        return image.convert("RGB")
