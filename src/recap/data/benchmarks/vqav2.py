"""VQAv2 (Goyal et al. 2017), validation split, and OK-VQA (Marino et al. 2019), which has the same format and prompt.

Files: official questions and annotations of COCO val2014, and `val2014/`.
"""

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from recap.data.benchmarks.base import Benchmark
from recap.data.benchmarks.questions import SHORT_ANSWER, ImageNames, Question
from recap.io import read_json, write_json
from recap.runtime.errors import UserError

if TYPE_CHECKING:
    from recap.world.asking import Asked
    from recap.world.street import StreetWorld

# The prefixes of VQAv2's question types that the world's questions begin with, longest first.
QUESTION_TYPES = (
    "what color are the", "what color is the", "what is on the", "is there a", "how many", "are the", "is the", "is it",
)  # fmt: skip

OKVQA_TYPES = {"six": "Geography, History, Language and Culture", "seven": "People and Everyday life", "other": "Other"}


def coco_name(image_id: int) -> str:
    """The name, without extension, of an image of COCO's val2014."""
    return f"COCO_val2014_{image_id:012d}"


class VQA(Benchmark):
    """A file of questions and one of annotations; both must be about the same set of question ids, compared as text.

    Without annotations questions have no references, which answering does not need and scoring refuses.

    Attributes:
        annotations_file: Its official name.
        annotations_head: What stands before the annotations besides what both files begin with.
        families: What the embedded world asks, with weights.
        annotators: How its people answer; see `recap.world.asking`.
    """

    rows_key = "questions"
    annotations_file: ClassVar[str]
    annotations_key = "annotations"
    annotations_head: ClassVar[dict[str, Any]] = {}
    images_folder = "val2014"
    scoring = "official_vqa"
    metric_groups = ("answer_type",)
    families: ClassVar[dict[str, int]]
    annotators: ClassVar[Literal["written", "perceived"]]

    def read(self, folder: Path) -> list[Question]:
        rows = read_json(folder / self.questions_files[0])[self.rows_key]
        images = ImageNames(folder, self.images_folder)
        file = folder / self.annotations_file
        if not file.exists():  # of a test split nobody has them: it can be asked, and is scored elsewhere
            return [_question(row, {"answers": ()}, images) for row in rows]
        annotations = {str(row["question_id"]): row for row in read_json(file)[self.annotations_key]}
        unmatched = {str(row["question_id"]) for row in rows} ^ annotations.keys()
        if unmatched:
            raise UserError(
                f"{file}: expected annotations for exactly the questions of "
                f"{self.questions_files[0]}, found {len(unmatched)} unmatched ids, among them {min(unmatched)}"
            )
        return [_question(row, annotations[str(row["question_id"])], images) for row in rows]

    def write(self, world: "StreetWorld", folder: Path) -> int:
        asked = world.ask(self.name, self.families, self.annotators)
        ids = [(item.image + 1, (item.image + 1) * 1000 + item.turn) for item in asked]
        questions = [
            {"image_id": image_id, "question": item.question, "question_id": question_id}
            for item, (image_id, question_id) in zip(asked, ids, strict=True)
        ]
        annotations = [self.annotation(item, *both) for item, both in zip(asked, ids, strict=True)]
        head = {
            "info": {"description": "Recap street world", "version": "1.0"},
            "data_type": "mscoco",
            "data_subtype": "val2014",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        }
        write_json(folder / self.questions_files[0], {**head, "task_type": "Open-Ended", self.rows_key: questions})
        write_json(folder / self.annotations_file, {**head, **self.annotations_head, self.annotations_key: annotations})
        images = folder / self.images_folder
        world.draw({images / f"{coco_name(item.image + 1)}.jpg": item.scene for item in asked}, self.name)
        return len(asked)

    @abstractmethod
    def annotation(self, item: "Asked", image_id: int, question_id: int) -> dict[str, Any]:
        """One row of the annotation file, about a question of the embedded world."""


class VQAv2(VQA):
    name = "vqav2"
    title = "VQAv2"
    folder = "vqav2"
    questions_files = ("v2_OpenEnded_mscoco_val2014_questions.json",)
    annotations_file = "v2_mscoco_val2014_annotations.json"
    # 38 % yes/no, 12 % number, 50 % other, as in the real validation set.
    families: ClassVar = {
        "has_kind": 19, "is_colour": 19, "count": 12,
        "main_colour": 12, "other_colour": 12, "sign_colour": 8, "kind_on_side": 10, "time": 8,
    }  # fmt: skip
    annotators = "perceived"

    def annotation(self, item: "Asked", image_id: int, question_id: int) -> dict[str, Any]:
        return {
            "question_type": next((p for p in QUESTION_TYPES if item.question.startswith(p)), "none of the above"),
            "multiple_choice_answer": item.answer,
            "answers": [
                {
                    "answer": answer,
                    "answer_confidence": "yes" if answer == item.answer else "maybe",
                    "answer_id": number,
                }
                for number, answer in enumerate(item.answers, start=1)
            ],
            "image_id": image_id,
            "answer_type": _answer_type(item.answer),
            "question_id": question_id,
        }


class OKVQA(VQA):
    """Questions that need outside knowledge.

    Annotators' answers are taken from `answer`, as the official code does. In the published set those are stemmed
    and predictions are not, which costs some points; scores from `raw_answer` are not comparable.
    """

    name = "okvqa"
    title = "OK-VQA"
    folder = "okvqa"
    questions_files = ("OpenEnded_mscoco_val2014_questions.json",)
    annotations_file = "mscoco_val2014_annotations.json"
    annotations_head: ClassVar = {"question_types": OKVQA_TYPES}
    families: ClassVar = {"knowledge": 4, "class_on_side": 1}
    annotators = "written"

    def annotation(self, item: "Asked", image_id: int, question_id: int) -> dict[str, Any]:
        # Five people, each listed twice; `answer` is `raw_answer` brought to one form.
        people = [answer for answer in item.answers[:5] for _ in range(2)]
        return {
            "image_id": image_id,
            "answer_type": "other",
            "question_type": "seven" if item.family == "knowledge" else "other",
            "question_id": question_id,
            "answers": [
                {"answer_id": number, "raw_answer": raw, "answer_confidence": "yes", "answer": raw.lower()}
                for number, raw in enumerate(people, start=1)
            ],
            "confidence": 5,
        }


def _question(row: dict[str, Any], annotation: dict[str, Any], images: ImageNames) -> Question:
    image = images.path(coco_name(int(row["image_id"])))
    return Question(
        key=str(row["question_id"]),
        question_id=row["question_id"],
        image=image,
        image_id=image,
        question=row["question"],
        text=f"{row['question']}\n{SHORT_ANSWER}",
        references=tuple(answer["answer"] for answer in annotation["answers"]),
        groups={group: annotation[group] for group in ("answer_type", "question_type") if annotation.get(group)},
    )


def _answer_type(answer: str) -> str:
    if answer in ("yes", "no"):
        return "yes/no"
    return "number" if answer.isdigit() else "other"
