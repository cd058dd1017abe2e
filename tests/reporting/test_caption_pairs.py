"""Which rows of the corpus a page shows, and what it says of their captions."""

import dataclasses
import json
import random

import pytest
from finished_runs import ARABIC, blip2_alignment, raw_alignment, write_jsonl, write_run
from html_page import Page, part

from recap.io import read_jsonl
from recap.reporting.captions import Candidate, caption_pairs
from recap.reporting.page import render
from recap.reporting.run import StoredRows, load_run
from recap.reporting.sampling import Lowest


@pytest.fixture(scope="module")
def run(finished_run):
    return load_run(finished_run)


@pytest.fixture(scope="module")
def pairs(run):
    return caption_pairs(run)


def ids(pairs):
    return [int(pair.id.removeprefix("street_")) for pair in pairs]


def without(rows, *names):
    return [{key: value for key, value in row.items() if key not in names} for row in rows]


def test_the_rows_that_gained_and_lost_most_come_first(pairs):
    """Row i gains 0.15 - 0.02 i, and rows 14 to 19 were dropped."""
    assert ids(pairs.better) == [0, 1, 2, 3, 4, 5]
    assert ids(pairs.worse) == [13, 12, 11, 10, 9, 8]
    assert sorted(ids(pairs.drawn)) == [6, 7, 14, 15, 16, 17, 18, 19]
    changes = [pair.change for pair in (*pairs.better, *pairs.worse)]
    assert changes == pytest.approx([0.15 - 0.02 * i for i in (*range(6), *range(13, 7, -1))])


def test_a_row_says_what_it_carries_and_whence(pairs):
    first = pairs.better[0]
    assert first.raw.text == "sign 0 - stock photo" and first.raw.alignment == 0.1
    assert first.carried.text == "a crimson sign with the word SIGN0 beside a road" and first.carried.alignment == 0.25
    assert (first.source, first.operator, first.reason) == ("blip2", None, None)


def test_dropped_rows_say_by_what_and_which_caption_they_had(pairs):
    by_id = dict(zip(ids(pairs.dropped), pairs.dropped, strict=True))
    shape, words = by_id[14], by_id[17]
    assert (shape.operator, shape.reason) == ("image_shape_filter", "image_height=180, image_width=200")
    assert not shape.replaced and shape.carried.alignment == raw_alignment(14)
    # The second was judged by its new caption; the raw one is looked up.
    assert (words.operator, words.reason) == ("words_num_filter", "num_words=3")
    assert words.raw.text == "sign 17 - stock photo" and words.raw.alignment == raw_alignment(17)
    assert words.carried.text.endswith("SIGN17 beside a road") and words.carried.alignment == blip2_alignment(17)


def test_candidates_have_the_chosen_one_first_and_their_scores(pairs):
    candidates = pairs.better[3].candidates
    assert candidates[0].chosen and candidates[0].caption == pairs.better[3].carried.text
    assert candidates[0].scores == {"alignment": 0.22, "itm": 0.875, "novelty": 0.5}
    assert candidates[1] == Candidate(ARABIC, False, None, False, "", {"alignment": 0.12, "itm": 0.25, "novelty": 0.75})
    assert [candidate.junk for candidate in candidates[2:]] == ["loop", "cut_off"]
    assert not any(candidate.chosen for candidate in candidates[1:])


def test_candidates_stand_on_the_page(run):
    captions = part(render(run, None), "section", "captions")
    said = Page(captions).words
    assert "chosen cosine 0.250 · ITM 0.875 · novelty 0.500" in said
    assert "a sign a sign a sign a sign junk: loop" in said
    assert "Trained on: BLIP-2's caption a crimson sign with the word SIGN0 beside a road cosine 0.250 +0.15" in said
    # A control that turns letters round is named, not obeyed; so it is in the raw caption that was replaced.
    assert "U+202Egnp.exe" in said and "\u202e" not in captions
    assert "beside a road a sign… (4,199 characters)" in said


def test_a_lone_candidate_that_the_row_carries_is_not_told_twice(run):
    alone = [row | {"candidates": [row["candidates"][1]]} for row in run.captions]
    kept = caption_pairs(dataclasses.replace(run, captions=alone))
    assert kept.better[0].candidates and not kept.better[0].offered
    # Of a row that was dropped before it got its caption, BLIP-2's is news.
    dropped = next(pair for pair in kept.drawn if pair.operator == "image_shape_filter")
    assert len(dropped.offered) == 1


def test_captions_of_a_run_without_candidates(run):
    old = without(run.captions, "candidates", "alignment")
    (first, *_) = caption_pairs(dataclasses.replace(run, captions=old)).better
    assert first.candidates == (Candidate(first.carried.text, True, None, False, "", {}),)


def test_without_an_aligner_rows_are_random_and_that_is_said(spoilt_run):
    for path in (spoilt_run.processed / "train.jsonl", spoilt_run.raw_captions, spoilt_run.captions):
        rows = [row | dict.fromkeys(("alignment", "raw_alignment", "blip2_alignment")) for row in read_jsonl(path)]
        for row in rows:
            row["candidates"] = [each | {"alignment": None, "itm": None} for each in row.get("candidates", [])]
        write_jsonl(path, rows)
    (spoilt_run.plots / "quality/alignment.csv").write_text("cosine,before,after\nno aligner,0.0,0.0\n")
    run = load_run(spoilt_run)
    pairs = caption_pairs(run)
    assert not pairs.better and not pairs.worse and len(pairs.drawn) == 20
    html = render(run, None)
    said = Page(part(html, "section", "captions")).words
    assert "No caption has an alignment" in said and "so the rows below are random ones" in said
    assert "cosine 0" not in said and "<svg" not in part(html, "section", "captions")


def test_a_recipe_that_replaces_nothing_has_random_rows(tmp_path):
    run = load_run(write_run(tmp_path, "baseline"))
    pairs = caption_pairs(run)
    assert not pairs.better and not pairs.worse and len(pairs.drawn) == 20
    assert "so the rows below are random ones" in Page(part(render(run, None), "section", "captions")).words


@pytest.mark.parametrize("source", ["shuffled", "length_matched", "other_image"])
def test_a_placebo_is_called_one(run, source):
    """Its captions were not scored with these pictures."""
    rows = [row | {"caption_source": source, "alignment": None} for row in run.processed]
    placebo = dataclasses.replace(run, processed=rows)
    assert not caption_pairs(placebo).better
    said = Page(part(render(placebo, None), "section", "captions")).words
    words = {
        "shuffled": "Trained on: BLIP-2's caption of another image",
        "length_matched": "Trained on: raw words at the length of BLIP-2's caption",
        "other_image": "Trained on: the raw caption of another image",
    }
    assert words[source] in said


def test_files_that_are_not_there_cost_what_they_told(spoilt_run):
    spoilt_run.raw_captions.unlink()
    spoilt_run.captions.unlink()
    run = load_run(spoilt_run)
    pairs = caption_pairs(run)
    assert ids(pairs.better) == [0, 1, 2, 3, 4, 5] and not pairs.better[0].candidates
    dropped = next(pair for pair in pairs.drawn if pair.operator)
    assert dropped.raw is None and dropped.change is None
    assert "Its caption when it was dropped" in Page(render(run, None)).words


def test_fields_of_the_users_are_not_taken_for_recaps(run, pairs):
    users = {"operator": "someone", "reason": "none: at all", "before": "noon", "image": "elsewhere.jpg"}
    assert caption_pairs(dataclasses.replace(run, processed=[row | users for row in run.processed])) == pairs


def test_two_rows_of_one_picture_are_not_both_among_the_best(run):
    rows = [row | {"id": f"{row['id']}_2"} for row in run.processed]
    both = caption_pairs(dataclasses.replace(run, processed=[*run.processed, *rows]))
    assert [pair.id.split("_")[1] for pair in both.better] == list("012345")


def test_lowest_keeps_what_sorting_would():
    luck = random.Random(0)
    for count in (1, 3, 20):
        rows = [{"id": str(n), "rank": luck.random(), "group": str(luck.randrange(30))} for n in range(500)]
        lowest = Lowest(count)
        best = {}
        for row in rows:
            lowest.offer(row["rank"], row, group=row["group"])
        for row in sorted(rows, key=lambda row: row["rank"]):
            best.setdefault(row["group"], row)
        assert lowest.rows == list(best.values())[:count]


def test_stored_rows_are_read_anew(tmp_path):
    rows = StoredRows(tmp_path / "rows.jsonl")
    assert not rows and list(rows) == []
    (tmp_path / "rows.jsonl").write_text(json.dumps({"id": "1"}) + "\n")
    assert rows and list(rows) == list(rows) == [{"id": "1"}]
