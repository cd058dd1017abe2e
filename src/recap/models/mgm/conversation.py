"""The Gemma conversation format of MGM, and which of its tokens are learnt.

In: LLaVA conversations, `[{"from": "human" | "gpt", "value": str}, ...]`, and a tokenizer. Out: prompt text,
token ids in which each `<image>` is one placeholder id, and labels. Follows dvlab-research/MGM@769820c
(mgm/conversation.py "gemma", mgm/mm_utils.py, mgm/train/train.py), Apache-2.0, without its code.
"""

from collections.abc import Sequence
from typing import Any

IMAGE_TOKEN = "<image>"
IGNORE_INDEX = -100

_END_OF_ROUND = "<eos>"
_ANSWER_STARTS = "<start_of_turn>model\n"
_ROLES = {"human": "user", "gpt": "model"}


class LabelMismatch(ValueError):
    """A conversation whose learnt tokens cannot be told apart; the sample has to be left out, and counted."""


def turn(role: str, text: str) -> str:
    """One message, closed; what the model says ends a round."""
    end = _END_OF_ROUND if role == "model" else ""
    return f"<start_of_turn>{role}\n{text}<end_of_turn>\n{end}"


def inference_prompt(question: str, *, with_image: bool) -> str:
    """The text that the model continues with its answer. `<image>` inside the question is removed.

    The leading `<bos>` is the tokenizer's business.
    """
    question = question.replace(IMAGE_TOKEN, "").strip() if IMAGE_TOKEN in question else question
    text = f"{IMAGE_TOKEN}\n{question}" if with_image else question
    return turn("user", text) + _ANSWER_STARTS


def image_first(message: str) -> str:
    """Move a message's `<image>` to its beginning; several become one, as in the original."""
    if IMAGE_TOKEN not in message:
        return message
    return f"{IMAGE_TOKEN}\n{message.replace(IMAGE_TOKEN, '').strip()}".strip()


def training_text(conversations: Sequence[dict[str, str]], *, has_image: bool) -> str:
    """A whole conversation as one text.

    Raises:
        LabelMismatch: The speakers do not alternate (a first message of "gpt" is left out), nobody speaks, or
            the number of `<image>` does not fit the sample's image.
    """
    messages = list(conversations)
    if messages and messages[0]["from"] == "gpt":
        messages = messages[1:]
    expected = ["human", "gpt"] * len(messages)
    found = [message["from"] for message in messages]
    if not messages or found != expected[: len(messages)]:
        raise LabelMismatch(f"speakers should alternate between human and gpt, found {found}")
    values = [image_first(message["value"]) if has_image else message["value"] for message in messages]
    images = sum(value.count(IMAGE_TOKEN) for value in values)
    if images > int(has_image):
        raise LabelMismatch(f"{images} messages with {IMAGE_TOKEN}, but {int(has_image)} image")
    return "".join(turn(_ROLES[speaker], value) for speaker, value in zip(found, values, strict=True))


def tokenize(tokenizer: Any, text: str, image_token_id: int) -> list[int]:
    """Token ids of a text, one `image_token_id` per `<image>` and nowhere else.

    The text around an image is tokenized piece by piece, so no token spans it; only the first piece keeps
    its `<bos>`.
    """
    pieces = [_text_ids(tokenizer, piece, image_token_id) for piece in text.split(IMAGE_TOKEN)]
    return _joined(tokenizer, pieces, [image_token_id])


def _text_ids(tokenizer: Any, text: str, image_token_id: int) -> list[int]:
    """Ids of a text without images; the placeholder's token, should somebody have written it out, is plain text."""
    ids: list[int] = list(tokenizer(text).input_ids)
    if image_token_id not in ids:
        return ids
    literal = tokenizer.convert_ids_to_tokens(image_token_id)
    # No token spans two calls of the tokenizer: cut behind its first character, the token is not recognised.
    first, *others = text.split(literal)
    pieces = [first, *(literal[1:] + other for other in others)]
    pieces = [piece + literal[0] for piece in pieces[:-1]] + pieces[-1:]
    return _joined(tokenizer, [list(tokenizer(piece).input_ids) for piece in pieces], [])


def _joined(tokenizer: Any, pieces: list[list[int]], between: list[int]) -> list[int]:
    """Pieces of one text as one, `between` standing between them; only the first keeps its `<bos>`."""
    bos = pieces[0][:1] if pieces[0][:1] == [tokenizer.bos_token_id] else []
    ids = list(pieces[0])
    for piece in pieces[1:]:
        ids += [*between, *piece[len(bos) :]]
    return ids


def answer_labels(tokenizer: Any, text: str, ids: Sequence[int], image_token_id: int) -> list[int]:
    """Labels of a conversation: the answers with their end marks, -100 elsewhere.

    Args:
        tokenizer: The one that made `ids`.
        text: From `training_text`.
        ids: `tokenize(tokenizer, text, image_token_id)`.
        image_token_id: The placeholder in `ids`.

    Raises:
        LabelMismatch: The rounds, tokenized one by one, do not add up to `ids`: an answer contains `<eos>`.
    """
    labels = list(ids)
    position = 1  # <bos>
    labels[0] = IGNORE_INDEX
    for round_text in text.split(_END_OF_ROUND):
        question, found, answer = round_text.partition(_ANSWER_STARTS)
        if not found or _ANSWER_STARTS in answer:
            break
        # The <bos> that each round's own tokens begin with stands for the <eos> that the split took away.
        start = position + len(tokenize(tokenizer, question + found, image_token_id)) - 1
        labels[position:start] = [IGNORE_INDEX] * (start - position)
        position += len(tokenize(tokenizer, round_text, image_token_id))
    if position != len(ids):
        raise LabelMismatch(f"rounds add up to {position} tokens, the conversation has {len(ids)}")
    return labels
