"""Answer files in the format of LLaVA and MGM, with a key that no two questions share."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from recap.data.benchmarks.questions import Question
from recap.evaluation.generation.answerer import Reply


def answer_rows(
    questions: Sequence[Question], replies: Mapping[str, Reply], *, model_id: str, blank: bool = False
) -> list[dict[str, Any]]:
    """One row per question: `question_id`, `prompt`, `text`, `answer_id`, `model_id`, `metadata`, `key`.

    Args:
        questions: In the order of the file.
        replies: By key.
        model_id: Name of the model, LLaVA takes the last part of its path.
        blank: Whether the images were blanked; said in `metadata`.

    Returns:
        Rows that depend on nothing but the arguments: `answer_id` is a digest, where LLaVA draws one. A question
        without an answer has an empty `text` and `metadata.unanswered`, the reason.
    """
    rows = []
    for question in questions:
        reply = replies[question.key]
        metadata: dict[str, Any] = {"blank_image": True} if blank else {}
        if reply.fault:
            metadata |= {"unanswered": reply.fault.reason, "detail": reply.fault.detail}
        identity = "\0".join([model_id, question.key, str(blank), question.text, reply.text])
        rows.append(
            {
                "question_id": question.question_id,
                "prompt": question.text,
                "text": reply.text,
                "answer_id": hashlib.blake2b(identity.encode(), digest_size=11).hexdigest(),
                "model_id": model_id,
                "metadata": metadata,
                "key": question.key,
            }
        )
    return rows
