"""Scores of whole answer files, worked by hand; nothing unanswered goes unnoticed."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from recap.data.benchmarks.questions import Question
from recap.data.benchmarks.registry import BENCHMARKS
from recap.evaluation.scoring.aggregation import breakdown
from recap.evaluation.scoring.answer_files import read_answers
from recap.evaluation.scoring.registry import SCORERS, scorer_of
from recap.io import write_jsonl
from recap.runtime.errors import UserError


def answers_of(questions: list[Question], texts: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "key": question.key,
            "question_id": question.question_id,
            "prompt": question.text,
            "text": text,
            "metadata": {},
        }
        for question, text in zip(questions, texts, strict=True)
    ]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_has_its_rule(name: str) -> None:
    assert type(scorer_of(BENCHMARKS[name])) is SCORERS[BENCHMARKS[name].scoring]


def test_a_rule_that_does_not_exist_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(BENCHMARKS["gqa"]), "scoring", "by_eye")
    with pytest.raises(LookupError, match=r"gqa: expected a rule among mmf, .* found 'by_eye'"):
        scorer_of(BENCHMARKS["gqa"])


def test_textvqa_equals_llavas_scorer_on_llavas_own_answer_file(assets: Path, tmp_path: Path) -> None:
    golden = assets / "eval" / "textvqa_e2e"
    shutil.copy(golden / "TextVQA_0.5.1_val_fixture.json", tmp_path / "TextVQA_0.5.1_val.json")
    expected = json.loads((golden / "expected.json").read_text())
    answers = [json.loads(line) for line in (golden / "answers.jsonl").read_text().splitlines()]
    metrics, rows = scorer_of(BENCHMARKS["textvqa"]).score(BENCHMARKS["textvqa"].load(tmp_path), answers)
    assert metrics["accuracy"] == pytest.approx(100 * expected["accuracy_exact"], abs=1e-9)
    assert metrics["num_scored"] == len(rows) == expected["samples"]


def test_textvqa_by_hand(textvqa_folder: Path) -> None:
    questions = BENCHMARKS["textvqa"].load(textvqa_folder)
    metrics, rows = scorer_of(BENCHMARKS["textvqa"]).score(
        questions, answers_of(questions, ["Dakota digital", "Stop.", ""])
    )
    assert [row["score"] for row in rows] == pytest.approx([0.6, 1.0, 0.0])
    assert metrics["accuracy"] == pytest.approx(160 / 3)
    # Deviations 0.0667 and 0.4667 of one image are summed: 0.5333; the other image has -0.5333.
    assert metrics["accuracy_stderr"] == pytest.approx(100 * math.sqrt(2 * (1.6 / 3) ** 2) / 3)
    assert (metrics["num_expected"], metrics["num_scored"], metrics["num_empty"]) == (3, 3, 1)
    assert metrics["convention"] == "mmf"
    assert rows[0]["image"] == rows[1]["image"] == "train_images/aa01.jpg"


def test_missing_and_failed_answers_count_as_wrong_and_are_counted(textvqa_folder: Path) -> None:
    questions = BENCHMARKS["textvqa"].load(textvqa_folder)
    answers = answers_of(questions, ["dakota", "", ""])[:2]
    answers[1]["metadata"] = {"unanswered": "broken_image"}
    metrics, rows = scorer_of(BENCHMARKS["textvqa"]).score(questions, answers)
    assert metrics["accuracy"] == pytest.approx(100 / 3)
    assert metrics["unanswered"] == {"broken_image": 1, "no_answer": 1}
    assert (metrics["num_scored"], metrics["num_unanswered"], metrics["num_empty"]) == (1, 2, 0)
    assert [row["unanswered"] for row in rows] == [None, "broken_image", "no_answer"]


def test_vqav2_processes_predictions_before_the_official_rule(vqav2_folder: Path) -> None:
    questions = BENCHMARKS["vqav2"].load(vqav2_folder)
    metrics, rows = scorer_of(BENCHMARKS["vqav2"]).score(questions, answers_of(questions, ["Yes.", "two", "a"]))
    # The last question's annotators all say "a", which the processor drops from predictions, not from them.
    assert [row["score"] for row in rows] == [1.0, 1.0, 0.0]
    assert metrics["by_answer_type"] == {"number": 100.0, "other": 0.0, "yes/no": 100.0}
    kinds = [(row["group"], row["type"], row["num_questions"]) for row in breakdown(rows)]
    assert ("question_type", "how many", 1) in kinds and len(kinds) == 6


def test_gqa_reports_both_conventions(gqa_folder: Path) -> None:
    questions = BENCHMARKS["gqa"].load(gqa_folder)
    metrics, _ = scorer_of(BENCHMARKS["gqa"]).score(questions, answers_of(questions, ["Red.", "yes"]))
    assert (metrics["accuracy"], metrics["accuracy_strict"], metrics["convention"]) == (100.0, 50.0, "llava")
    assert metrics["by_structural"] == {"query": 100.0, "verify": 100.0}


def test_mmbench_scores_questions_passes_and_rows(mmbench_folder: Path) -> None:
    questions = BENCHMARKS["mmbench"].load(mmbench_folder)
    assert [question.references[0] for question in questions] == ["B", "A", "D", "C", "A"]
    metrics, rows = scorer_of(BENCHMARKS["mmbench"]).score(
        questions, answers_of(questions, ["B", "A", "hmm", "C", "A"])
    )
    assert [(row["key"], row["score"]) for row in rows] == [("1", 0.0), ("2", 1.0)]
    assert (metrics["accuracy"], metrics["vanilla_accuracy"], metrics["all_rows_accuracy"]) == (50.0, 100.0, 80.0)
    assert (metrics["num_questions"], metrics["num_expected"], metrics["num_incomplete_groups"]) == (2, 5, 1)
    assert (metrics["num_extraction_failures"], metrics["num_refused"]) == (1, 0)
    assert metrics["by_l2_category"] == {"coarse_perception": 100.0, "finegrained_perception (instance-level)": 0.0}
    assert [turn["extracted"] for turn in rows[0]["rotations"]] == ["B", "A", None, "C"]


def test_mmbench_circular_fixture_as_a_whole_file(assets: Path, tmp_path: Path) -> None:
    golden = json.loads((assets / "eval" / "mmbench_circular.json").read_text())
    columns = ["index", "question", "A", "B", "C", "D", "answer", "category", "l2-category", "image"]
    lines = ["\t".join(columns)]
    lines += ["\t".join(str(row.get(c) or "") for c in columns[:-1]) + "\tshort" for row in golden["rows"]]
    (tmp_path / "mmbench_dev.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    questions = BENCHMARKS["mmbench"].load(tmp_path)
    metrics, _ = scorer_of(BENCHMARKS["mmbench"]).score(
        questions, answers_of(questions, [row["prediction"] for row in golden["rows"]])
    )
    expected = golden["expected_vlmevalkit"]
    assert metrics["accuracy"] == pytest.approx(100 * expected["circular"]["Overall"], abs=1e-9)
    assert metrics["vanilla_accuracy"] == pytest.approx(100 * expected["vanilla_first_pass_only"]["Overall"], abs=1e-9)
    assert metrics["all_rows_accuracy"] == pytest.approx(100 * expected["vanilla_all_rows"]["Overall"], abs=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": "9"}, "expected the key of a question, found '9'"),
        ({"key": "421"}, "a second one for '421'"),
        ({"prompt": "Is it blue?"}, "found 'Is it blue\\?'"),
    ],
)
def test_answers_that_do_not_fit_are_refused(vqav2_folder: Path, change: dict[str, str], message: str) -> None:
    questions = BENCHMARKS["vqav2"].load(vqav2_folder)
    answers = answers_of(questions, ["yes", "2", "cat"])
    answers[0] |= change
    if "key" in change and change["key"] == "421":
        answers[0]["prompt"] = answers[1]["prompt"]
    with pytest.raises(UserError, match=message):
        scorer_of(BENCHMARKS["vqav2"]).score(questions, answers)


def foreign(questions: list[Question], texts: list[Any]) -> list[dict[str, Any]]:
    """Answers as other tools write them: no key, no metadata."""
    return [
        {"question_id": str(question.question_id), "prompt": question.text, "text": text}
        for question, text in zip(questions, texts, strict=True)
    ]


def test_what_other_tools_could_not_answer_is_unanswered(textvqa_folder: Path) -> None:
    questions = BENCHMARKS["textvqa"].load(textvqa_folder)
    metrics, rows = scorer_of(BENCHMARKS["textvqa"]).score(questions, foreign(questions, [None, ["stop"], "stop</s>"]))
    assert [row["unanswered"] for row in rows] == ["no_text", "no_text", None]
    assert metrics["unanswered"] == {"no_text": 2} and metrics["num_unanswered"] == 2
    assert [row["prediction"] for row in rows] == ["", "", "stop"]


def test_what_no_file_can_hold_is_spelt_out(textvqa_folder: Path, tmp_path: Path) -> None:
    questions = BENCHMARKS["textvqa"].load(textvqa_folder)
    answers = answers_of(questions, ["half \ud800 a pair", "Stop.", ""])
    for answer, reason in zip(answers, [None, "\udfff", ["image", "lost"]], strict=True):
        answer["metadata"] = {"unanswered": reason}
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    metrics, rows = scorer_of(BENCHMARKS["textvqa"]).score(questions, read_answers(tmp_path / "answers.jsonl"))
    assert write_jsonl(tmp_path / "scores.jsonl", rows) == 3
    assert [row["prediction"] for row in rows] == [r"half \ud800 a pair", "Stop.", ""]
    assert metrics["unanswered"] == {"['image', 'lost']": 1, r"\udfff": 1}


@pytest.mark.parametrize("mark", ["</s>", "<eos>", " <end_of_turn>\n<eos>", "<|im_end|>\n"])
def test_end_marks_are_no_part_of_an_answer(vqav2_folder: Path, mark: str) -> None:
    questions = BENCHMARKS["vqav2"].load(vqav2_folder)
    _, rows = scorer_of(BENCHMARKS["vqav2"]).score(questions, foreign(questions, [f"yes{mark}", "2", "a</s>b"]))
    assert rows[0]["score"] == 1.0
    assert rows[2]["score"] == 0.0  # inside an answer a mark is text


RESULTS = {
    "vqav2": lambda question, text: {"question_id": int(question.key), "answer": text},
    "textvqa": lambda question, text: {"question_id": int(question.key), "answer": text},
    "gqa": lambda question, text: {"questionId": question.key, "prediction": text},
}


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("lines", [False, True])
def test_official_results_are_read(name: str, lines: bool, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """An array, or lines, of the fields that the benchmark's own server wants."""
    questions = BENCHMARKS[name].load(request.getfixturevalue(f"{name}_folder"))
    rows = [RESULTS[name](question, question.references[0]) for question in questions]
    text = "\n".join(map(json.dumps, rows)) if lines else f"\n {json.dumps(rows)}"
    (tmp_path / "results.json").write_text(text, encoding="utf-8-sig")
    scorer = scorer_of(BENCHMARKS[name])
    metrics, _ = scorer.score(questions, read_answers(tmp_path / "results.json"))
    ours = answers_of(questions, [question.references[0] for question in questions])
    assert metrics == scorer.score(questions, ours)[0] and metrics["num_unanswered"] == 0


@pytest.mark.parametrize("content", ['{"question_id": 1', "[1]", '[{"question_id": 1}', "{}\n3"])
def test_answer_files_that_are_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UserError, match=r"a\.json:.* expected (a )?JSON") as caught:
        list(read_answers(tmp_path / "a.json"))
    assert "\n" not in str(caught.value)


def test_without_annotations_there_are_answers_and_no_score(vqav2_folder: Path) -> None:
    (vqav2_folder / BENCHMARKS["vqav2"].annotations_file).unlink()
    questions = BENCHMARKS["vqav2"].load(vqav2_folder)
    assert [question.references for question in questions] == [(), (), ()]
    with pytest.raises(UserError, match=r"vqav2: expected the right answers of 3 questions, found none of 3: .* add"):
        scorer_of(BENCHMARKS["vqav2"]).score(questions, answers_of(questions, ["yes", "2", "cat"]))


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        (
            "prompt",
            "answer 1: expected 'question_id' and 'prompt' to join the answer by, found the fields question_id, text",
        ),
        ("question_id", "answer 1: expected 'question_id' and 'prompt'"),
        ("text", "answer 1: expected an answer under 'text', found the fields question_id, prompt"),
    ],
)
def test_answers_that_lack_a_field_are_one_line(textvqa_folder: Path, lost: str, message: str) -> None:
    questions = BENCHMARKS["textvqa"].load(textvqa_folder)
    answers = foreign(questions, ["a", "b", "c"])
    del answers[0][lost]
    with pytest.raises(UserError, match=message):
        scorer_of(BENCHMARKS["textvqa"]).score(questions, answers)


def test_without_rotations_the_rule_is_called_plain_accuracy(mmbench_folder: Path) -> None:
    questions = BENCHMARKS["mmbench"].load(mmbench_folder)
    scorer = scorer_of(BENCHMARKS["mmbench"])
    mixed, _ = scorer.score(questions, answers_of(questions, ["B", "A", "D", "C", "A"]))
    assert mixed["convention"] == (
        "plain accuracy, as the file lacks rotations for 1 of 2 questions, circular for the rest; exact matching, "
        "vlmevalkit e8e78f05"
    )
    alone = [question for question in questions if question.key == "2"]
    plain, _ = scorer.score(alone, answers_of(alone, ["A"]))
    assert plain["convention"] == "plain accuracy, as the file lacks rotations; exact matching, vlmevalkit e8e78f05"
    whole = [question for question in questions if question.key != "2"]
    circular, _ = scorer.score(whole, answers_of(whole, ["B", "A", "D", "C"]))
    assert circular["convention"] == scorer.convention


def test_other_tools_files(shared: Path) -> None:
    """Scored, or one line."""
    scored = set()
    for file in sorted((shared / "cases/43-foreign-answers").iterdir()):
        try:
            rows = list(read_answers(file))
        except UserError as error:
            assert "\n" not in str(error)
            continue
        if not rows:
            continue
        scorer = scorer_of(BENCHMARKS[file.name.split("_")[0].removesuffix(".jsonl")])
        questions = _questions_of(rows)
        try:
            metrics, _ = scorer.score(questions, rows)
        except UserError as error:
            assert "\n" not in str(error), file
        else:
            assert metrics["num_expected"] == len(questions), file
            scored.add(file.name)
    assert {"vqav2_answer_key.jsonl", "vqav2_results.json", "gqa_testdev_predictions.json"} <= scored


def _questions_of(rows: list[dict[str, Any]]) -> list[Question]:
    """Questions that answers with these ids and prompts could belong to."""
    unique = {str(row.get("question_id")): row for row in rows}
    return [
        Question(
            key=key, question_id=key, image="a.jpg", image_id="a.jpg", text=row.get("prompt", ""),
            question=row.get("prompt", "").split("\n")[0], references=("a",) * 10,
            row={"index": key, "answer": "A", **dict(zip("ABCD", row.get("options", ()), strict=False))},
        )
        for key, row in unique.items()
    ]  # fmt: skip
