"""Official files in, questions out: prompts are frozen, nothing is lost, bad files are one clear line."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from recap.data.benchmarks.questions import prompt_fingerprint
from recap.data.benchmarks.registry import BENCHMARKS, WITH_FILES
from recap.data.benchmarks.textvqa import question_in_prompt
from recap.evaluation.scoring.registry import scorer_of
from recap.runtime.errors import UserError

SHORT = "\nAnswer the question using a single word or phrase."
LETTER = "\nAnswer with the option's letter from the given choices directly."

PROMPTS = {
    "textvqa": {
        "1": "What is the brand?" + SHORT,
        "2": "what is written\non the sign?" + SHORT,
        "3": "how many seats?" + SHORT,
    },
    "mmbench": {
        "1": "Look closely.\nHow many cats?\nA. None\nB. One\nC. Two\nD. Three" + LETTER,
        "1000001": "Look closely.\nHow many cats?\nA. One\nB. Two\nC. Three\nD. None" + LETTER,
        "2000001": "Look closely.\nHow many cats?\nA. Two\nB. Three\nC. None\nD. One" + LETTER,
        "3000001": "Look closely.\nHow many cats?\nA. Three\nB. None\nC. One\nD. Two" + LETTER,
        "2": 'Is the "sign" red?\nA. yes\nB. no' + LETTER,
    },
    "vqav2": {"420": "Is it red?" + SHORT, "421": "How many cats?" + SHORT, "70": "What is it?" + SHORT},
    "okvqa": {"420": "Is it red?" + SHORT, "421": "How many cats?" + SHORT, "70": "What is it?" + SHORT},
    "gqa": {"201": "What color is it?" + SHORT, "203": "Is it small?" + SHORT},
}

OCR_PROMPTS = {
    "1": "What is the brand?\nReference OCR token: DAKOTA, DIGITAL" + SHORT,
    "2": "what is written\non the sign?\nReference OCR token: STOP, NEW\nLINE" + SHORT,
    "3": "how many seats?\nReference OCR token: " + SHORT,
}


@pytest.mark.parametrize("name", WITH_FILES)
def test_prompts_are_frozen(folders: dict[str, Path], name: str) -> None:
    questions = BENCHMARKS[name].load(folders[name])
    assert {question.key: question.text for question in questions} == PROMPTS[name]


def test_prompts_with_ocr_tokens_are_the_files_own(textvqa_folder: Path) -> None:
    questions = BENCHMARKS["textvqa_ocr"].load(textvqa_folder)
    assert {question.key: question.text for question in questions} == OCR_PROMPTS


def test_the_fingerprint_tells_prompts_apart(textvqa_folder: Path) -> None:
    with_tokens = prompt_fingerprint(BENCHMARKS["textvqa_ocr"].load(textvqa_folder))
    questions = BENCHMARKS["textvqa"].load(textvqa_folder)
    assert with_tokens != prompt_fingerprint(questions) == prompt_fingerprint(reversed(questions))


def test_images_are_found_whatever_their_extension(textvqa_folder: Path, vqav2_folder: Path) -> None:
    images = [question.image for question in BENCHMARKS["textvqa"].load(textvqa_folder)]
    assert images == ["train_images/aa01.jpg", "train_images/aa01.jpg", "train_images/bb02.png"]
    assert BENCHMARKS["vqav2"].load(vqav2_folder)[0].image == "val2014/COCO_val2014_000000000042.jpg"


def test_a_short_image_cell_reuses_another_rows_image(mmbench_folder: Path) -> None:
    questions = {question.key: question for question in BENCHMARKS["mmbench"].load(mmbench_folder)}
    assert questions["1000001"].image == questions["1"].image
    assert [question.image_id for question in questions.values()] == ["1", "1", "1", "1", "2"]
    assert questions["1000001"].question_id == 1000001


def test_real_photographs_in_the_official_format(shared: Path, tmp_path: Path) -> None:
    shutil.copy(shared / "photos" / "textvqa_val.json", tmp_path / "TextVQA_0.5.1_val.json")
    (tmp_path / "train_images").symlink_to(shared / "photos" / "images")
    questions = BENCHMARKS["textvqa"].load(tmp_path)
    assert all((tmp_path / question.image).is_file() for question in questions)
    answers = [{"key": q.key, "prompt": q.text, "text": q.references[0].upper() + "."} for q in questions]
    metrics, rows = scorer_of(BENCHMARKS["textvqa"]).score(questions, answers)
    assert metrics["num_scored"] == len(rows) == len(questions)
    assert metrics["accuracy"] > 90


@pytest.mark.parametrize(
    ("prompt", "question"),
    [
        ("What is it?\nAnswer.", "What is it?"),
        ("What is it?\nReference OCR token: A, B\nAnswer.", "What is it?"),
        ("Reference OCR token: A, B\nWhat is it?\nAnswer.", "What is it?"),
        ("OCR tokens: STOP. Question: What is it? Short answer:", "What is it?"),
    ],
)
def test_the_question_is_found_in_llavas_three_prompt_forms(prompt: str, question: str) -> None:
    assert question_in_prompt(prompt) == question


def test_a_prompt_of_no_known_form_is_refused() -> None:
    with pytest.raises(UserError, match="LLaVA's form"):
        question_in_prompt("What is it?")


def test_repeated_keys_are_refused(textvqa_folder: Path) -> None:
    path = textvqa_folder / "TextVQA_0.5.1_val.json"
    rows = json.loads(path.read_text())
    rows["data"][1]["question_id"] = 1
    path.write_text(json.dumps(rows))
    with pytest.raises(UserError, match="'1' twice"):
        BENCHMARKS["textvqa"].load(textvqa_folder)


def test_a_missing_field_is_one_clear_line(gqa_folder: Path) -> None:
    path = gqa_folder / "testdev_balanced_questions.json"
    rows = json.loads(path.read_text())
    del rows["203"]["imageId"]
    path.write_text(json.dumps(rows))
    with pytest.raises(UserError, match=r"official format .*'imageId'"):
        BENCHMARKS["gqa"].load(gqa_folder)


def test_annotations_must_cover_the_questions(vqav2_folder: Path) -> None:
    path = vqav2_folder / "v2_mscoco_val2014_annotations.json"
    rows = json.loads(path.read_text())["annotations"]
    path.write_text(json.dumps({"annotations": rows[1:]}))
    with pytest.raises(UserError, match="1 unmatched ids, among them 70"):
        BENCHMARKS["vqav2"].load(vqav2_folder)


def test_ocr_tokens_need_their_file(textvqa_folder: Path) -> None:
    (textvqa_folder / "llava_textvqa_val_v051_ocr.jsonl").unlink()
    with pytest.raises(UserError, match="take textvqa_ocr out of the parameter benchmarks"):
        BENCHMARKS["textvqa_ocr"].load(textvqa_folder)
    assert len(BENCHMARKS["textvqa"].load(textvqa_folder)) == 3


def test_a_question_without_its_line_of_tokens_is_named(textvqa_folder: Path) -> None:
    path = textvqa_folder / "llava_textvqa_val_v051_ocr.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(UserError, match="expected a line for question 3, found none"):
        BENCHMARKS["textvqa_ocr"].load(textvqa_folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"index": "5000004"}, "rotation of 4, which is missing"),
        ({"answer": "C"}, "expected an option's letter, found answer 'C'"),
        ({"index": "two"}, "official format"),
    ],
)
def test_bad_mmbench_rows_are_named(mmbench_folder: Path, change: dict[str, str], message: str) -> None:
    path = mmbench_folder / "mmbench_dev.tsv"
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    rows[-1] |= change
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(UserError, match=message):
        BENCHMARKS["mmbench"].load(mmbench_folder)
