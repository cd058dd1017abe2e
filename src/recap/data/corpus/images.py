"""Open an image that a row names: any usual format and mode to upright 8-bit RGB, and a reason when it cannot be.

Every reader of images goes through `open_image`, so that no stage accepts a picture that another one rejects.
"""

import io
import struct
import zlib
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy
from PIL import Image, ImageOps, PngImagePlugin

from recap.data.corpus.index import CorpusIndex, digest_of, index_of, read_place
from recap.data.corpus.references import Links, Unresolved, resolve
from recap.runtime.errors import one_line
from recap.runtime.faults import Unusable

# Width times height above which an image is refused before it is decoded: Pillow's own limit against decompression
# bombs, a quarter of a gigabyte of RGB.
MAX_PIXELS = 89_478_485

# Longer side to shorter. Of a thinner picture nothing is left when its longer side is brought to what a model sees, and
# padding it to a square asks for gigabytes.
MAX_ASPECT_RATIO = 100

# Formats whose decoders are plain parsers. EPS, for one, would start another program on an untrusted file.
# MPO, a camera's several pictures in one file, is opened by JPEG's decoder.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")

# What files are called, by Pillow's name of their format.
SUFFIX_BY_FORMAT = {
    "JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tiff",
    "PPM": ".ppm",
}  # fmt: skip

# Profiles and comments in a PNG are read and never used. Pillow takes one beyond a megabyte for a bomb, though
# cameras and editors write such; its limit for all of a file together stays.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY

# What Pillow's decoders raise on damaged files.
DECODING_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError,
    struct.error, zlib.error,
)  # fmt: skip


class BadImage(Unusable):
    """An image that cannot be used.

    Its reason is one of missing_image, base64_image, broken_image, image_too_large, image_too_thin, path_leaves_root,
    changed_image.
    """


def locate(root: str | Path, relative: str, *, links_may_leave: bool = True, links: Links = "inside") -> Path:
    """The path of a file that a row names, kept below its root.

    Args:
        root: The folder that `relative` starts from.
        relative: What the row says, with "/" between parts.
        links_may_leave: Whether symbolic links may point out of the root. True suits stage outputs, whose files
            DVC may link into its cache; a user's own files are read with False, and names that nearly fit are taken.
        links: With False: see `recap.data.corpus.references.resolve`.

    Raises:
        BadImage: path_leaves_root, missing_image or base64_image.
    """
    if not links_may_leave:
        try:
            return Path(root) / resolve(Path(root), relative, links=links)
        except Unresolved as error:
            raise BadImage(*error.args) from None
    if PurePosixPath(relative).is_absolute() or ".." in PurePosixPath(relative).parts:
        raise BadImage("path_leaves_root", f"expected a path below {root}, found {relative!r}")
    path = Path(root) / relative
    try:
        is_file = path.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL byte, a loop of links
        raise BadImage("missing_image", f"{relative!r}: {error}") from None
    if not is_file:
        raise BadImage("missing_image", f"{relative!r}: no such file below {root}")
    return path


def open_image(root: str | Path, relative: str) -> Image.Image:
    """Decode an image completely.

    Args:
        root: The folder that `relative` starts from; where it holds a corpus's index, pictures come from its shards.
        relative: Path below it, as a row gives it.

    Returns:
        RGB, 8 bits a channel, EXIF orientation applied, transparent parts on white, 16-bit and float pixels scaled
        to 0..255; of an animation, the first frame.

    Raises:
        BadImage: With one of its reasons.
    """
    if (index := index_of(root)) is not None:
        return decode_image(io.BytesIO(stored_image(index, relative)), repr(relative))
    return decode_image(locate(root, relative), repr(relative))


def stored_image(index: CorpusIndex, name: str) -> bytes:
    """A picture's bytes as they were taken, from a corpus's shards or from the user's own file.

    Raises:
        BadImage: missing_image; changed_image where the user's file is not what it was.
    """
    place = index.place(name)
    if place is None:
        raise BadImage("missing_image", f"{name!r}: no picture of that name in {index.folder}")
    try:
        content = read_place(place)
    except OSError as error:
        raise BadImage("missing_image", f"{name!r}: {place.file}: {error.strerror}") from None
    if place.referenced and digest_of(content) != place.digest:
        raise BadImage("changed_image", f"{name!r}: {place.file} is not what it was when prepare read it")
    return content


def image_digest(root: str | Path, relative: str) -> str | None:
    """The digest of a picture's bytes as they were taken, see `digest_of`; None if there is no such picture.

    An index knows it without reading a picture; the arguments are those of `open_image`.
    """
    if (index := index_of(root)) is not None:
        return place.digest if (place := index.place(relative)) is not None else None
    try:
        return digest_of(locate(root, relative).read_bytes())
    except BadImage:
        return None


def decode_image(source: Path | BinaryIO, name: str) -> Image.Image:
    """Decode an image completely from a file or from bytes: see `open_image`.

    Raises:
        BadImage: broken_image, image_too_large or image_too_thin; `name` is what the detail calls the image.
    """
    try:
        with Image.open(source, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                size = f"{image.width}x{image.height}"
                raise BadImage("image_too_large", f"{name}: {size}, at most {MAX_PIXELS} pixels are allowed")
            if max(image.size) > MAX_ASPECT_RATIO * min(image.size):
                size = f"{image.width}x{image.height}"
                raise BadImage(
                    "image_too_thin", f"{name}: {size}, sides may differ by {MAX_ASPECT_RATIO} times at most"
                )
            image.load()
            return _to_rgb(ImageOps.exif_transpose(image))
    except Image.DecompressionBombError as error:
        raise BadImage("image_too_large", f"{name}: {error}") from None
    except Image.UnidentifiedImageError:
        raise BadImage("broken_image", f"{name}: not an image of a known format ({', '.join(FORMATS)})") from None
    except DECODING_ERRORS as error:
        raise BadImage("broken_image", f"{name}: {one_line(error)}") from None


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return _scaled(image).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _scaled(image: Image.Image) -> Image.Image:
    """Bring 16-bit, 32-bit and float pixels to 0..255; Pillow's own conversion would clip them to white.

    White is 65535 where the mode says 16 bits, else the least usual white level that the brightest pixel stays below.
    """
    pixels = numpy.nan_to_num(numpy.asarray(image).astype(numpy.float64))
    peak = float(pixels.max())
    white = 65535.0 if image.mode.startswith("I;16") else next(w for w in (1.0, 255.0, 65535.0, peak) if peak <= w)
    return Image.fromarray(numpy.clip(pixels * (255 / white) + 0.5, 0, 255).astype(numpy.uint8))
