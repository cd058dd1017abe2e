"""MMBench's option extraction and CircularEval, by hand and against VLMEvalKit."""

import json
from pathlib import Path
from typing import Any

import pytest
from reference_conventions import circular_accuracy

from recap.data.benchmarks.mmbench import present_options
from recap.evaluation.scoring.circular import circular_groups
from recap.evaluation.scoring.options import extract_choice

OPTIONS = {"A": "red", "B": "dark red", "C": "green", "D": "blue"}


def check(path: Path) -> int:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        assert extract_choice(row["prediction"], row["choices"]) == row["extracted"], row
    return len(rows)


def test_extraction_against_vlmevalkit(assets: Path) -> None:
    assert check(assets / "eval" / "mmbench_extract.jsonl") > 100


def test_extraction_against_all_vlmevalkit_outputs(shared: Path) -> None:
    assert check(shared / "eval" / "golden" / "mmbench_extract.jsonl") == 900


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("B", "B"),
        ("(b)", None),
        ("**B**", "B"),
        ("Answer: B.", "B"),
        ("The answer is dog", "D"),
        ("E", None),
        ("red", "A"),
        ("dark red", None),
        ("Z", "Z"),
        ("Cannot determine the answer from this.", "Z"),
        ("", None),
        ("A or B", None),
        ("A man in a red coat rides", "A"),
    ],
)
def test_by_hand(text: str, expected: str | None) -> None:
    assert extract_choice(text, OPTIONS) == expected


@pytest.fixture(scope="module")
def golden(assets: Path) -> dict[str, Any]:
    golden: dict[str, Any] = json.loads((assets / "eval" / "mmbench_circular.json").read_text())
    return golden


def test_circular_accuracy_equals_vlmevalkit(golden: dict[str, Any]) -> None:
    expected = golden["expected_vlmevalkit"]
    groups = circular_groups(golden["rows"])
    assert circular_accuracy(golden["rows"]) == pytest.approx(expected["circular"]["Overall"], abs=1e-9)
    assert {str(group.index): int(group.hit) for group in groups} == expected["hit_by_question"]
    first = [group.correct[0] for group in groups]
    assert sum(first) / len(first) == pytest.approx(expected["vanilla_first_pass_only"]["Overall"], abs=1e-9)
    every = [correct for group in groups for correct in group.correct]
    assert sum(every) / len(every) == pytest.approx(expected["vanilla_all_rows"]["Overall"], abs=1e-9)


def test_circular_accuracy_per_ability_equals_vlmevalkit(golden: dict[str, Any]) -> None:
    hits: dict[str, list[bool]] = {}
    for group in circular_groups(golden["rows"]):
        for ability in (golden["abbreviations"][group.rows[0]["l2-category"]], group.rows[0]["category"]):
            hits.setdefault(ability, []).append(group.hit)
    found = {ability: sum(values) / len(values) for ability, values in hits.items()}
    expected = {k: v for k, v in golden["expected_vlmevalkit"]["circular"].items() if k not in ("split", "Overall")}
    assert found == pytest.approx(expected, abs=1e-9)


def test_groups_with_missing_rotations_are_flagged(golden: dict[str, Any]) -> None:
    incomplete = [group for group in circular_groups(golden["rows"]) if not group.complete]
    assert len(incomplete) == 4
    assert all(group.hit for group in incomplete)  # too easy: that is why they are flagged


def test_one_wrong_rotation_fails_the_question_and_order_does_not_matter() -> None:
    row = {"question": "?", "A": "cat", "B": "dog"}
    rows = [{**row, "index": 1_000_003, "answer": "B", "prediction": "B"}]
    rows += [{**row, "index": 3, "answer": "A", "prediction": "A"}]
    assert circular_accuracy(rows) == 1
    assert circular_accuracy([{**rows[0], "prediction": "A"}, rows[1]]) == 0


def test_the_text_none_is_an_option_and_an_empty_cell_is_not() -> None:
    assert present_options({"A": "None", "B": "nan", "C": "", "D": None}) == {"A": "None", "B": "nan"}
