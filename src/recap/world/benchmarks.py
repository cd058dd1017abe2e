"""Write the embedded benchmarks, each in its official file format, as `data/benchmarks/<name>/`.

Every picture has one or two questions, so that scores are clustered by image as in the real benchmarks.
"""

import hashlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recap.io import write_json, write_jsonl
from recap.runtime.seeding import derive_seed
from recap.world import mmbench
from recap.world.annotators import ocr_tokens, perceived_answers, written_answers
from recap.world.asking import Asked, ask
from recap.world.corpus import draw
from recap.world.finetune import SHORT_ANSWER_PROMPT
from recap.world.scenes import Scene
from recap.world.settings import WorldSettings

# The families of each benchmark, drawn in proportion to their weights.
TEXTVQA_FAMILIES = {"read_word": 1}
OKVQA_FAMILIES = {"knowledge": 4, "class_on_side": 1}
# VQAv2: 38 % yes/no, 12 % number, 50 % other, as in its validation set.
VQAV2_FAMILIES = {
    "has_kind": 19, "is_colour": 19, "count": 12,
    "main_colour": 12, "other_colour": 12, "sign_colour": 8, "kind_on_side": 10, "time": 8,
}  # fmt: skip
# GQA: family -> (weight, structural, semantic and detailed type).
GQA_FAMILIES = {
    "main_colour": (3, "query", "attr", "colorQuery"),
    "kind_on_side": (3, "query", "rel", "relO"),
    "class_on_side": (2, "query", "cat", "categoryThat"),
    "has_kind": (3, "verify", "obj", "existC"),
    "is_colour": (3, "verify", "attr", "verifyAttrC"),
    "choose_colour": (2, "choose", "attr", "chooseAttr"),
    "choose_kind": (2, "choose", "rel", "relChooser"),
    "time": (1, "choose", "global", "typeChoose"),
}

# The prefixes of VQAv2's question types that the world's questions begin with, longest first.
QUESTION_TYPES = (
    "what color are the", "what color is the", "what is on the", "is there a", "how many", "are the", "is the", "is it",
)  # fmt: skip

OKVQA_TYPES = {"six": "Geography, History, Language and Culture", "seven": "People and Everyday life", "other": "Other"}


def write_benchmark(name: str, world: WorldSettings, folder: Path) -> int:
    """Write one benchmark below `folder`.

    Args:
        name: One of `recap.params.BENCHMARKS`.
        world: Settings; `benchmarks.questions` is the number of questions.
        folder: Where its files go.

    Returns:
        The number of questions; for MMBench, of rows.
    """
    return _WRITERS[name](world, folder)


def _write_textvqa(world: WorldSettings, folder: Path) -> int:
    asked = ask("textvqa", TEXTVQA_FAMILIES, world)
    rows, ocr_rows = [], []
    for number, item in enumerate(asked):
        rng = random.Random(derive_seed(world.seed, "textvqa answers", item.scene.id, item.question))
        image_id = _textvqa_image_id(item.scene)
        rows.append({
            "question": item.question,
            "image_id": image_id,
            "image_classes": [],
            "flickr_original_url": "",
            "flickr_300k_url": "",
            "image_width": item.scene.width,
            "image_height": item.scene.height,
            "answers": written_answers(item.answer, rng),
            "question_tokens": item.question.rstrip("?").split(),
            "question_id": 34602 + number,  # where the real validation split begins
            "set_name": "val",
        })  # fmt: skip
        tokens = ", ".join(ocr_tokens(item.scene.word, rng))
        ocr_rows.append({
            # The image's id: what the field holds in the file that LLaVA and MGM use.
            "question_id": image_id,
            "image": f"{image_id}.jpg",
            "text": f"{item.question}\nReference OCR token: {tokens}\n{SHORT_ANSWER_PROMPT}",
            "category": "default",
        })  # fmt: skip
    head = {"dataset_type": "val", "dataset_name": "textvqa", "dataset_version": "0.5.1"}
    write_json(folder / "TextVQA_0.5.1_val.json", {**head, "data": rows})
    write_jsonl(folder / "llava_textvqa_val_v051_ocr.jsonl", ocr_rows)
    _draw_all(asked, folder / "train_images", _textvqa_image_id, "textvqa")
    return len(asked)


def _textvqa_image_id(scene: Scene) -> str:
    return hashlib.blake2b(scene.id.encode(), digest_size=8).hexdigest()


def _write_vqav2(world: WorldSettings, folder: Path) -> int:
    asked = ask("vqav2", VQAV2_FAMILIES, world)
    questions, annotations = [], []
    for item in asked:
        rng = random.Random(derive_seed(world.seed, "vqav2 answers", item.scene.id, item.question))
        image_id, question_id = _coco_ids(item)
        questions.append({"image_id": image_id, "question": item.question, "question_id": question_id})
        answers = [
            {"answer": answer, "answer_confidence": "yes" if answer == item.answer else "maybe", "answer_id": number}
            for number, answer in enumerate(perceived_answers(item.answer, rng), start=1)
        ]
        annotations.append({
            "question_type": next((p for p in QUESTION_TYPES if item.question.startswith(p)), "none of the above"),
            "multiple_choice_answer": item.answer,
            "answers": answers,
            "image_id": image_id,
            "answer_type": _answer_type(item.answer),
            "question_id": question_id,
        })  # fmt: skip
    _write_vqa(folder, "v2_", questions, annotations, {})
    _draw_all(asked, folder / "val2014", _coco_name, "vqav2")
    return len(asked)


def _answer_type(answer: str) -> str:
    if answer in ("yes", "no"):
        return "yes/no"
    return "number" if answer.isdigit() else "other"


def _write_okvqa(world: WorldSettings, folder: Path) -> int:
    asked = ask("okvqa", OKVQA_FAMILIES, world)
    questions, annotations = [], []
    for item in asked:
        rng = random.Random(derive_seed(world.seed, "okvqa answers", item.scene.id, item.question))
        image_id, question_id = _coco_ids(item)
        questions.append({"image_id": image_id, "question": item.question, "question_id": question_id})
        # Five people, each listed twice; `answer` is `raw_answer` brought to one form.
        people = [answer for answer in written_answers(item.answer, rng)[:5] for _ in range(2)]
        annotations.append({
            "image_id": image_id,
            "answer_type": "other",
            "question_type": "seven" if item.family == "knowledge" else "other",
            "question_id": question_id,
            "answers": [
                {"answer_id": number, "raw_answer": raw, "answer_confidence": "yes", "answer": raw.lower()}
                for number, raw in enumerate(people, start=1)
            ],
            "confidence": 5,
        })  # fmt: skip
    _write_vqa(folder, "", questions, annotations, {"question_types": OKVQA_TYPES})
    _draw_all(asked, folder / "val2014", _coco_name, "okvqa")
    return len(asked)


def _coco_ids(item: Asked) -> tuple[int, int]:
    image_id = item.image + 1
    return image_id, image_id * 1000 + item.turn


def _coco_name(scene: Scene) -> str:
    return f"COCO_val2014_{int(scene.id.rsplit('-', 1)[1]) + 1:012d}"


def _write_vqa(
    folder: Path, prefix: str, questions: list[dict[str, Any]], annotations: list[dict[str, Any]], extra: dict[str, Any]
) -> None:
    """Write a question file and an annotation file in the layout that VQA and OK-VQA share."""
    head = {
        "info": {"description": "Recap street world", "version": "1.0"},
        "data_type": "mscoco",
        "data_subtype": "val2014",
        "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
    }
    question_file = {**head, "task_type": "Open-Ended", "questions": questions}
    write_json(folder / f"{prefix}OpenEnded_mscoco_val2014_questions.json", question_file)
    write_json(folder / f"{prefix}mscoco_val2014_annotations.json", {**head, **extra, "annotations": annotations})


def _write_gqa(world: WorldSettings, folder: Path) -> int:
    asked = ask("gqa", {family: entry[0] for family, entry in GQA_FAMILIES.items()}, world)
    questions = {}
    for number, item in enumerate(asked):
        question_id = f"20{number:07d}"
        _, structural, semantic, detailed = GQA_FAMILIES[item.family]
        questions[question_id] = {
            "semantic": [],
            "entailed": [],
            "equivalent": [question_id],
            "question": item.question,
            "imageId": _gqa_image_id(item.scene),
            "isBalanced": True,
            "groups": {"global": item.family, "local": f"{item.image}-{item.family}"},
            "answer": item.answer,
            "semanticStr": "",
            "annotations": {"answer": {}, "question": {}, "fullAnswer": {}},
            "types": {"detailed": detailed, "semantic": semantic, "structural": structural},
            "fullAnswer": item.answer,
        }
    write_json(folder / "testdev_balanced_questions.json", questions)
    _draw_all(asked, folder / "images", _gqa_image_id, "gqa")
    return len(asked)


def _gqa_image_id(scene: Scene) -> str:
    return f"n{int(scene.id.rsplit('-', 1)[1]) + 1}"


def _draw_all(asked: list[Asked], folder: Path, name: Callable[[Scene], str], what: str) -> None:
    """Render every scene that is asked about once, as `<folder>/<name(scene)>.jpg`."""
    shown = {item.scene.id: item.scene for item in asked}
    draw(((scene, folder / f"{name(scene)}.jpg") for scene in shown.values()), len(shown), what)


_WRITERS: dict[str, Callable[[WorldSettings, Path], int]] = {
    "textvqa": _write_textvqa,
    "mmbench": mmbench.write_mmbench,
    "vqav2": _write_vqav2,
    "gqa": _write_gqa,
    "okvqa": _write_okvqa,
}
