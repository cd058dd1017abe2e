import base64
import csv
import json
import shutil
from pathlib import Path

import pytest

from recap.data.benchmarks.pictures import open_question_image
from recap.data.benchmarks.registry import BENCHMARKS, WITH_FILES
from recap.data.benchmarks.textvqa import OCR_FILE
from recap.data.corpus.images import open_image, stored_image
from recap.data.corpus.index import CorpusIndex
from recap.data.sources.embedded import write_benchmark
from recap.data.sources.preparation import take_benchmark
from recap.params import read_yaml, validate
from recap.runtime.errors import UserError
from recap.world.settings import WorldSettings


def take(name: str, questions_file: Path, folder: Path):
    return take_benchmark(BENCHMARKS[name], questions_file, folder)


@pytest.fixture(scope="module")
def world(root) -> WorldSettings:
    path = root / "worlds" / "hamlet" / "world.yaml"
    return validate(WorldSettings, read_yaml(path), path)


@pytest.mark.parametrize("name", WITH_FILES)
def test_an_official_benchmark_comes_through_unchanged(world, tmp_path, name: str) -> None:
    write_benchmark(name, world, tmp_path / "in")
    part = take(name, tmp_path / "in" / BENCHMARKS[name].questions_files[0], tmp_path / "out")
    assert part.rejections == []
    assert part.rows >= world.benchmarks.questions
    files = {path.relative_to(tmp_path / "in") for path in (tmp_path / "in").rglob("*") if path.is_file()}
    pictures = {file for file in files if file.suffix == ".jpg"}
    index = CorpusIndex(tmp_path / "out")
    assert {file.name for file in files - pictures} | {"index.parquet", *(["shard-00000.tar"] if pictures else [])} == {
        path.name for path in (tmp_path / "out").iterdir()
    }
    for file in files:
        found = (tmp_path / "out" / file).read_bytes() if file not in pictures else stored_image(index, str(file))
        assert found == (tmp_path / "in" / file).read_bytes(), file
    given, taken = (BENCHMARKS[name].load(tmp_path / folder) for folder in ("in", "out"))
    assert taken == given
    assert {question.image_id for question in taken} == set(index.names)
    for before, after in zip(given[:20], taken[:20], strict=True):
        pixels = [open_question_image(q, tmp_path / folder) for q, folder in ((before, "in"), (after, "out"))]
        assert pixels[0].tobytes() == pixels[1].tobytes()


def textvqa_item(number: int, **changes) -> dict:
    return {"question": "what?", "question_id": number, "image_id": "a", "answers": ["red"] * 10, **changes}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (None, "not_an_object"),
        (textvqa_item(2, question_id=None), "missing_id"),
        (textvqa_item(1), "duplicate_id"),
        (textvqa_item(2, question=" "), "broken_question"),
        (textvqa_item(2, answers=["red"] * 9), "broken_answers"),
        (textvqa_item(2, answers=None), "broken_answers"),
        (textvqa_item(2, image_id="none"), "missing_image"),
        (textvqa_item(2, image_id="../user/images/a"), "missing_image"),
        (textvqa_item(2, image_id="broken"), "broken_image"),
        (textvqa_item(2, image_id="link"), "path_leaves_root"),
    ],
)
def test_a_fault_costs_its_own_question(user, tmp_path, bad, reason: str) -> None:
    (user.path / "images" / "broken.jpg").write_bytes(b"")
    shutil.copy(user.path / "images" / "a.jpg", tmp_path / "outside.jpg")
    (user.path / "images" / "link.jpg").symlink_to(tmp_path / "outside.jpg")
    source = {"dataset_name": "textvqa", "data": [textvqa_item(1), bad, textvqa_item(3, image_id="b")]}
    part = take("textvqa", user.json("textvqa_val.json", source), tmp_path / "out")
    assert [(rejection.where, rejection.reason) for rejection in part.rejections] == [
        ("textvqa_val.json:item 2", reason)
    ]
    written = json.loads((tmp_path / "out" / "TextVQA_0.5.1_val.json").read_text())
    assert written == {"dataset_name": "textvqa", "data": [source["data"][0], source["data"][2]]}
    assert sorted(CorpusIndex(tmp_path / "out").names) == ["train_images/a.jpg", "train_images/b.png"]


def test_vqa_questions_need_an_annotation(user, tmp_path) -> None:
    for number in (1, 2, 3):
        shutil.copy(user.path / "images" / "a.jpg", user.path / "images" / f"COCO_val2014_{number:012d}.jpg")
    questions = [{"question": "what?", "question_id": n, "image_id": n} for n in (1, 2, 3, 4)]
    answers = [{"answer": "red", "answer_id": 1}]
    annotations = [
        {"question_id": 1, "answers": answers},
        {"question_id": 3, "answers": []},
        {"question_id": 4, "answers": answers},
    ]
    user.json("mscoco_val2014_annotations.json", {"annotations": annotations})
    part = take(
        "okvqa", user.json("OpenEnded_mscoco_val2014_questions.json", {"questions": questions}), tmp_path / "out"
    )
    reasons = [(rejection.id, rejection.reason) for rejection in part.rejections]
    assert reasons == [("2", "no_annotation"), ("3", "broken_answers"), ("4", "missing_image")]
    kept = json.loads((tmp_path / "out" / "mscoco_val2014_annotations.json").read_text())["annotations"]
    assert kept == annotations[:1]


def test_gqa_questions_need_an_answer(user, tmp_path) -> None:
    questions = {
        "1": {"question": "what?", "answer": "red", "imageId": "a"},
        "2": {"question": "what?", "imageId": "a"},
    }
    part = take("gqa", user.json("testdev_balanced_questions.json", questions), tmp_path / "out")
    assert [(r.where, r.reason) for r in part.rejections] == [("testdev_balanced_questions.json:2", "broken_question")]
    assert list(json.loads((tmp_path / "out" / "testdev_balanced_questions.json").read_text())) == ["1"]


def tsv_rows(user) -> list[dict[str, str]]:
    """Two questions of one picture with their rotations; the second refers to the first one's picture."""
    picture = base64.b64encode((user.path / "images" / "a.jpg").read_bytes()).decode()
    common = {"question": "what?", "hint": "", "category": "ocr", "l2-category": "logic_reasoning"}
    return [
        {"index": str(base + turn * 1_000_000), **common, "A": "xy"[turn], "B": "yx"[turn], "answer": "AB"[turn],
         "image": picture if (base, turn) == (1, 0) else "1"}
        for turn in (0, 1) for base in (1, 2)
    ]  # fmt: skip


def write_tsv(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("answer", "C", "broken_answers"),
        ("question", "", "broken_question"),
        ("B", "", "broken_question"),
        ("image", "99", "missing_image"),
        ("image", base64.b64encode(b"no image at all, but long enough to be taken for one").decode(), "broken_image"),
        ("index", "1", "duplicate_id"),
        ("index", "x", "missing_id"),
        ("index", "9" * 5000, "missing_id"),
    ],
)
def test_a_fault_costs_its_group_of_rotations(user, tmp_path, column: str, value: str, reason: str) -> None:
    rows = tsv_rows(user)
    rows[2][column] = value  # the rotation of question 1
    part = take("mmbench", write_tsv(user.path / "mmbench_dev.tsv", rows), tmp_path / "out")
    kept = csv.DictReader((tmp_path / "out" / "mmbench_dev.tsv").open(newline=""), delimiter="\t")
    if reason == "missing_id":  # no telling which question it belongs to
        assert [row["index"] for row in kept] == ["1", "2", "1000002"]
        return
    assert {rejection.reason for rejection in part.rejections} == {reason}
    assert len(part.rejections) == 2
    kept = list(kept)
    assert [row["index"] for row in kept] == ["2", "1000002"]
    assert {row["image"] for row in kept} == {rows[0]["image"]}  # no longer there to refer to


def test_rotations_of_a_question_that_is_not_there_cost_themselves(user, tmp_path) -> None:
    """Where a file was cut, say; read again, they would stop the run."""
    rows = [row for row in tsv_rows(user) if row["index"] != "2"]
    part = take("mmbench", write_tsv(user.path / "mmbench_dev.tsv", rows), tmp_path / "out")
    assert [(rejection.id, rejection.reason) for rejection in part.rejections] == [("1000002", "broken_question")]
    assert [question.key for question in BENCHMARKS["mmbench"].load(tmp_path / "out")] == ["1", "1000001"]


def test_a_column_says_which_question_a_row_is_a_rotation_of(user, tmp_path) -> None:
    """As in files whose indices do not: scoring groups by `g_index`, so a fault costs that group."""
    rows = tsv_rows(user)
    for row in rows:
        row["g_index"] = str(int(row["index"]) % 1_000_000)
    rows[2] |= {"index": "77", "question": ""}  # the rotation of question 1
    take("mmbench", write_tsv(user.path / "mmbench_dev.tsv", rows), tmp_path / "out")
    kept = csv.DictReader((tmp_path / "out" / "mmbench_dev.tsv").open(newline=""), delimiter="\t")
    assert [row["index"] for row in kept] == ["2", "1000002"]


def test_mmbench_needs_no_categories(user, tmp_path) -> None:
    rows = [{name: row[name] for name in row if name not in ("category", "l2-category")} for row in tsv_rows(user)]
    assert take("mmbench", write_tsv(user.path / "mmbench_dev.tsv", rows), tmp_path / "out").rows == len(rows)


def test_mmbench_keeps_option_texts_as_they_are(user, tmp_path) -> None:
    rows = tsv_rows(user)
    for row in rows:
        row.update({"A": "None", "B": "01", "answer": "A"})
    part = take("mmbench", write_tsv(user.path / "mmbench_dev.tsv", rows), tmp_path / "out")
    assert part.rejections == []
    kept = list(csv.DictReader((tmp_path / "out" / "mmbench_dev.tsv").open(newline=""), delimiter="\t"))
    assert {(row["A"], row["B"]) for row in kept} == {("None", "01")}


def test_unusable_files_are_one_clear_line(user, tmp_path) -> None:
    with pytest.raises(UserError, match="found no A, B, answer"):
        take("mmbench", write_tsv(user.path / "mmbench_dev.tsv", [{"index": "1", "question": "?"}]), tmp_path / "out")
    with pytest.raises(UserError, match="expected a list under 'data'"):
        take("textvqa", user.json("textvqa_val.json", {"data": 1}), tmp_path / "out")
    with pytest.raises(UserError, match="expected a JSON object, found list"):
        take("gqa", user.json("testdev_balanced_questions.json", []), tmp_path / "out")
    with pytest.raises(UserError, match=r"v2_mscoco_val2014_annotations\.json: expected the annotations of v2_Open"):
        take("vqav2", user.json("v2_OpenEnded_mscoco_val2014_questions.json", {"questions": []}), tmp_path / "out")


def vqa_folder(user, questions: list[dict], annotations: list[dict], **more) -> Path:
    user.json("mscoco_val2014_annotations.json", {"annotations": annotations, **more})
    return user.json("OpenEnded_mscoco_val2014_questions.json", {"questions": questions, **more})


def vqa_question(number: object = 1, image: object = 7, **more) -> dict:
    return {"question": "what?", "question_id": number, "image_id": image, **more}


def vqa_annotation(number: object = 1, **more) -> dict:
    return {"question_id": number, "answers": [{"answer": "red", "answer_id": 1}], **more}


@pytest.mark.parametrize("image", ["9" * 5000, "\N{ARABIC-INDIC DIGIT SEVEN}", -7, True, None])
def test_an_image_id_that_is_no_number_costs_its_question(user, tmp_path, image: object) -> None:
    (user.path / "images/a.jpg").rename(user.path / "images/7.jpg")
    questions = [vqa_question(1), vqa_question(2, image)]
    path = vqa_folder(user, questions, [vqa_annotation(1), vqa_annotation(2)])
    part = take("okvqa", path, tmp_path / "out")
    assert [(rejection.id, rejection.reason) for rejection in part.rejections] == [("2", "broken_question")]


@pytest.mark.parametrize(
    "name", ["COCO_val2014_000000000007.jpg", "000000000007.png", "7.jpeg", "coco_VAL2014_000000000007.JPG"]
)
@pytest.mark.parametrize(("asked", "annotated", "image"), [(1, "1", "7"), ("1", 1, 7), (1.0, 1, 7.0), (1, 1.0, "7")])
def test_vqa_ids_are_compared_as_text_and_images_found_by_any_usual_name(
    user, tmp_path, name: str, asked, annotated, image
) -> None:
    shutil.copy(user.path / "images" / "a.jpg", user.path / "images" / name)
    path = vqa_folder(user, [vqa_question(asked, image)], [vqa_annotation(annotated)])
    assert take("okvqa", path, tmp_path / "out").rejections == []
    (question,) = BENCHMARKS["okvqa"].load(tmp_path / "out")
    assert (question.key, question.references) == ("1", ("red",))
    assert open_image(tmp_path / "out", question.image).size


def test_nan_costs_a_question_only_where_it_matters(user, tmp_path) -> None:
    nan = float("nan")
    for number in range(1, 5):
        shutil.copy(user.path / "images" / "a.jpg", user.path / "images" / f"{number}.jpg")
    questions = [vqa_question(number, number, width=nan) for number in range(1, 4)] + [vqa_question(4, nan)]
    annotations = [
        vqa_annotation(1, multiple_choice_answer=nan, confidence=float("inf")),
        {"question_id": 2, "answers": [{"answer": nan}]},
        {"question_id": 3, "answers": [{"answer": None}]},
        vqa_annotation(4),
    ]
    part = take("okvqa", vqa_folder(user, questions, annotations, version=nan), tmp_path / "out")
    assert [(rejection.id, rejection.reason) for rejection in part.rejections] == [
        ("2", "broken_answers"), ("3", "broken_answers"), ("4", "broken_question"),
    ]  # fmt: skip
    kept = json.loads((tmp_path / "out" / "mscoco_val2014_annotations.json").read_text())
    assert kept["annotations"][0]["multiple_choice_answer"] is None and kept["version"] is None
    assert len(BENCHMARKS["okvqa"].load(tmp_path / "out")) == 1


HALF = "\ud83d"


def test_half_a_surrogate_pair_costs_its_question(user, tmp_path) -> None:
    answers = ["red"] * 9 + [HALF]
    items = [textvqa_item(1), textvqa_item(2, answers=answers), textvqa_item(3, note={"a": [HALF]})]
    source = {"data": items, "info": HALF}
    part = take("textvqa", user.json("textvqa_val.json", source), tmp_path / "out")
    assert [rejection.reason for rejection in part.rejections] == ["broken_text"] * 2 and part.rows == 1

    gqa = {"question": "what?", "answer": "red", "imageId": "a"}
    part = take("gqa", user.json("testdev_balanced_questions.json", {"1": gqa, HALF: gqa}), tmp_path / "gqa")
    assert [rejection.reason for rejection in part.rejections] == ["broken_text"]
    assert part.rejections[0].to_row()["where"] == "testdev_balanced_questions.json:\\ud83d"

    shutil.copy(user.path / "images" / "a.jpg", user.path / "images" / "7.jpg")
    path = vqa_folder(user, [vqa_question()], [vqa_annotation(note=HALF)])
    assert [rejection.reason for rejection in take("okvqa", path, tmp_path / "okvqa").rejections] == ["broken_text"]


def test_a_benchmark_may_begin_with_a_byte_order_mark(user, tmp_path) -> None:
    path = user.path / "textvqa_val.json"
    for encoding in ("utf-8-sig", "utf-16"):
        path.write_bytes(json.dumps({"data": [textvqa_item(1)]}).encode(encoding))
        assert take("textvqa", path, tmp_path / encoding).rows == 1


def test_missing_lines_of_tokens_are_said(user, tmp_path, caplog) -> None:
    line = {
        "question_id": "a",
        "text": "what?\nReference OCR token: RED\nAnswer the question.",
    }
    (user.path / OCR_FILE).write_bytes(b"\xef\xbb\xbf" + json.dumps(line).encode() + b"\n")
    take("textvqa", user.json("textvqa_val.json", {"data": [textvqa_item(1)]}), tmp_path / "one")
    assert caplog.text == ""
    assert len(BENCHMARKS["textvqa_ocr"].load(tmp_path / "one")) == 1
    items = [textvqa_item(1), textvqa_item(2, question="who?")]
    take("textvqa", user.json("textvqa_val.json", {"data": items}), tmp_path / "two")
    assert "no line for 1 of 2 questions, among them 2: textvqa_ocr cannot be asked" in caplog.text


def test_mmbench_cells_as_pandas_writes_them(user, tmp_path) -> None:
    """Absent cells as nan, whole numbers with a point."""
    rows = tsv_rows(user)
    for row in rows:
        row.update({"hint": "nan", "C": "NaN", "D": "nan", "category": "nan", "index": f"{row['index']}.0"})
        embedded = len(row["image"]) > 64
        row["image"] = f"data:image/jpeg;base64,{row['image']}" if embedded else f"{row['image']}.0"
    assert take("mmbench", write_tsv(user.path / "mmbench_dev.tsv", rows), tmp_path / "out").rejections == []
    questions = BENCHMARKS["mmbench"].load(tmp_path / "out")
    assert [question.key for question in questions] == ["1", "2", "1000001", "1000002"]
    assert questions[0].text.split("\n")[:3] == ["what?", "A. x", "B. y"] and "nan" not in questions[0].text
    assert "category" not in questions[0].groups and len({question.image for question in questions}) == 1


def test_a_quotation_mark_that_never_closes_costs_its_own_question(user, tmp_path) -> None:
    rows = [row | {"index": str(int(row["index"]) + 10 * copy), "image": rows[0]["image"]}
            for rows in [tsv_rows(user)] for copy in range(5) for row in rows]  # fmt: skip
    rows[0]["hint"] = 'two "lines"\nand\ta tab'  # quoted as it should be
    path = write_tsv(user.path / "mmbench_dev.tsv", rows)
    lines = path.read_text().split("\n")
    assert rows[4]["index"] == "11" and lines[6].startswith("11\twhat?")
    lines[6] = lines[6].replace("what?", '"what?')
    path.write_text("\n".join(lines))
    part = take("mmbench", path, tmp_path / "out")
    assert part.total == len(rows)
    assert {(rejection.id, rejection.reason) for rejection in part.rejections} == {
        ("11", "broken_row"), ("1000011", "broken_row"),
    }  # fmt: skip
    assert "line 7: expected a cell that opens with a quotation mark" in part.rejections[0].detail
    assert BENCHMARKS["mmbench"].load(tmp_path / "out")[0].text.startswith('two "lines"\nand\ta tab')


def test_a_row_with_too_many_cells_is_none(user, tmp_path) -> None:
    path = write_tsv(user.path / "mmbench_dev.tsv", tsv_rows(user))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-1], lines[-1] + "\tmore"]) + "\n")
    part = take("mmbench", path, tmp_path / "out")
    assert {rejection.reason for rejection in part.rejections} == {"broken_row"} and part.rows == 2


def test_missing_rotations_are_said(user, tmp_path, caplog) -> None:
    take("mmbench", write_tsv(user.path / "mmbench_dev.tsv", tsv_rows(user)), tmp_path / "out")
    assert caplog.text == ""
    take("mmbench", write_tsv(user.path / "mmbench_dev.tsv", tsv_rows(user)[:3]), tmp_path / "out")
    assert "lacks rotations of 1 of 2 questions: for these MMBench's score is plain accuracy" in caplog.text


@pytest.mark.parametrize(
    ("case", "name", "rows", "reasons"),
    [
        ("14-nan-in-questions", "textvqa", 24, {}),
        ("15-surrogate-in-answer", "textvqa", 23, {"broken_text": 1}),
        ("21-mmbench-nan-text", "mmbench", 30, {}),
        ("22-mmbench-float-index", "mmbench", 24, {}),
        ("26b-mmbench-raw-quote", "mmbench", 20, {"broken_row": 4}),
        ("28-mmbench-no-rotations", "mmbench", 20, {}),
        ("32-vqav2-coco2017-names", "vqav2", 12, {}),
        ("33-vqav2-string-ids", "vqav2", 12, {}),
        ("34d-vqav2-nan-and-null", "vqav2", 11, {"broken_answers": 1}),
    ],
)
def test_what_people_bring(shared, tmp_path, case: str, name: str, rows: int, reasons: dict[str, int]) -> None:
    folder = shared / "cases" / case
    (path,) = (folder / file for file in BENCHMARKS[name].questions_files if (folder / file).is_file())
    part = take(name, path, tmp_path / "out")
    assert (part.rows, part.by_reason()) == (rows, reasons)
    assert len(BENCHMARKS[name].load(tmp_path / "out")) == rows
