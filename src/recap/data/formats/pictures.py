"""The image of a row, however it is given: a path from here or there, bytes, base64, or a struct of bytes and path."""

import base64
import binascii
import io
import os
import re
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from PIL import Image

from recap.data.corpus.images import DECODING_ERRORS, FORMATS
from recap.data.formats.rows import EmbeddedImage
from recap.data.sources.fields import BadRow, writable

_DATA_URI = re.compile(r"data:image/[\w.+-]+;base64,")
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*")
# Shorter texts are paths: no picture fits.
_SHORTEST_BASE64 = 64
_SUFFIXES = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "GIF": ".gif",
    "BMP": ".bmp",
    "TIFF": ".tif",
    "PPM": ".ppm",
}


def decoded_base64(value: str) -> bytes | None:
    """The bytes of a picture that a text holds, as a data URI or as bare base64; None if it is something else, a path."""
    uri = _DATA_URI.match(value)
    text = value[uri.end() :] if uri else value
    if not uri and (len(text) < _SHORTEST_BASE64 or not _BASE64.fullmatch(text)):
        return None
    try:
        data = base64.b64decode(text)
    except (binascii.Error, ValueError):
        return None
    return data if uri or _suffix(data) else None


class Pictures:
    """Brings the images of one source to paths below its root, or to bytes under names of their own."""

    def __init__(self, root: Path, folders: tuple[str, ...] = (".",)) -> None:
        """Take images of a source.

        Args:
            root: What the paths that come out are relative to.
            folders: The folders below it in which paths may begin; the first one that has the file counts.
        """
        self._root = root
        self._folders = folders
        self._named: dict[bytes, bytes] = {}  # digest of a name -> digest of the bytes that have it

    def take(self, value: Any, where: str) -> str | EmbeddedImage:
        """The image of the row at `where`.

        Raises:
            BadRow: no_image, several_images, remote_image, or broken_text.
        """
        if isinstance(value, list):
            if len(value) > 1:
                raise BadRow("several_images", f"expected one image, found {len(value)}")
            value = value[0] if value else None
        name = None
        if isinstance(value, dict) and {"bytes", "path"} & value.keys():
            name, value = value.get("path"), value.get("bytes") or value.get("path")
        if isinstance(value, bytes):
            return self.embed(value, where, name)
        if not isinstance(value, str) or not value:
            raise BadRow("no_image", f"expected a path or the bytes of an image, found {value!r:.80}")
        data = decoded_base64(value)
        return self._path(writable(value, "image")) if data is None else self.embed(data, where, None)

    def embed(self, data: bytes, where: str, given: str | None) -> EmbeddedImage:
        """Name a picture: as the row does, if no other picture of the source has that name, else by its position."""
        suffix = _suffix(data)
        if given and (name := _below_root(given)):
            digest = blake2b(data, digest_size=16).digest()
            key = blake2b(name.encode("utf-8", "surrogateescape"), digest_size=16).digest()
            if self._named.setdefault(key, digest) == digest:
                return EmbeddedImage(name, data)
        file, _, position = where.rpartition(":")
        stem = _below_root(f"{PurePosixPath(file).with_suffix('')}/{position.rpartition(' ')[2]}")
        return EmbeddedImage(f"{stem}{suffix}", data)

    def _path(self, value: str) -> str:
        scheme = urlsplit(value).scheme if "://" in value else ""
        if scheme == "file":
            value = unquote(urlsplit(value).path)
        elif scheme:
            raise BadRow(
                "remote_image", f"expected a path, found {value:.80}; download the images first, img2dataset does"
            )
        path = PurePosixPath(value)
        if path.is_absolute() and path.is_relative_to(self._root.absolute()):
            path = path.relative_to(self._root.absolute())
        if path.is_absolute() or ".." in path.parts:
            return str(path)
        found = (PurePosixPath(folder) / path for folder in self._folders)
        return str(next((name for name in found if os.path.isfile(self._root / name)), path))


def _suffix(data: bytes) -> str:
    """What files of a picture's format are called; "" for what is no picture."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return _SUFFIXES.get(image.format or "", "")
    except (*DECODING_ERRORS, Image.DecompressionBombError):
        return ""


def _below_root(name: str) -> str:
    """A name as a relative path that leads downwards only."""
    return "/".join(part for part in PurePosixPath(name).parts if part not in ("..", "/"))
