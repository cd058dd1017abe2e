"""Answer normalisation against hand-worked cases and against what the reference code returned."""

import json
from pathlib import Path

import pytest
import reference_conventions as reference
from hypothesis import given
from hypothesis import strategies as st

from recap.evaluation.scoring.normalisation import CONVENTIONS, normalize
from recap.evaluation.scoring.tables import CONTRACTIONS

FIELDS = {"processed": "mmf", "processed_official_vqa": "official_vqa", "processed_vlmevalkit": "vlmevalkit"}


def check(path: Path) -> int:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        for field, convention in FIELDS.items():
            assert reference.normalize_as(convention, row["raw"]) == row[field], (convention, row)
    return len(rows)


def test_sample_of_reference_outputs(assets: Path) -> None:
    assert check(assets / "eval" / "textvqa_processor.jsonl") > 150


def test_all_reference_outputs(shared: Path) -> None:
    assert check(shared / "eval" / "golden" / "textvqa_processor.jsonl") == 2200


@pytest.mark.parametrize(
    ("raw", "mmf", "official_vqa", "vlmevalkit"),
    [
        ("3.", "3", "3", "3."),
        ("5..5", "5.5", "5.5", "5..5"),
        ("U.S.A.", "usa", "usa", "usa"),
        ("1,000", "1000", "1000", "1000"),
        ("Ben & Jerry's", "ben & jerry 's", "ben & jerry's", "ben & jerry's"),
        ("what?no", "whatno", "what no", "what no"),
        ("1,2 - 3/4", "12 3 4", "12 34", "12 34"),
        ("None of the above", "0 of above", "0 of above", "0 of above"),
        ("dont", "don't", "don't", "don't"),
        ("(a)", "", "", ""),
        ("w." * 40, "w" * 32 + "w." * 8, "w" * 32 + "w." * 8, "w" * 32 + "w." * 8),
    ],
)
def test_hand_worked(raw: str, mmf: str, official_vqa: str, vlmevalkit: str) -> None:
    assert [normalize(raw, convention) for convention in CONVENTIONS] == [mmf, official_vqa]
    assert reference.normalize_as("vlmevalkit", raw) == vlmevalkit


def test_the_table_has_120_contractions_and_keeps_the_references_oddities() -> None:
    assert len(CONTRACTIONS) == 120
    assert CONTRACTIONS["somebody'd"] == "somebodyd"


@given(st.text(), st.sampled_from(CONVENTIONS))
def test_any_text_becomes_single_spaced_words_without_articles(text: str, convention: str) -> None:
    words = normalize(text, convention)
    assert words == " ".join(words.split())
    assert not {"a", "an", "the"} & set(words.split())


def test_unknown_convention_is_refused() -> None:
    with pytest.raises(ValueError, match=r"official_vqa.*'vqa'"):
        normalize("yes", "vqa")
