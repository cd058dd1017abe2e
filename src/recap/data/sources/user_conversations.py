"""A user's LLaVA conversations into `data/finetune/`."""

from pathlib import Path, PurePosixPath
from typing import Any

from recap.data.sources.fields import BadRow, as_object, best_effort_id, identifier, text, writable
from recap.data.sources.pictures import copy_images, find_faults
from recap.data.sources.rejections import Part, Rejection
from recap.io import read_json, write_json
from recap.runtime.errors import UserError

IMAGE_TOKEN = "<image>"
RESERVED = ("train.json", "rejected.jsonl")


def take_conversations(rows_file: Path, folder: Path) -> Part:
    """Copy the usable conversations of a user's file; ids may repeat, as they do in LLaVA's own sets.

    Args:
        rows_file: A JSON list of `{"id", "image" (optional), "conversations": [{"from", "value"}, ...]}`, paths
            relative to its folder.
        folder: Gets `train.json` and the images under their own relative names.

    Raises:
        UserError: The file as a whole is not a JSON list.
    """
    root = rows_file.parent
    source = read_json(rows_file)
    if not isinstance(source, list):
        raise UserError(f"{rows_file}: expected a JSON list of conversations, found {type(source).__name__}")
    rows = [_read(row) for row in source]
    images = [row["image"] for row in rows if isinstance(row, dict) and "image" in row]
    faults = find_faults(root, images, "finetune")
    kept: list[dict[str, Any]] = []
    rejections = []
    for number, (original, row) in enumerate(zip(source, rows, strict=True), start=1):
        fault = faults.get(row.get("image", "")) if isinstance(row, dict) else row
        if isinstance(row, dict) and fault is None:
            kept.append(row)
        elif fault is not None:
            where = f"{rows_file.name}:item {number}"
            rejections.append(Rejection(where, best_effort_id(original), fault.reason, fault.detail))
    copy_images(root, {row["image"]: row["image"] for row in kept if "image" in row}, folder)
    write_json(folder / "train.json", kept)
    return Part("user", len(kept), rejections)


def _read(value: Any) -> dict[str, Any] | BadRow:
    try:
        row = as_object(value)
        clean: dict[str, Any] = {"id": identifier(row)}
        if row.get("image") is not None:
            clean["image"] = _image(row["image"])
        clean["conversations"] = _messages(row.get("conversations"))
        tags = sum(message["value"].count(IMAGE_TOKEN) for message in clean["conversations"])
        if tags != ("image" in clean):
            raise BadRow("image_tag_mismatch", f"expected {IMAGE_TOKEN} {int('image' in clean)} time(s), found {tags}")
    except BadRow as fault:
        return fault
    return clean


def _image(value: Any) -> str:
    if isinstance(value, list):
        raise BadRow("several_images", f"expected one path, found a list of {len(value)}")
    if not isinstance(value, str) or not value:
        raise BadRow("no_image", f"expected 'image' to be a path, found {value!r:.80}")
    image = str(PurePosixPath(writable(value, "image")))
    if image in RESERVED:
        raise BadRow("reserved_name", f"an image cannot be called {image}: the finetune folder needs the name")
    return image


def _messages(value: Any) -> list[dict[str, str]]:
    """The turns: a human and a GPT message in alternation, none of them empty."""
    if not isinstance(value, list) or not value or len(value) % 2:
        found = f"{len(value)} messages" if isinstance(value, list) else repr(value)[:80]
        raise BadRow("broken_conversation", f"expected pairs of a human and a gpt message, found {found}")
    messages = []
    for number, message in enumerate(value):
        speaker = ("human", "gpt")[number % 2]
        said = text(as_object(message), "value", reason="broken_conversation")
        if message.get("from") != speaker or not said.strip():
            raise BadRow("broken_conversation", f"message {number + 1}: expected something said by {speaker!r}")
        messages.append({"from": speaker, "value": said})
    return messages
