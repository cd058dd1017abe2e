"""The embedded world's questions in the official formats: what is written holds, and is read back whole."""

import base64
import csv
import io
import json
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from recap.data.benchmarks.mmbench import INSTRUCTION
from recap.data.benchmarks.questions import SHORT_ANSWER
from recap.data.benchmarks.registry import BENCHMARKS, WITH_FILES
from recap.params import read_yaml, validate
from recap.world.finetune import LETTER_PROMPT, SHORT_ANSWER_PROMPT
from recap.world.settings import WorldSettings
from recap.world.street import StreetWorld

QUESTIONS = 150


@pytest.fixture(scope="module")
def benchmarks(root, tmp_path_factory) -> Path:
    """The street world's benchmarks, cut short: the first scenes are the same."""
    folder = tmp_path_factory.mktemp("street")
    path = root / "worlds" / "street" / "world.yaml"
    settings = validate(WorldSettings, read_yaml(path), path)
    few = settings.benchmarks.model_copy(update={"questions": QUESTIONS})
    world = StreetWorld(settings.model_copy(update={"benchmarks": few}))
    for name, benchmark in WITH_FILES.items():
        benchmark.write(world, folder / name)
    return folder


def read(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", WITH_FILES)
def test_there_are_as_many_questions_as_the_world_says(benchmarks, name: str) -> None:
    count = {
        "textvqa": lambda f: len(read(f / "TextVQA_0.5.1_val.json")["data"]),
        "mmbench": lambda f: sum(int(row["index"]) < 1_000_000 for row in mmbench_rows(f)),
        "vqav2": lambda f: len(read(f / "v2_OpenEnded_mscoco_val2014_questions.json")["questions"]),
        "gqa": lambda f: len(read(f / "testdev_balanced_questions.json")),
        "okvqa": lambda f: len(read(f / "OpenEnded_mscoco_val2014_questions.json")["questions"]),
    }[name](benchmarks / name)
    assert count == QUESTIONS


@pytest.mark.parametrize("name", BENCHMARKS)
def test_what_was_written_is_read_back(benchmarks, name: str) -> None:
    folder = benchmarks / BENCHMARKS[name].folder
    questions = BENCHMARKS[name].load(folder)
    asked = [question for question in questions if name != "mmbench" or int(question.key) < 1_000_000]
    assert len(asked) == QUESTIONS
    assert set(BENCHMARKS[name].metric_groups) <= set(questions[0].groups)
    if name != "mmbench":
        assert all((folder / question.image).is_file() for question in questions)


def test_a_finetuned_model_knows_the_prompts() -> None:
    assert (SHORT_ANSWER_PROMPT, LETTER_PROMPT) == (SHORT_ANSWER, INSTRUCTION)


def test_textvqa_format(benchmarks) -> None:
    folder = benchmarks / "textvqa"
    data = read(folder / "TextVQA_0.5.1_val.json")["data"]
    ocr = [json.loads(line) for line in (folder / "llava_textvqa_val_v051_ocr.jsonl").read_text().splitlines()]
    per_image = Counter(item["image_id"] for item in data)
    assert set(per_image.values()) == {1, 2}  # so that clustering by image matters
    assert len({(item["image_id"], item["question"]) for item in data}) == len(data)
    assert len({item["question_id"] for item in data}) == len(data)
    for item, row in zip(data, ocr, strict=True):
        assert len(item["answers"]) == 10
        assert (folder / "train_images" / f"{item['image_id']}.jpg").is_file()
        assert row["question_id"] == item["image_id"]
        lines = row["text"].split("\n")
        assert [lines[0], lines[2]] == [item["question"], SHORT_ANSWER]
        assert lines[1].startswith("Reference OCR token: ")
    answers = [answer for item in data for answer in item["answers"]]
    assert len(set(answers)) > len({answer.lower() for answer in answers}) > 40  # casing and typing errors


def mmbench_rows(folder: Path) -> list[dict[str, str]]:
    csv.field_size_limit(2**31 - 1)
    with (folder / "mmbench_dev.tsv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def test_mmbench_format(benchmarks) -> None:
    rows = mmbench_rows(benchmarks / "mmbench")
    assert list(rows[0]) == [
        "index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image", "source", "l2-category",
        "comment", "split",
    ]  # fmt: skip
    by_index = {int(row["index"]): row for row in rows}
    assert len(by_index) == len(rows)
    base = {index: row for index, row in by_index.items() if index < 1_000_000}
    assert len({row["l2-category"] for row in base.values()}) == 6
    assert len({row["category"] for row in base.values()}) > 6
    assert any(row["hint"] for row in base.values())
    for index, row in base.items():
        with Image.open(io.BytesIO(base64.b64decode(row["image"]))) as image:
            assert image.format == "JPEG"
        options = [row[letter] for letter in "ABCD" if row[letter]]
        answer = row[row["answer"]]
        for k in range(1, len(options)):
            rotated = by_index[index + k * 1_000_000]
            assert rotated["image"] == str(index)
            assert [rotated[letter] for letter in "ABCD" if rotated[letter]] == options[k:] + options[:k]
            assert rotated[rotated["answer"]] == answer
        assert index + len(options) * 1_000_000 not in by_index


@pytest.mark.parametrize(("name", "prefix"), [("vqav2", "v2_"), ("okvqa", "")])
def test_vqa_formats(benchmarks, name: str, prefix: str) -> None:
    folder = benchmarks / name
    questions = read(folder / f"{prefix}OpenEnded_mscoco_val2014_questions.json")["questions"]
    annotations = read(folder / f"{prefix}mscoco_val2014_annotations.json")["annotations"]
    assert [q["question_id"] for q in questions] == [a["question_id"] for a in annotations]
    assert len({q["question_id"] for q in questions}) == len(questions)
    for question, annotation in zip(questions, annotations, strict=True):
        assert question["image_id"] == annotation["image_id"]
        assert (folder / "val2014" / f"COCO_val2014_{question['image_id']:012d}.jpg").is_file()
        assert [answer["answer_id"] for answer in annotation["answers"]] == list(range(1, 11))
        assert all(answer["answer"] for answer in annotation["answers"])
    types = {annotation["answer_type"] for annotation in annotations}
    assert types == ({"yes/no", "number", "other"} if name == "vqav2" else {"other"})
    if name == "vqav2":
        assert len({annotation["question_type"] for annotation in annotations} - {"none of the above"}) > 5
    else:
        assert all("raw_answer" in answer for annotation in annotations for answer in annotation["answers"])


def test_gqa_format(benchmarks) -> None:
    folder = benchmarks / "gqa"
    questions = read(folder / "testdev_balanced_questions.json")
    for question in questions.values():
        assert (folder / "images" / f"{question['imageId']}.jpg").is_file()
        assert question["isBalanced"] is True
        assert question["answer"] == question["answer"].lower()
    assert {q["types"]["structural"] for q in questions.values()} == {"query", "verify", "choose"}
    assert {q["types"]["semantic"] for q in questions.values()} == {"attr", "obj", "rel", "cat", "global"}
