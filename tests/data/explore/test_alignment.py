"""What cosines say of a corpus, by hand: who is taken for a stranger, how many there are, and the rule against them."""

from collections.abc import Callable
from pathlib import Path

import numpy
import pandas
import pytest

from recap.data.explore.alignment import badly_aligned, describe_alignment, least_alignment, with_alignment
from recap.data.explore.exploration import explore_corpus
from recap.data.explore.leaks import no_leaks
from recap.data.explore.recipe import recipe_text
from recap.io import write_jsonl
from recap.params import load_params
from recap.runtime.errors import UserError

CAPTIONS = [f"a red bus number {number} in front of the old station" for number in range(100)]
# Strangers are from 0 to 0.1; ten captions are among them, the others far above.
STRANGERS = numpy.linspace(0.0, 0.1, 100)
ALIGNED = numpy.where(numpy.arange(100) % 10 == 3, STRANGERS, 0.5)


@pytest.fixture
def table(make_table: Callable[..., pandas.DataFrame]) -> pandas.DataFrame:
    return make_table(CAPTIONS, alignment=ALIGNED, chance=STRANGERS)


def test_a_stranger_is_who_three_of_four_strangers_are(table: pandas.DataFrame) -> None:
    assert least_alignment(table) == 0.075  # the quantile 0.75 of 0 to 0.1
    # 3, 13, ..., 73 of 100 lie below, 83 and 93 above it.
    assert numpy.flatnonzero(badly_aligned(table, 0.075)).tolist() == [*range(3, 83, 10)]


def test_the_share_of_strangers_is_twice_those_below_their_median(table: pandas.DataFrame) -> None:
    found = describe_alignment(table)
    assert found is not None
    # 3, 13, 23, 33 and 43 of 100 are below the median.
    assert found["mismatched_percent"] == 10
    assert found["below_least_percent"] == 8
    assert [row["id"] for row in found["worst"][:3]] == ["row-3", "row-13", "row-23"]


def test_rows_without_a_cosine_are_dropped_as_the_operator_does(table: pandas.DataFrame) -> None:
    table.loc[4, "alignment"] = numpy.nan
    found = describe_alignment(table)
    assert found is not None and found["scored_rows"] == 99
    assert badly_aligned(table, 0.075)[4]


def test_nothing_is_known_without_cosines(make_table: Callable[..., pandas.DataFrame]) -> None:
    bare = make_table(CAPTIONS)
    empty = make_table(CAPTIONS, alignment=[numpy.nan] * 100, chance=[numpy.nan] * 100)
    for without in (bare, empty):
        assert describe_alignment(without) is None
        assert least_alignment(without) is None and not badly_aligned(without, None).any()


def test_the_recipe_has_the_rule_where_there_is_an_aligner(
    table: pandas.DataFrame, make_table: Callable[..., pandas.DataFrame], root: Path
) -> None:
    quality = load_params("quality", root / "params.yaml")

    def recipe(corpus: pandas.DataFrame) -> str:
        found = explore_corpus(corpus, [], no_leaks(), leaked_path="", quality=quality)
        return recipe_text(found.rules, len(corpus))

    text = recipe(table)
    assert "  # drops 8.0 % (8 rows, 8 new): fits its picture no better than captions of other pictures do" in text
    assert "  - alignment_filter:\n      min_score: 0.075\n" in text
    assert "alignment" not in recipe(make_table(CAPTIONS))


def test_a_corpus_of_strangers_is_not_emptied_unasked(make_table: Callable[..., pandas.DataFrame], root: Path) -> None:
    corpus = make_table(CAPTIONS, alignment=STRANGERS, chance=STRANGERS)
    quality = load_params("quality", root / "params.yaml")
    found = explore_corpus(corpus, [], no_leaks(), leaked_path="", quality=quality)
    assert found.facts["alignment"]["mismatched_percent"] == 100
    assert "#  - alignment_filter:" in recipe_text(found.rules, len(corpus))


def test_cosines_of_another_corpus_are_refused(table: pandas.DataFrame, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "raw.jsonl", [{"id": "x", "alignment": 0.1, "chance": None}])
    with pytest.raises(UserError, match="expected the 100 rows of the corpus, found 1 others; run align@raw"):
        with_alignment(table, tmp_path / "raw.jsonl")
