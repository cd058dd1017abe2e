"""The embedded world as files: sizes, formats, splits, and the same bytes every time."""

import base64
import csv
import hashlib
import io
import json
import statistics
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image
from recap.world.benchmarks import write_benchmark

from recap.data.corpus.records import read_conversations, read_corpus
from recap.params import BENCHMARKS, read_yaml, validate
from recap.runtime.errors import UserError
from recap.world.corpus import corpus_records, write_corpus
from recap.world.finetune import LETTER_PROMPT, SHORT_ANSWER_PROMPT, conversations, write_finetune
from recap.world.scenes import SPLITS, scenes, split_of
from recap.world.settings import WorldSettings


def load(root: Path, name: str) -> WorldSettings:
    path = root / "worlds" / name / "world.yaml"
    return validate(WorldSettings, read_yaml(path), path)


def write_all(world: WorldSettings, folder: Path) -> None:
    write_corpus(world, folder / "corpus")
    write_finetune(world, folder / "finetune")
    for name in BENCHMARKS:
        write_benchmark(name, world, folder / name)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def hamlet(root, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hamlet")
    write_all(load(root, "hamlet"), folder)
    return folder


QUESTIONS = 90


@pytest.fixture(scope="module")
def benchmarks(root, tmp_path_factory) -> Path:
    """The street world's benchmarks, cut short: the first scenes are the same."""
    folder = tmp_path_factory.mktemp("street")
    world = load(root, "street")
    world = world.model_copy(update={"benchmarks": world.benchmarks.model_copy(update={"questions": QUESTIONS})})
    for name in BENCHMARKS:
        write_benchmark(name, world, folder / name)
    return folder


def read(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_same_seed_same_bytes(root, hamlet, tmp_path) -> None:
    write_all(load(root, "hamlet"), tmp_path)
    assert digests(tmp_path) == digests(hamlet)


def test_another_seed_another_world(root) -> None:
    world = load(root, "hamlet")
    other = world.model_copy(update={"seed": world.seed + 1})
    assert [record for _, record in corpus_records(world)] != [record for _, record in corpus_records(other)]


def test_no_scene_is_shared_between_splits() -> None:
    """Contents, not only pictures: what two pictures of one content differ in, no text speaks of."""
    contents = {split: {scene.content for scene in scenes(split, 100, 28)} for split in SPLITS}
    union = set().union(*contents.values())
    assert len(union) == sum(map(len, contents.values())) == 100 * len(SPLITS)


def test_no_scene_is_shared_whatever_the_seeds() -> None:
    for split in SPLITS:
        assert {split_of(scene.content) for seed in (1, 2) for scene in scenes(split, 20, seed)} == {split}


def test_every_bucket_has_one_owner() -> None:
    assert Counter(bucket for buckets in SPLITS.values() for bucket in buckets) == Counter(range(64))


def test_street_sizes(root) -> None:
    world = load(root, "street")
    shown = [scene for scene, _ in corpus_records(world)]
    assert len(shown) >= 2400
    assert statistics.mean(scene.width for scene in shown) == pytest.approx(402, abs=10)
    assert statistics.mean(scene.height for scene in shown) == pytest.approx(370, abs=10)
    short_sides = [min(scene.width, scene.height) for scene in shown]
    medium = sum(min(s.width, s.height) >= 224 and max(s.width, s.height) < 512 for s in shown)
    assert 100 * medium / len(shown) == pytest.approx(89, abs=1.5)
    assert 1 <= 100 * sum(side < 224 for side in short_sides) / len(shown) <= 6


def test_corpus_files(hamlet) -> None:
    records = read_corpus(hamlet / "corpus" / "train.jsonl")
    assert len(records) == len({record.id for record in records}) == 64
    assert {record.image for record in records} == {f"images/{p.name}" for p in (hamlet / "corpus/images").iterdir()}
    with Image.open(hamlet / "corpus" / records[0].image) as image:
        assert image.format == "JPEG"


def test_finetune_files(hamlet) -> None:
    rows = read_conversations(hamlet / "finetune" / "train.json")
    assert len(rows) == 48
    for row in rows:
        speakers = [message["from"] for message in row["conversations"]]
        assert speakers == ["human", "gpt"] * (len(speakers) // 2)
        assert 2 <= len(speakers) // 2 <= 4
        tags = [message["value"].count("<image>") for message in row["conversations"]]
        assert sum(tags) == ("image" in row)
        if "image" in row:
            assert row["conversations"][0]["value"].startswith("<image>\n")
            assert (hamlet / "finetune" / row["image"]).is_file()


def test_finetune_mixture(root) -> None:
    world = load(root, "street")
    rows = [row for _, row in conversations(world)]
    assert len(rows) >= 1000
    asked = [" ".join(m["value"] for m in row["conversations"] if m["from"] == "human") for row in rows]
    lettered = 100 * sum(LETTER_PROMPT in text for text in asked) / len(rows)
    assert lettered == pytest.approx(world.finetune.multiple_choice, abs=4)
    assert 100 * sum("image" not in row for row in rows) / len(rows) == pytest.approx(world.finetune.text_only, abs=2)
    assert all(SHORT_ANSWER_PROMPT in text for text in asked)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_benchmarks_have_as_many_questions_as_the_world_says(root, benchmarks, name: str) -> None:
    count = {
        "textvqa": lambda f: len(read(f / "TextVQA_0.5.1_val.json")["data"]),
        "mmbench": lambda f: sum(int(row["index"]) < 1_000_000 for row in mmbench_rows(f)),
        "vqav2": lambda f: len(read(f / "v2_OpenEnded_mscoco_val2014_questions.json")["questions"]),
        "gqa": lambda f: len(read(f / "testdev_balanced_questions.json")),
        "okvqa": lambda f: len(read(f / "OpenEnded_mscoco_val2014_questions.json")["questions"]),
    }[name](benchmarks / name)
    assert count == QUESTIONS
    assert load(root, "street").benchmarks.questions >= 300


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
        assert [lines[0], lines[2]] == [item["question"], SHORT_ANSWER_PROMPT]
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


def test_a_misspelt_world_is_one_clear_line() -> None:
    with pytest.raises(UserError, match=r"2 problem.*pears: no such parameter.*finetune: missing"):
        captions = {"too_short": 1.0, "repetitive": 1.0, "mismatched": 1.0, "with_sign_word": 1.0}
        corpus = {"pairs": 1, "pears": 2, "captions": captions}
        validate(WorldSettings, {"seed": 1, "corpus": corpus, "benchmarks": {"questions": 1}}, "world.yaml")
