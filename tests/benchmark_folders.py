"""Tiny benchmark folders in the official formats, as fixtures; the conftest of a folder of tests imports them."""

import base64
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

MMBENCH_COLUMNS = (
    "index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image", "source", "l2-category", "comment",
    "split",
)  # fmt: skip


def picture(number: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    """A picture of its own for each number: a gradient with a square on it."""
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    image.paste((37 * number % 256, 91 * number % 256, 200), (number % 20, number % 10, 20 + number % 20, 20))
    return image


def base64_png(number: int) -> str:
    stream = io.BytesIO()
    picture(number).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


@pytest.fixture
def textvqa_folder(tmp_path: Path) -> Path:
    """Three questions, two of them about one image; OCR lines in another order, a token with a line break."""
    folder = tmp_path / "textvqa"
    rows = [
        ("What is the brand?", "aa01", ["dakota"] * 8 + ["dakota digital"] * 2, 1),
        ("what is written\non the sign?", "aa01", ["stop"] * 10, 2),
        ("how many seats?", "bb02", ["2"] * 3 + ["two"] * 2 + ["3"] * 5, 3),
    ]
    data = [{"question": q, "image_id": i, "answers": a, "question_id": n, "set_name": "val"} for q, i, a, n in rows]
    write(folder / "TextVQA_0.5.1_val.json", {"dataset_type": "val", "data": data})
    tokens = {1: "DAKOTA, DIGITAL", 2: "STOP, NEW\nLINE", 3: ""}
    instruction = "Answer the question using a single word or phrase."
    lines = [
        {"question_id": i, "image": f"{i}.jpg", "text": f"{q}\nReference OCR token: {tokens[n]}\n{instruction}"}
        for q, i, _, n in reversed(rows)
    ]
    (folder / "llava_textvqa_val_v051_ocr.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "train_images").mkdir()
    picture(1).save(folder / "train_images" / "aa01.jpg")
    picture(2).convert("L").save(folder / "train_images" / "bb02.png")
    return folder


def write_vqa(folder: Path, questions_file: str, annotations_file: str) -> Path:
    questions = [(42, 420, "Is it red?"), (42, 421, "How many cats?"), (7, 70, "What is it?")]
    answers = [("yes/no", "is it", ["yes"] * 10), ("number", "how many", ["2"] * 10), ("other", "what is", ["a"] * 10)]
    write(
        folder / questions_file,
        {
            "data_subtype": "val2014",
            "questions": [{"image_id": i, "question_id": n, "question": q} for i, n, q in questions],
        },
    )
    annotations = [
        {
            "image_id": image,
            "question_id": number,
            "answer_type": answer_type,
            "question_type": question_type,
            "answers": [{"answer_id": k + 1, "answer": text} for k, text in enumerate(texts)],
        }
        for (image, number, _), (answer_type, question_type, texts) in zip(questions, answers, strict=True)
    ]
    write(folder / annotations_file, {"annotations": annotations[::-1]})
    (folder / "val2014").mkdir()
    for image in (42, 7):
        picture(image).save(folder / "val2014" / f"COCO_val2014_{image:012d}.jpg")
    return folder


@pytest.fixture
def vqav2_folder(tmp_path: Path) -> Path:
    files = ("v2_OpenEnded_mscoco_val2014_questions.json", "v2_mscoco_val2014_annotations.json")
    return write_vqa(tmp_path / "vqav2", *files)


@pytest.fixture
def okvqa_folder(tmp_path: Path) -> Path:
    files = ("OpenEnded_mscoco_val2014_questions.json", "mscoco_val2014_annotations.json")
    return write_vqa(tmp_path / "okvqa", *files)


@pytest.fixture
def gqa_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "gqa"
    kinds = {"structural": "query", "semantic": "attr", "detailed": "color"}
    write(
        folder / "testdev_balanced_questions.json",
        {
            "201": {
                "question": "What color is it?",
                "answer": "red",
                "imageId": "n1",
                "isBalanced": True,
                "types": kinds,
            },
            "202": {"question": "Is it big?", "answer": "no", "imageId": "n1", "isBalanced": False, "types": kinds},
            "203": {
                "question": "Is it small?",
                "answer": "yes",
                "imageId": "n2",
                "isBalanced": True,
                "types": {"structural": "verify", "semantic": "attr"},
            },
        },
    )
    (folder / "images").mkdir()
    for number in (1, 2):
        picture(number).save(folder / "images" / f"n{number}.jpg")
    return folder


@pytest.fixture
def mmbench_folder(tmp_path: Path) -> Path:
    """Question 1 with all four rotations, one of its options called None; question 2 with one rotation missing."""
    folder = tmp_path / "mmbench"
    folder.mkdir()
    options = ["None", "One", "Two", "Three"]
    rows = [
        {
            "index": 1 + k * 1_000_000,
            "question": "How many cats?",
            "hint": "Look closely.",
            **dict(zip("ABCD", options[k:] + options[:k], strict=True)),
            "answer": "BADC"[k],
            "category": "object_localization",
            "image": base64_png(1) if k == 0 else "1",
            "l2-category": "finegrained_perception (instance-level)",
            "split": "dev",
        }
        for k in range(4)
    ]
    rows.append(
        {
            "index": 2,
            "question": 'Is the "sign" red?',
            "A": "yes",
            "B": "no",
            "answer": "A",
            "category": "image_scene",
            "image": base64_png(2),
            "l2-category": "coarse_perception",
            "split": "dev",
        }
    )
    with (folder / "mmbench_dev.tsv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, MMBENCH_COLUMNS, delimiter="\t", restval="")
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture
def folders(
    textvqa_folder: Path, mmbench_folder: Path, vqav2_folder: Path, gqa_folder: Path, okvqa_folder: Path
) -> dict[str, Path]:
    return {f.name: f for f in (textvqa_folder, mmbench_folder, vqav2_folder, gqa_folder, okvqa_folder)}
