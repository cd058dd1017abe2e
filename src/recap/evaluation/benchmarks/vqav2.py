"""VQAv2 (Goyal et al. 2017), validation split in its official files.

Files: official questions and annotations of COCO val2014, and `val2014/`.
"""

from pathlib import Path
from typing import Any, ClassVar

from recap.evaluation.benchmarks.base import Benchmark
from recap.evaluation.benchmarks.questions import SHORT_ANSWER, ImageNames, Question
from recap.io import read_json
from recap.runtime.errors import UserError


class VQAv2(Benchmark):
    """Questions and annotations must be about the same set of question ids."""

    name = "vqav2"
    questions_file: ClassVar[str] = "v2_OpenEnded_mscoco_val2014_questions.json"
    annotations_file: ClassVar[str] = "v2_mscoco_val2014_annotations.json"

    def read(self, folder: Path, *, ocr_tokens: bool) -> list[Question]:
        rows = read_json(folder / self.questions_file)["questions"]
        annotations = {row["question_id"]: row for row in read_json(folder / self.annotations_file)["annotations"]}
        unmatched = {row["question_id"] for row in rows} ^ annotations.keys()
        if unmatched:
            raise UserError(
                f"{folder / self.annotations_file}: expected annotations for exactly the questions of "
                f"{self.questions_file}, found {len(unmatched)} unmatched ids, among them {min(unmatched)}"
            )
        images = ImageNames(folder, "val2014")
        return [_question(row, annotations[row["question_id"]], images) for row in rows]


def _question(row: dict[str, Any], annotation: dict[str, Any], images: ImageNames) -> Question:
    image = images.path(f"COCO_val2014_{row['image_id']:012d}")
    return Question(
        key=str(row["question_id"]),
        question_id=row["question_id"],
        image=image,
        image_id=image,
        question=row["question"],
        text=f"{row['question']}\n{SHORT_ANSWER}",
        references=tuple(answer["answer"] for answer in annotation["answers"]),
        groups={"answer_type": annotation["answer_type"], "question_type": annotation["question_type"]},
    )
