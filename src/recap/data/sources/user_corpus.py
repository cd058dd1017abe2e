"""A user's image-caption pairs into `data/corpus/`: Data-Juicer rows, or plain ones with a caption and an image."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from recap.data.corpus.records import caption_of
from recap.data.sources.fields import BadRow, best_effort_id, identifier, json_lines, parse_object, text, writable
from recap.data.sources.packing import Images, Sample, pack
from recap.data.sources.rejections import Part, Rejection

# What a row says of the pair itself; everything else travels along.
OWN = ("id", "text", "caption", "image", "images")


def take_corpus(rows_file: Path, folder: Path, *, work: Path, images: Images) -> Part:
    """Pack the usable pairs of a user's file.

    Args:
        rows_file: JSON Lines: `{"id", "text" or "caption", "images": [path] or "image": path}`, paths relative to
            its folder.
        folder: Gets the shards and the index.
        work: The scratch folder.
        images: See `pack`.
    """
    return pack(read_rows(rows_file), rows_file.parent, folder, work=work, images=images)


def read_rows(rows_file: Path) -> Iterator[Sample | Rejection]:
    """The rows of a file in order; one that cannot be used is a rejection."""
    for number, line in json_lines(rows_file):
        yield _read(f"{rows_file.name}:{number}", line)


def _read(where: str, line: bytes) -> Sample | Rejection:
    row: Any = None
    try:
        row = parse_object(line)
        row_id = identifier(row)
        caption = caption_of(text(row, "text", "caption"))
        image = _image(row)
        if not caption:
            raise BadRow("empty_caption", "expected words, found none")
    except BadRow as fault:
        return Rejection(where, best_effort_id(row), fault.reason, fault.detail)
    fields = {name: value for name, value in row.items() if name not in OWN}
    return Sample(where, row_id, image, caption, fields)


def _image(row: dict[str, Any]) -> str:
    images = row.get("images", row.get("image"))
    if isinstance(images, str):
        images = [images]
    if not isinstance(images, list) or not images or not all(isinstance(image, str) and image for image in images):
        raise BadRow("no_image", f"expected 'images' to be a list of one path, found {images!r:.80}")
    if len(images) > 1:
        raise BadRow("several_images", f"expected one image, found {len(images)}")
    # "./images/x.jpg" and "images//x.jpg" are images/x.jpg: one image has one name.
    return str(PurePosixPath(writable(images[0], "images")))
