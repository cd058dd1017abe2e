"""Accuracy of single answers, by hand and against the references."""

import json
from pathlib import Path

import pytest
import reference_conventions as reference
from hypothesis import given
from hypothesis import strategies as st

from recap.evaluation.scoring.accuracy import gqa_correct, soft_accuracy, vqa_accuracy


def check_vqa(path: Path) -> int:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        for convention, expected in row["by_reference"].items():
            found = reference.VQA[convention](row["pred"], row["answers"])
            assert found == pytest.approx(expected, abs=1e-9), (convention, row)
    return len(rows)


def check_gqa(path: Path) -> int:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        for convention, expected in row["by_reference"].items():
            assert reference.GQA[convention](row["pred"], row["gold"]) == expected, (convention, row)
    return len(rows)


@pytest.mark.parametrize("name", ["textvqa_accuracy.jsonl", "vqav2_accuracy.jsonl"])
def test_vqa_against_the_references(assets: Path, name: str) -> None:
    assert check_vqa(assets / "eval" / name) > 70


@pytest.mark.parametrize("name", ["textvqa_accuracy.jsonl", "vqav2_accuracy.jsonl"])
def test_vqa_against_all_reference_outputs(shared: Path, name: str) -> None:
    assert check_vqa(shared / "eval" / "golden" / name) == 900


def test_gqa_against_the_references(assets: Path) -> None:
    assert check_gqa(assets / "eval" / "gqa.jsonl") > 80


def test_gqa_against_all_reference_outputs(shared: Path) -> None:
    assert check_gqa(shared / "eval" / "golden" / "gqa.jsonl") == 500


@pytest.mark.parametrize(("matches", "expected"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)])
def test_soft_accuracy_of_ten_annotators(matches: int, expected: float) -> None:
    assert soft_accuracy(matches, 10) == pytest.approx(expected, abs=1e-12)


@given(st.integers(1, 12), st.data())
def test_closed_form_equals_leaving_one_annotator_out(annotators: int, data: st.DataObject) -> None:
    matches = data.draw(st.integers(0, annotators))
    equal = [True] * matches + [False] * (annotators - matches)
    left_out = [min(1.0, sum(equal[:i] + equal[i + 1 :]) / 3) for i in range(annotators)]
    assert soft_accuracy(matches, annotators) == pytest.approx(sum(left_out) / annotators, abs=1e-12)


def test_unanimous_annotators_switch_the_official_processing_off() -> None:
    assert vqa_accuracy("Yes", ["yes"] * 10, "official_vqa") == 0
    assert vqa_accuracy("Yes", ["yes"] * 10, "mmf") == 1
    assert vqa_accuracy("Yes", ["yes"] * 9 + ["no"], "official_vqa") == 1


@pytest.mark.parametrize(
    ("prediction", "strict", "llava"),
    [
        ("red", True, True),
        (" Red. ", False, True),
        ("Red.", False, True),
        ("Red", False, True),
        ("red!", False, False),
        ("It is red.", False, False),
    ],
)
def test_gqa_by_hand(prediction: str, strict: bool, llava: bool) -> None:
    assert [gqa_correct(prediction, "red", convention) for convention in ("strict", "llava")] == [strict, llava]


def test_errors_name_what_was_expected() -> None:
    with pytest.raises(ValueError, match=r"mmf.*'textvqa'"):
        vqa_accuracy("x", ["x"] * 10, "textvqa")
    with pytest.raises(ValueError, match=r"llava.*'loose'"):
        gqa_correct("x", "x", "loose")
    with pytest.raises(ValueError, match="at least one"):
        vqa_accuracy("x", [], "mmf")
