"""GQA (Hudson & Manning 2019), balanced testdev questions.

Files: `testdev_balanced_questions.json` and `images/`.
"""

from pathlib import Path
from typing import Any

from recap.evaluation.benchmarks.base import Benchmark
from recap.evaluation.benchmarks.questions import SHORT_ANSWER, ImageNames, Question
from recap.io import read_json

QUESTIONS = "testdev_balanced_questions.json"


class GQA(Benchmark):
    """`{question id: {question, answer, imageId, isBalanced, types}}`; unbalanced questions are left out."""

    name = "gqa"

    def read(self, folder: Path, *, ocr_tokens: bool) -> list[Question]:
        images = ImageNames(folder, "images")
        return [
            _question(key, row, images)
            for key, row in read_json(folder / QUESTIONS).items()
            if row.get("isBalanced", True)
        ]


def _question(key: str, row: dict[str, Any], images: ImageNames) -> Question:
    image = images.path(row["imageId"])
    kinds = row.get("types") or {}
    return Question(
        key=key,
        question_id=key,
        image=image,
        image_id=image,
        question=row["question"],
        text=f"{row['question']}\n{SHORT_ANSWER}",
        references=(row["answer"],),
        groups={group: kinds[group] for group in ("structural", "semantic") if kinds.get(group)},
    )
