"""A user's image-caption pairs into `data/corpus/`: Data-Juicer rows, or plain ones with a caption and an image."""

from pathlib import Path, PurePosixPath
from typing import Any

from recap.data.corpus.images import BadImage
from recap.data.corpus.records import Record, caption_of
from recap.data.sources.fields import BadRow, best_effort_id, identifier, json_lines, parse_object, text, writable
from recap.data.sources.pictures import copy_images, find_faults
from recap.data.sources.rejections import Part, Rejection
from recap.io import write_jsonl

# Names that the corpus folder itself needs.
RESERVED = ("train.jsonl", "rejected.jsonl")


def take_corpus(rows_file: Path, folder: Path) -> Part:
    """Copy the usable pairs of a user's file.

    Args:
        rows_file: JSON Lines: `{"id", "text" or "caption", "images": [path] or "image": path}`, paths relative to
            its folder.
        folder: Gets `train.jsonl` and the images under their own relative names.
    """
    root = rows_file.parent
    rows = [(f"{rows_file.name}:{number}", _read(line)) for number, line in json_lines(rows_file)]
    faults = find_faults(root, (row.image for _, row in rows if isinstance(row, Record)), "corpus")
    records: dict[str, Record] = {}
    rejections = []
    for where, row in rows:
        if isinstance(row, Record):
            row = _judge(row, faults, records)
        if isinstance(row, Record):
            records[row.id] = row
        else:
            rejections.append(Rejection(where, *row))
    copy_images(root, {record.image: record.image for record in records.values()}, folder)
    count = write_jsonl(folder / "train.jsonl", (record.to_row() for record in records.values()))
    return Part("user", count, rejections)


Fault = tuple[str | None, str, str]  # id, reason, detail


def _read(line: bytes) -> Record | Fault:
    row: Any = None
    try:
        row = parse_object(line)
        record_id = identifier(row)
        caption = caption_of(text(row, "text", "caption"))
        image = _image(row)
        if not caption:
            raise BadRow("empty_caption", "expected words, found none")
    except BadRow as fault:
        return best_effort_id(row), fault.reason, fault.detail
    return Record(id=record_id, image=image, caption=caption)


def _image(row: dict[str, Any]) -> str:
    images = row.get("images", row.get("image"))
    if isinstance(images, str):
        images = [images]
    if not isinstance(images, list) or not images or not all(isinstance(image, str) and image for image in images):
        raise BadRow("no_image", f"expected 'images' to be a list of one path, found {images!r:.80}")
    if len(images) > 1:
        raise BadRow("several_images", f"expected one image, found {len(images)}")
    # "./images/x.jpg" and "images//x.jpg" are images/x.jpg: one image has one name.
    image = str(PurePosixPath(writable(images[0], "images")))
    if image in RESERVED:
        raise BadRow("reserved_name", f"an image cannot be called {image}: the corpus folder needs the name")
    return image


def _judge(record: Record, faults: dict[str, BadImage], accepted: dict[str, Record]) -> Record | Fault:
    """Look at what only the whole file tells: whether the image is sound, and whether the id is new."""
    if record.image in faults:
        fault = faults[record.image]
        return record.id, fault.reason, fault.detail
    if record.id in accepted:
        return record.id, "duplicate_id", f"expected an id of its own, found one that an earlier row has: {record.id!r}"
    return record
