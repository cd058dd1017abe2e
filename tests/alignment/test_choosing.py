"""Which candidate becomes the caption, by hand-made scores."""

from typing import Any

import pytest

from recap.alignment.chance import MOST, captions_by_chance
from recap.alignment.choosing import chosen_captions, ngrams, require_scores
from recap.alignment.outputs import describe_alignment, describe_choices
from recap.alignment.scoring import Scored, Scores
from recap.data.corpus.records import Record
from recap.runtime.errors import UserError


def row(image: str, *captions: str, junk: tuple[str, ...] = ()) -> dict[str, Any]:
    candidates = [
        {"caption": caption, "prompt": "", "truncated": False, "junk": "loop" if caption in junk else None}
        for caption in captions
    ]
    return {"image": image, "candidates": candidates}


ROWS = [row("a", "one", "two", "three", junk=("three",)), row("b", "one", junk=("one",)), row("c", "four", "five")]
SCORES = {
    ("a", "one"): Scored(0.1, 0.9, False),
    ("a", "two"): Scored(0.3, 0.2, False),
    ("a", "three"): Scored(0.9, 0.9, False),
    ("c", "four"): Scored(0.2, 0.5, False),
    ("c", "five"): Scored(0.2, 0.5, True),
}


def captions(rows: list[dict[str, Any]], scores: dict[Any, Scored], choose: str, corpus: tuple[str, ...] = ()) -> dict:
    return {row["image"]: row["caption"] for row in chosen_captions(rows, scores, choose=choose, corpus=corpus)}


@pytest.mark.parametrize(("choose", "expected"), [("alignment", "two"), ("itm", "one"), ("first", "one")])
def test_the_best_that_is_no_junk_is_chosen_and_the_first_of_equals(choose: str, expected: str) -> None:
    # b has junk alone, so it has no caption.
    assert captions(ROWS, SCORES, choose) == {"a": expected, "c": "four"}


def test_every_candidate_keeps_its_scores() -> None:
    first, _ = chosen_captions(ROWS, SCORES, choose="alignment", corpus=())
    assert (first["image"], first["caption"], first["alignment"]) == ("a", "two", 0.3)
    assert [(c["caption"], c["junk"], c["alignment"], c["itm"], c["novelty"]) for c in first["candidates"]] == [
        ("one", None, 0.1, 0.9, None),
        ("two", None, 0.3, 0.2, None),
        ("three", "loop", 0.9, 0.9, None),
    ]


def test_a_picture_without_scores_keeps_its_first_candidate() -> None:
    first, last = chosen_captions(ROWS, {("c", "five"): SCORES["c", "five"]}, choose="alignment", corpus=())
    assert (first["caption"], first["alignment"]) == ("one", None)
    assert (last["caption"], last["alignment"]) == ("five", 0.2)


def test_runs_of_three_words() -> None:
    assert ngrams("A red bus, on THE road") == {"a red bus", "red bus on", "bus on the", "on the road"}
    assert ngrams("red bus") == {"red bus"} and ngrams(" ?! ") == set()


def test_novelty_is_against_the_corpus_and_what_was_chosen_before() -> None:
    rows = [
        row("a", "a red bus on the road", "a red bus near a tree"),
        row("b", "a red bus near a tree", "the cat and the dog"),
        row("c", "the cat and the dog", "the cat and the bird"),
    ]
    found = list(chosen_captions(rows, {}, choose="novelty", corpus=("a red bus on", "bus on the road")))
    # a: all four runs of the first are the corpus's; of the second, "a red bus" is, the three others are new.
    assert [candidate["novelty"] for candidate in found[0]["candidates"]] == [0.0, 0.75]
    assert [candidate["novelty"] for candidate in found[1]["candidates"]] == [0.0, 1.0]
    assert [candidate["novelty"] for candidate in found[2]["candidates"]] == [0.0, pytest.approx(1 / 3, abs=1e-6)]
    assert [row["caption"] for row in found] == ["a red bus near a tree", "the cat and the dog", "the cat and the bird"]
    assert describe_choices(found) == {"images": 3, "with_several_candidates": 3, "changed": 3}


@pytest.mark.parametrize("choose", ["alignment", "itm"])
def test_choosing_by_a_score_that_nothing_has_is_refused_where_there_is_a_choice(choose: str) -> None:
    with pytest.raises(UserError, match=rf"align\.choose: {choose}: .* several candidates per image"):
        require_scores(ROWS, choose, {})
    require_scores([row("a", "one", "two", junk=("two",)), row("b", "one")], choose, {})
    for other in ("first", "novelty"):
        require_scores(ROWS, other, {})
    require_scores(ROWS, choose, SCORES)


def test_itm_needs_a_model_that_has_it() -> None:
    scores = {("a", "one"): Scored(0.5, None, False)}
    with pytest.raises(UserError, match="a model with a matching head"):
        require_scores(ROWS, "itm", scores)
    require_scores(ROWS, "alignment", scores)


def test_quantiles_by_hand() -> None:
    found = describe_alignment([0.0, 0.1, None, 0.2, 0.3, 0.4])
    assert found["scored"] == 5
    assert (found["min"], found["p25"], found["median"], found["max"]) == pytest.approx((0.0, 0.1, 0.2, 0.4))
    assert describe_alignment([None])["median"] is None


def records(count: int) -> list[Record]:
    return [Record(f"r{number}", f"{number}.jpg", f"caption {number % 40}") for number in range(count)]


def test_strangers_are_earlier_rows_whatever_comes_after() -> None:
    few, more = captions_by_chance(records(50)), captions_by_chance(records(60))
    assert {number: more[number] for number in few} == few
    assert all(caption != f"caption {number % 40}" for number, caption in few.items())
    assert len(few) > 40 and 0 not in few


def test_so_many_strangers_at_most() -> None:
    # Every eighth row is drawn; one of forty draws its own caption.
    assert 0.45 * MOST < len(captions_by_chance(records(4 * MOST + 1))) <= 0.5 * MOST


def test_a_picture_is_no_stranger_to_its_other_captions() -> None:
    rows = [Record(str(number), "same.jpg", f"caption {number}") for number in range(5)]
    assert captions_by_chance(rows) == {}


def test_texts_that_were_cut_are_counted_once() -> None:
    scores = Scores({**SCORES, ("d", "five"): Scored(0.1, None, True)}, {}, 0, 6)
    assert scores.num_cut == 1
