"""LLaVA's conversations as image-caption pairs, as its 558,000 rows for pretraining are: one request, one caption."""

from typing import Any

from recap.data.formats.fields import BadRow, as_object
from recap.data.formats.rows import RawRow

# Where the words of the human stand in a row's further fields.
PROMPT = "prompt"
IMAGE_TOKEN = "<image>"

# Where the messages of a row stand; the first that has any counts.
MESSAGES = ("conversations", "messages")

# Who speaks, by what common formats call them.
SPEAKERS = {
    "human": "human", "user": "human", "gpt": "gpt", "assistant": "gpt", "model": "gpt", "chatgpt": "gpt", "bot": "gpt",
}  # fmt: skip


def read_pair(row: RawRow) -> RawRow:
    """Take a conversation for the pair that it is; a row without one is left alone.

    The caption is what the model answers, to the letter; what it was asked becomes the field `PROMPT`.

    Raises:
        BadRow: broken_conversation, when it is not one human message and its answer.
    """
    keys = [key for key in MESSAGES if isinstance(row.values.get(key), list)]
    if not keys:
        return row
    key = next((key for key in keys if row.values[key]), keys[0])
    said = [_message(message) for message in row.values[key]]
    # As LLaVA does: a conversation starts where the human does, and ends with an answer.
    if said and said[0][0] == "gpt":
        said = said[1:]
    if len(said) > 2 and said[-1][0] == "human":
        said = said[:-1]
    if [speaker for speaker, _ in said] != ["human", "gpt"]:
        speakers = ", ".join(speaker for speaker, _ in said) or "nothing"
        rounds = "; what has several rounds is for finetune.json" if speakers.count("gpt") > 1 else ""
        raise BadRow(
            "broken_conversation",
            f"expected one human message and its answer, a caption; found {speakers:.100}{rounds}",
        )
    rest = {name: value for name, value in row.values.items() if name != key}
    return RawRow(row.where, {**rest, PROMPT: said[0][1]}, caption=said[1][1], image=row.image)


def conversation(caption: str, prompt: str | None) -> list[dict[str, str]]:
    """A caption in LLaVA's form: `read_pair` gives back the caption and the prompt."""
    return [{"from": "human", "value": IMAGE_TOKEN if prompt is None else prompt}, {"from": "gpt", "value": caption}]


def speaker_of(message: dict[str, Any]) -> Any:
    """Who speaks: "human", "gpt", or whatever else the message says."""
    said_by = message.get("from") if message.get("from") is not None else message.get("role")
    return SPEAKERS.get(said_by.lower(), said_by) if isinstance(said_by, str) else said_by


def words_of(message: dict[str, Any]) -> Any:
    """What is said: text, or what else stands in its place; parts in chat form as one text.

    Raises:
        BadRow: broken_conversation, when a part is neither text nor an image.
    """
    said = message.get("value") if message.get("value") is not None else message.get("content")
    return "".join(map(_part, said)) if isinstance(said, list) else said


def _part(part: Any) -> str:
    """A part of a message in chat form, `{"type": "text" or "image", ...}`."""
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "image":
        return f"{IMAGE_TOKEN}\n"
    if kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    raise BadRow("broken_conversation", f"expected parts of text or image, found {part!r:.80}")


def _message(value: Any) -> tuple[str, str]:
    message = as_object(value)
    speaker, said = speaker_of(message), words_of(message)
    if not isinstance(speaker, str) or not isinstance(said, str):
        raise BadRow("broken_conversation", f"expected a speaker and words in each message, found {message!r:.80}")
    return speaker, said
