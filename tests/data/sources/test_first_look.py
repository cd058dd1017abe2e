"""What is found before anything large is read."""

import logging
import shutil

import pytest

from recap.data.benchmarks.registry import BENCHMARKS
from recap.data.sources.first_look import look
from recap.data.sources.pictures import Terms
from recap.data.sources.preparation import user_files
from recap.data.sources.rejections import require_few_rejections
from recap.data.sources.user_conversations import take_conversations
from recap.data.sources.user_questions import take_gqa
from recap.runtime.errors import UserError

PAIR = {"id": 1, "text": "a red square", "image": "images/a.jpg"}


def seen(folder, *chosen: str) -> list[str]:
    return [path.name for path in look(folder, user_files(folder), chosen)]


def problem(folder, *chosen: str) -> str:
    with pytest.raises(UserError) as error:
        seen(folder, *chosen)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_file_that_no_part_reads_is_named(user, caplog) -> None:
    user.lines("train.jsonl", [PAIR])
    (user.path / "notes.txt").touch()
    assert seen(user.path) == [] and caplog.text == ""
    for name in ("llava_v1_5_mix665k.json", "more.parquet", "b.TSV"):
        (user.path / name).touch()
    with caplog.at_level(logging.WARNING):
        assert seen(user.path) == ["b.TSV", "llava_v1_5_mix665k.json", "more.parquet"]
    assert "no part reads b.TSV, llava_v1_5_mix665k.json, more.parquet; docs/DATA.md" in caplog.text


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("gqa/val_balanced_questions.json", "gqa: expected testdev_balanced_questions.json and nothing else to read"),
        ("textvqa/TextVQA_0.5.1_test.json", "found TextVQA_0.5.1_test.json, which would be ignored"),
        ("vizwiz/val.json", "vizwiz: expected a folder called like one of textvqa, mmbench"),
    ],
)
def test_a_benchmark_that_would_not_be_read_stops_the_run(user, file: str, message: str) -> None:
    user.lines("train.jsonl", [PAIR])
    user.json(f"benchmarks/{file}", {})
    assert message in problem(user.path)


def test_what_lies_beside_a_benchmark_and_is_read_is_no_fault(user) -> None:
    user.json("benchmarks/textvqa/textvqa_val.json", {"data": []})
    (user.path / "benchmarks/textvqa/llava_textvqa_val_v051_ocr.jsonl").touch()
    user.json("benchmarks/okvqa/OpenEnded_mscoco_val2014_questions.json", {})
    user.json("benchmarks/okvqa/mscoco_val2014_annotations.json", {})
    user.json("v2_OpenEnded_mscoco_val2014_questions.json", {})
    user.json("v2_mscoco_val2014_annotations.json", {})
    assert seen(user.path) == []


def test_annotations_are_the_users_to_bring(user) -> None:
    user.json("v2_OpenEnded_mscoco_val2014_questions.json", {})
    message = problem(user.path)
    assert "v2_mscoco_val2014_annotations.json: expected the annotations of v2_OpenEnded" in message
    assert "add your file" in message and "run the stage" not in message


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        (b"\x1f\x8b\x08\x00", "gzip; unpack it"),
        (b"PK\x03\x04", "a ZIP archive; unpack it"),
        (b"<!DOCTYPE html>", "a web page"),
    ],
)
def test_files_that_are_no_text(user, content: bytes, found: str) -> None:
    user.lines("train.jsonl", [PAIR])
    (user.path / "finetune.json").write_bytes(content)
    assert found in problem(user.path)


def test_mmbench_columns_are_read_off_the_first_line(user) -> None:
    (user.path / "mmbench_dev.tsv").write_text("index\tquestion\tA\tB\timage\n")
    assert "expected the columns of MMBench, found no answer" in problem(user.path)


def test_ocr_tokens_are_asked_for_only_where_they_are_used(user) -> None:
    items = [{"question_id": 5, "image_id": "a", "question": "What?"}, {"question_id": 6}]
    user.json("textvqa_val.json", {"data": items})
    assert seen(user.path, "textvqa") == []
    assert "their file is missing" in problem(user.path, "textvqa", "textvqa_ocr")
    line = {"question_id": "b", "text": "what?\nReference OCR token: RED\nAnswer the question."}
    user.lines("llava_textvqa_val_v051_ocr.jsonl", [line])
    assert "expected a line for question 5, found none (so for 1 of 1 questions)" in problem(user.path, "textvqa_ocr")
    user.lines("llava_textvqa_val_v051_ocr.jsonl", [line | {"question_id": "a"}])
    assert seen(user.path, "textvqa_ocr") == []


def conversation(image: str) -> dict:
    turns = [{"from": "human", "value": "<image>\nq"}, {"from": "gpt", "value": "a"}]
    return {"id": image, "image": f"images/{image}.jpg", "conversations": turns}


def test_images_are_not_opened_once_too_many_are_missing(user, tmp_path) -> None:
    for number in range(200):
        shutil.copy(user.path / "images/a.jpg", user.path / "images" / f"{number}.jpg")
    rows = [conversation(f"gone{number}") for number in range(30)] + [
        conversation(str(number)) for number in range(170)
    ]
    part = take_conversations(user.json("finetune.json", rows), tmp_path / "out", Terms(max_rejected=10.0))
    assert (part.rows, len(part.rejections), part.unread, part.total) == (0, 21, 179, 200)
    with pytest.raises(UserError, match=r"found 21 of 200 rejected \(10\.5 %: missing_image 21; the others were not"):
        require_few_rejections(part, 10.0, "finetune", tmp_path / "rejected.jsonl")
    assert take_conversations(user.path / "finetune.json", tmp_path / "out", Terms(max_rejected=15.0)).rows == 170

    questions = {row["id"]: {"question": "q", "answer": "a", "imageId": row["id"]} for row in rows}
    path = user.json("testdev_balanced_questions.json", questions)
    part = take_gqa(BENCHMARKS["gqa"], path, tmp_path / "gqa", terms=Terms(max_rejected=10.0))
    assert (part.rows, len(part.rejections), part.unread) == (0, 30, 170)  # known without opening one


def test_what_the_text_alone_says_is_enough(user, tmp_path) -> None:
    rows = [conversation("a"), *[{"id": number} for number in range(3)]]
    part = take_conversations(user.json("finetune.json", rows), tmp_path / "out", Terms(max_rejected=50.0))
    assert (part.rows, len(part.rejections), part.unread) == (0, 3, 1)


def test_what_people_bring(shared, tmp_path) -> None:
    folder = tmp_path / "30"
    shutil.copytree(shared / "cases/30-misnamed-files", folder)
    assert "expected testdev_balanced_questions.json" in problem(folder)
    assert "v2_mscoco_val2014_annotations.json" in problem(shared / "cases/34-vqav2-no-annotations")
    assert "expected a line for question" in problem(shared / "cases/36d-textvqa-ocr-lines-missing", "textvqa_ocr")
