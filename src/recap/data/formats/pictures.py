"""The image of a row, however it is given: a path from here or there, bytes, base64, or a struct of bytes and path."""

import base64
import io
import os
import posixpath
import re
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from recap.data.corpus.images import DECODING_ERRORS, FORMATS, SUFFIX_BY_FORMAT
from recap.data.corpus.references import SUFFIXES
from recap.data.formats.fields import BadRow, writable
from recap.runtime.faults import spelt_out

_DATA_URI = re.compile(r"data:[^,]*,")
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*")
# Bytes of a picture's file, or of a text beside one: the largest picture that Recap takes is smaller in any format. A
# hole in a disk or a tar's header can promise any size.
MAX_FILE = 1 << 29
# Linux takes no longer one.
LONGEST_PATH = 4096

# Shorter texts are paths: no picture fits.
_SHORTEST_BASE64 = 64
_URL = re.compile(r"(?!file:)\w+://", re.IGNORECASE)


def is_url(value: Any) -> bool:
    """Whether a value, or the one in a list of one or in datasets' struct, names something to download."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict) and not value.get("bytes"):
        value = value.get("path")
    return isinstance(value, str) and _URL.match(value) is not None


def decoded_base64(value: str) -> bytes | None:
    """The picture that a text holds, as a data URI or as bare base64; None if it is something else, such as a path."""
    is_uri = _DATA_URI.match(value) is not None
    if not is_uri and (len(value) < _SHORTEST_BASE64 or not _BASE64.fullmatch(value)):
        return None
    try:
        data = from_base64(value)
    except ValueError:
        return None
    return data if is_uri or suffix_of(data) else None


def from_base64(text: str) -> bytes:
    """The bytes that a text is, base64 bare or as a data URI; blanks and line breaks in it mean nothing.

    Raises:
        ValueError: It is no base64.
    """
    uri = _DATA_URI.match(text)
    return base64.b64decode("".join(text[uri.end() if uri else 0 :].split()), validate=True)


class Pictures:
    """Names the images of one source: paths below its root, and names of their own for those that rows hold."""

    def __init__(self, root: Path, folders: tuple[str, ...] = (".",)) -> None:
        """Take images of a source.

        Args:
            root: What the paths that come out are relative to.
            folders: The folders below it in which paths may begin; the first one that has the file counts.
        """
        self._root = root
        self._folders = folders
        self._named: dict[bytes, bytes] = {}  # digest of a name -> digest of the bytes that have it

    def take(self, value: Any, where: str) -> tuple[str, bytes | None]:
        """The image of the row at `where`: its path, None; or its name and its bytes.

        Raises:
            BadRow: no_image, several_images or broken_text.
        """
        if isinstance(value, list):
            if len(value) > 1:
                raise BadRow("several_images", f"expected one image, found {len(value)}")
            value = value[0] if value else None
        given = None
        if isinstance(value, dict) and {"bytes", "path"} & value.keys():
            given, value = value.get("path"), value.get("bytes") or value.get("path")
        if isinstance(value, bytes) and (path := _path_in(value)):
            value = path
        if isinstance(value, bytes):
            return self._name(value, where, given), value
        if not isinstance(value, str) or not value:
            raise BadRow("no_image", f"expected a path or the bytes of an image, found {value!r:.80}")
        content = decoded_base64(value)
        return (
            (self._path(writable(value, "image")), None) if content is None else (self._name(content, where), content)
        )

    def _name(self, content: bytes, where: str, given: Any = None) -> str:
        """A name that no other picture of the source has: the row's own if it is free, else its position."""
        if isinstance(given, str) and (name := below_root(writable(given, "path"))):
            key, digest = (blake2b(data, digest_size=16).digest() for data in (name.encode(), content))
            if self._named.setdefault(key, digest) == digest:
                return name
        file, _, position = where.rpartition(":")
        stem = spelt_out(f"{PurePosixPath(file).with_suffix('')}/{position.rpartition(' ')[2]}")
        return f"{below_root(stem)}{suffix_of(content)}"

    def _path(self, value: str) -> str:
        if "://" in value:
            return value  # who resolves paths tells what a URL may be
        # "./images/x.jpg" and "images//x.jpg" are images/x.jpg: one image has one name.
        path = posixpath.normpath(value).removeprefix(f"{self._root.absolute()}/")
        if path.startswith(("/", "..")):
            return path
        names = (path if folder == "." else f"{folder}/{path}" for folder in self._folders)
        return next((name for name in names if os.path.isfile(f"{self._root}/{name}")), path)


def _path_in(value: bytes) -> str | None:
    """The path that bytes spell, where a writer of Parquet did not tell text apart; None if they are a picture's."""
    try:
        text = value.decode() if len(value) < LONGEST_PATH else ""
    except UnicodeDecodeError:
        return None
    return text if PurePosixPath(text).suffix.lower() in SUFFIXES else None


def suffix_of(data: bytes) -> str:
    """What files of a picture's format are called; "" for what is no picture."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return SUFFIX_BY_FORMAT.get(image.format or "", "")
    except (*DECODING_ERRORS, Image.DecompressionBombError):
        return ""


def below_root(name: str) -> str:
    """A name as a relative path that leads downwards only."""
    return "/".join(part for part in PurePosixPath(name).parts if part not in ("..", "/"))
