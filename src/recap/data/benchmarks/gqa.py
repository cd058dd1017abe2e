"""GQA (Hudson & Manning 2019), balanced testdev questions.

Files: `testdev_balanced_questions.json` and `images/`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from recap.data.benchmarks.base import Benchmark
from recap.data.benchmarks.questions import SHORT_ANSWER, ImageNames, Question
from recap.io import read_json, write_json

if TYPE_CHECKING:
    from recap.world.asking import Asked
    from recap.world.street import StreetWorld

# What the embedded world asks: family -> (weight, structural, semantic and detailed type).
FAMILIES = {
    "main_colour": (3, "query", "attr", "colorQuery"),
    "kind_on_side": (3, "query", "rel", "relO"),
    "class_on_side": (2, "query", "cat", "categoryThat"),
    "has_kind": (3, "verify", "obj", "existC"),
    "is_colour": (3, "verify", "attr", "verifyAttrC"),
    "choose_colour": (2, "choose", "attr", "chooseAttr"),
    "choose_kind": (2, "choose", "rel", "relChooser"),
    "time": (1, "choose", "global", "typeChoose"),
}


class GQA(Benchmark):
    """`{question id: {question, answer, imageId, isBalanced, types}}`; unbalanced questions are left out."""

    name = "gqa"
    title = "GQA"
    folder = "gqa"
    questions_files = ("testdev_balanced_questions.json",)
    images_folder = "images"
    scoring = "exact_match"
    metric_groups = ("structural", "semantic")

    def read(self, folder: Path) -> list[Question]:
        images = ImageNames(folder, self.images_folder)
        return [
            _question(key, row, images.path(str(row["imageId"])))
            for key, row in read_json(folder / self.questions_files[0]).items()
            if row.get("isBalanced", True)
        ]

    def write(self, world: "StreetWorld", folder: Path) -> int:
        asked = world.ask(self.name, {family: entry[0] for family, entry in FAMILIES.items()})
        ids = [f"20{number:07d}" for number in range(len(asked))]
        questions = {question_id: _row(item, question_id) for question_id, item in zip(ids, asked, strict=True)}
        write_json(folder / self.questions_files[0], questions)
        images = folder / self.images_folder
        world.draw({images / f"{_image_id(item)}.jpg": item.scene for item in asked}, self.name)
        return len(asked)


def _question(key: str, row: dict[str, Any], image: str) -> Question:
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


def _image_id(item: "Asked") -> str:
    return f"n{item.image + 1}"


def _row(item: "Asked", question_id: str) -> dict[str, Any]:
    _, structural, semantic, detailed = FAMILIES[item.family]
    return {
        "semantic": [],
        "entailed": [],
        "equivalent": [question_id],
        "question": item.question,
        "imageId": _image_id(item),
        "isBalanced": True,
        "groups": {"global": item.family, "local": f"{item.image}-{item.family}"},
        "answer": item.answer,
        "semanticStr": "",
        "annotations": {"answer": {}, "question": {}, "fullAnswer": {}},
        "types": {"detailed": detailed, "semantic": semantic, "structural": structural},
        "fullAnswer": item.answer,
    }
