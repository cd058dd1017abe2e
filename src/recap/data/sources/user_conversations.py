"""A user's LLaVA conversations into `data/finetune/`.

A row is accepted if it trains (`recap.models.mgm.conversation.training_text`), and written as it will: what the
original leaves out of a conversation, a first message of the model and a last one of the human, is left out here. So is
an image that no message shows: the original reads it and trains on the text alone.
"""

import logging
from pathlib import Path, PurePosixPath
from typing import Any

from recap.data.corpus.images import BadImage
from recap.data.corpus.references import Links, looks_like_base64
from recap.data.formats.llava import IMAGE_TOKEN, speaker_of, words_of
from recap.data.sources.fields import BadRow, as_object, best_effort_id, identifier, writable
from recap.data.sources.pictures import copy_images, embedded_picture, examine
from recap.data.sources.rejections import Part, may_still_fail
from recap.data.sources.user_json import read_user_list
from recap.io import write_json

logger = logging.getLogger(__name__)

RESERVED = ("train.json", "rejected.jsonl")

# What Gemma's template closes a round and opens an answer with: inside a message nobody could tell which are learnt.
TEMPLATE_MARKS = ("<eos>", "<start_of_turn>model\n")


def take_conversations(rows_file: Path, folder: Path, *, links: Links = "inside", max_rejected: float = 100.0) -> Part:
    """Copy the usable conversations of a user's file; ids may repeat, as they do in LLaVA's own sets.

    Args:
        rows_file: A JSON list, or JSON Lines, of `{"id" (optional), "image" (optional), "conversations": [{"from",
            "value"}, ...]}` or `{"images", "messages": [{"role", "content"}, ...]}`, paths relative to its folder.
        folder: Gets `train.json` and the images under their own relative names.
        links: See `recap.data.corpus.references.resolve`.
        max_rejected: Percent of rows; once more are rejected, the rest is not looked at.

    Raises:
        UserError: The file as a whole is no list of rows.
    """
    root = rows_file.parent
    source = read_user_list(rows_file, "conversations")
    pictures: dict[str, bytes] = {}
    unseen: list[str] = []
    rows = [_read(value, where, pictures, unseen) for where, value in source]
    if unseen:
        logger.warning(
            "warning: %s: %d rows name an image and no message has %s, among them %s: they train as text alone",
            rows_file, len(unseen), IMAGE_TOKEN, unseen[0],
        )  # fmt: skip
    images = [row["image"] for row in rows if isinstance(row, dict) and "image" in row]
    named = [image for image in images if image not in pictures]
    may_fail = may_still_fail(len(rows), sum(not isinstance(row, dict) for row in rows), max_rejected)
    examined = examine(root, named, "finetune", links=links, may_fail=may_fail) if may_fail >= 0 else {}
    kept: list[dict[str, Any]] = []
    rejections = []
    judged: dict[str, Any] | BadRow | BadImage
    for (where, original), row in zip(source, rows, strict=True):
        if isinstance(row, dict) and "image" in row and row["image"] not in pictures:
            if row["image"] not in examined:
                continue
            judged = _with_image(row, examined[row["image"]])
        else:
            judged = row
        if isinstance(judged, dict):
            kept.append(judged)
        else:
            rejections.append(judged.at(where, best_effort_id(original)))
    if len(kept) + len(rejections) < len(rows):
        return Part("user", 0, rejections, unread=len(rows) - len(rejections))
    used = dict.fromkeys(row["image"] for row in kept if "image" in row)
    copy_images(root, {image: image for image in used if image not in pictures}, folder, links=links)
    for image in used:
        if image in pictures:
            (folder / image).parent.mkdir(parents=True, exist_ok=True)
            (folder / image).write_bytes(pictures[image])
    write_json(folder / "train.json", kept)
    return Part("user", len(kept), rejections)


def _read(value: Any, where: str, pictures: dict[str, bytes], unseen: list[str]) -> dict[str, Any] | BadRow | BadImage:
    """A row as it is written, or what is wrong with it; a picture that stands in it is added to `pictures`.

    The place of a row whose image no message shows is added to `unseen`.
    """
    if isinstance(value, BadRow):
        return value
    try:
        row = as_object(value)
        clean: dict[str, Any] = {"id": where if row.get("id") in (None, "") else identifier(row)}
        image = _image(row)
        messages = _conversation(row, has_image=image is not None)
        if image is not None and not any(IMAGE_TOKEN in message["value"] for message in messages):
            unseen.append(where)
            image = None
        if image is not None and looks_like_base64(image):
            clean["image"], content = embedded_picture(image)
            pictures[clean["image"]] = content
        elif image is not None:
            clean["image"] = image
        clean["conversations"] = messages
    except (BadRow, BadImage) as fault:
        return fault.with_traceback(None)
    return clean


def _with_image(row: dict[str, Any], found: str | BadImage) -> dict[str, Any] | BadRow | BadImage:
    if isinstance(found, BadImage):
        return found
    if found in RESERVED:
        return BadRow("reserved_name", f"an image cannot be called {found}: the finetune folder needs the name")
    return {**row, "image": found}


def _image(row: dict[str, Any]) -> str | None:
    """A row's image, alone, in a list of one, or as datasets' {"bytes", "path"}: a path, or base64, or None."""
    key = next((key for key in ("image", "images") if row.get(key) not in (None, [], "")), None)
    if key is None:
        return None
    value = row[key]
    if isinstance(value, list):
        if len(value) > 1:
            raise BadRow("several_images", f"expected one path, found a list of {len(value)}")
        value = value[0]
    if isinstance(value, dict):
        bare = value.get("bytes")
        value = f"data:,{bare}" if isinstance(bare, str) and bare else value.get("path")
    if not isinstance(value, str) or not value:
        raise BadRow("no_image", f"expected {key!r} to be a path, found {value!r:.80}")
    if looks_like_base64(value):
        return value
    image = str(PurePosixPath(writable(value, key)))
    if image in RESERVED:
        raise BadRow("reserved_name", f"an image cannot be called {image}: the finetune folder needs the name")
    return image


def _conversation(row: dict[str, Any], *, has_image: bool) -> list[dict[str, str]]:
    """The turns that train: human and gpt in alternation, no answer empty, the image in a turn of the human."""
    value = row.get("conversations") if row.get("conversations") is not None else row.get("messages")
    if not isinstance(value, list) or not value:
        raise BadRow("broken_conversation", f"expected a list of messages under 'conversations', found {value!r:.80}")
    messages = [_message(message, number) for number, message in enumerate(value, start=1)]
    if messages[0]["from"] == "gpt":
        messages = messages[1:]
    if messages and messages[-1]["from"] == "human":
        messages = messages[:-1]
    speakers = [message["from"] for message in messages]
    if not messages or speakers != ["human", "gpt"] * (len(messages) // 2):
        heard = [speaker_of(message) for message in value]
        raise BadRow(
            "broken_conversation", f"expected human and gpt in alternation and an answer, found {heard!s:.120}"
        )
    if not all(message["value"].strip() for message in messages[1::2]):
        raise BadRow("broken_conversation", "expected every gpt message to say something, found an empty one")
    _check_images(messages, has_image=has_image)
    return messages


def _message(value: Any, number: int) -> dict[str, str]:
    message = as_object(value)
    speaker = speaker_of(message)
    if speaker == "system":
        raise BadRow(
            "broken_conversation",
            f"message {number}: a system message, for which Gemma's template has no place; put its text into the first "
            "human message",
        )
    if speaker not in ("human", "gpt"):
        raise BadRow("broken_conversation", f"message {number}: expected 'human' or 'gpt', found {speaker!r:.80}")
    said = words_of(message)
    if not isinstance(said, str):
        raise BadRow("broken_conversation", f"message {number}: expected text under 'value', found {said!r:.80}")
    for mark in TEMPLATE_MARKS:
        if mark in said:
            raise BadRow(
                "broken_conversation", f"message {number}: expected no {mark!r} in it, which is the template's"
            )
    return {"from": speaker, "value": writable(said, "value")}


def _check_images(messages: list[dict[str, str]], *, has_image: bool) -> None:
    """Raises: BadRow: image_tag_mismatch. Several `<image>` in one message are one, as the original reads them."""
    if any(IMAGE_TOKEN in message["value"] for message in messages[1::2]):
        raise BadRow("image_tag_mismatch", f"expected {IMAGE_TOKEN} in a message of the human, found it in an answer")
    tagged = sum(IMAGE_TOKEN in message["value"] for message in messages)
    if tagged > has_image:
        place = "one human message" if has_image else "no message, as there is no image"
        raise BadRow("image_tag_mismatch", f"expected {IMAGE_TOKEN} in {place}, found it in {tagged}")
