"""COCO captions: `{"images": [{"id", "file_name"}], "annotations": [{"id", "image_id", "caption"}]}`, rows by caption.

https://cocodataset.org/#format-data, section 5.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recap.data.formats.fields import best_effort_id
from recap.data.formats.json_text import object_items, starts_with
from recap.data.formats.rows import RawRow
from recap.runtime.errors import UserError
from recap.runtime.faults import Fault

# Where COCO's pictures lie beside the file, or beside the folder that holds it.
FOLDERS = ("train2017", "val2017", "train2014", "val2014")


def is_coco(path: Path) -> bool:
    """Whether a file is one object with annotations of images."""
    if starts_with(path) != "{":
        return False
    try:
        annotations = (item for key, item in object_items(path) if key == "annotations")
        first = next(annotations, None)
    except UserError:  # JSON Lines whose first line is broken: its own reader tells
        return False
    return isinstance(first, dict) and "image_id" in first


def read_coco(path: Path) -> Iterator[RawRow | Fault]:
    """A row per caption. What is held in memory is the file name of each image.

    Raises:
        UserError: The file is broken, or no annotation has a caption.
    """
    names: dict[Any, Any] = {}
    for key, item in object_items(path):
        if key == "images" and isinstance(item, dict) and isinstance(item.get("id"), int | str):
            names[item["id"]] = item.get("file_name")
    annotations = (item for key, item in object_items(path) if key == "annotations")
    for number, item in enumerate(annotations, start=1):
        where = f"{path.name}:annotation {number}"
        if not isinstance(item, dict):
            yield Fault(where, None, "not_an_object", f"expected a JSON object, found {type(item).__name__}")
        elif not isinstance(image_id := item.get("image_id"), int | str) or not isinstance(
            name := names.get(image_id), str
        ):
            detail = f"expected 'image_id' to be an image of the file, found {item.get('image_id')!r:.80}"
            yield Fault(where, best_effort_id(item), "no_image", detail)
        else:
            yield RawRow(where, item, image=name)
