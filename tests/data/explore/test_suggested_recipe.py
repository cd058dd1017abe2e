"""The suggested recipe, executed: every operator drops exactly the rows that its comment says."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas
import pytest
from PIL import Image

from recap.data.corpus.records import Record
from recap.data.explore.completeness import LACKING, UNREADABLE_ROW, completeness
from recap.data.explore.exploration import Exploration, explore_corpus
from recap.data.explore.leaks import no_leaks
from recap.data.explore.recipe import MAX_SHARE, kept, recipe_text
from recap.data.explore.table import records_of
from recap.data.processing.funnel import funnel_metrics
from recap.data.processing.recipe import read_recipe
from recap.data.processing.runner import Processed, run_recipe
from recap.io import write_jsonl, write_text
from recap.params import QualityParams, load_params

THINGS = ("a red bus", "two old boats", "the green door", "some dogs")
PLACES = ("near the harbour", "by the wall", "under the bridge")
SOUND = [
    f"{thing} {place} of the {size} town" for thing in THINGS for place in PLACES for size in ("old", "new", "small")
]
FAULTY = [
    "dog",
    "one two three four five 66",  # six blanks-parted strings, but digits are no word
    "a page of text " * 30,
    "free download " * 8,
    "free download stock photo and free download stock photo",
    "the very same ten words come again and once more " * 3,
    "a b c d e f 90418 ?! 72634 (5) [3] {8} #4 $6 @1 %7",
    SOUND[0].upper() + "!",
    "a <b>red</b> bus in front of the <i>old</i> station",
    "see https://a.example/bus.html for the red bus and more of it",
    "a b https://quay.example/wave http://mills.test/x www.photo.example/b https://kiosk.test/c",
]


@pytest.fixture(scope="session")
def quality(root: Path) -> QualityParams:
    return load_params("quality", root / "params.yaml")


@pytest.fixture
def table(make_table: Callable[..., pandas.DataFrame]) -> pandas.DataFrame:
    captions = [caption.strip() for caption in [*SOUND, *FAULTY]]
    rows = len(captions)
    width, height = [300] * rows, [300] * rows
    width[1], height[2], width[3] = 223, 100, 901
    return make_table(captions, width=width, height=height)


@pytest.fixture
def found(table: pandas.DataFrame, quality: QualityParams, tmp_path: Path) -> Exploration:
    leaks = no_leaks()
    leaks.loc[0] = ["0005.jpg", "gqa", "n1.jpg", "same file"]
    write_jsonl(tmp_path / "leaked.jsonl", leaks.to_dict("records"))
    return explore_corpus(table, [], leaks, leaked_path=str(tmp_path / "leaked.jsonl"), quality=quality)


def process(
    table: pandas.DataFrame, text: str, folder: Path, pack_corpus: Callable[[Sequence[Record], Path, Path], Path]
) -> Processed:
    """What `process` makes of a corpus by the text of a recipe."""
    for row in table.itertuples():
        Image.new("RGB", (row.width, row.height)).save(folder / row.image)
    corpus = pack_corpus(records_of(table), folder, folder / "corpus")
    write_jsonl(folder / "captions.jsonl", [])
    write_text(folder / "suggested.yaml", text)
    recipe = read_recipe(folder / "suggested.yaml")
    return run_recipe(recipe, records_of(table), image_root=corpus, captions=folder / "captions.jsonl")


def new_rows(text: str) -> dict[str, int]:
    """How many new rows the comments of a recipe say that each of its operators drops or changes."""
    return {operator: int(new) for new, operator in re.findall(r"\(\d+ rows, (\d+) new\).*\n  - (\w+):", text)}


def test_process_drops_what_the_comments_say(
    table: pandas.DataFrame,
    found: Exploration,
    tmp_path: Path,
    pack_corpus: Callable[[Sequence[Record], Path, Path], Path],
) -> None:
    text = recipe_text(found.rules, len(table))
    processed = process(table, text, tmp_path, pack_corpus)
    steps = {step.label: len(step.changed or step.dropped) for step in processed.steps}
    assert list(steps.items()) == list(new_rows(text).items())
    assert set(steps) == {
        "words_num_filter", "text_length_filter", "word_repetition_filter", "character_repetition_filter",
        "special_characters_filter", "image_shape_filter", "image_aspect_ratio_filter", "leaked_image_filter",
        "document_deduplicator", "replace_content_mapper", "clean_links_mapper", "maximum_line_length_filter",
    }  # fmt: skip
    assert all(steps.values())
    assert len(processed.rows) == kept(found.rules, len(table)) == found.facts["suggested_recipe"]["rows_kept"]


def test_too_short_is_what_the_filter_drops(table: pandas.DataFrame, found: Exploration, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "captions.jsonl", [])
    write_text(tmp_path / "r.yaml", "process:\n  - words_num_filter: {min_num: 6}\n")
    processed = run_recipe(
        read_recipe(tmp_path / "r.yaml"), records_of(table), image_root=tmp_path, captions=tmp_path / "captions.jsonl"
    )
    dropped = 100 - funnel_metrics(processed, len(table))["kept_percent"]
    assert found.facts["text"]["too_short_percent"] == pytest.approx(dropped) == pytest.approx(100 * 2 / 47)


def test_a_rule_that_takes_too_much_is_not_switched_on(
    make_table: Callable[..., pandas.DataFrame], quality: QualityParams, tmp_path: Path
) -> None:
    found = explore_corpus(make_table(["dog", "cat"] * 3), [], no_leaks(), leaked_path="", quality=quality)
    text = recipe_text(found.rules, 6)
    assert f"more than {100 * MAX_SHARE:.0f} %" in text
    assert "#  - words_num_filter:\n#      min_num: 6\n" in text
    write_text(tmp_path / "suggested.yaml", text)
    assert "words_num_filter" not in {operator.name for operator in read_recipe(tmp_path / "suggested.yaml").operators}
    assert "yours to decide" in found.facts["findings"]["too_short"]["advice"]


def test_what_judges_cleaned_captions_says_what_it_drops_of_all(
    make_table: Callable[..., pandas.DataFrame],
    quality: QualityParams,
    tmp_path: Path,
    pack_corpus: Callable[[Sequence[Record], Path, Path], Path],
) -> None:
    """Short captions without markup too: the rule that drops these is switched off here, as it would take too many."""
    some, many = [*SOUND[:12], "a <b>red</b> <i>bus</i> <u>by</u> <b>a</b> it"], [f"a dog {n}" for n in range(4)]
    for captions, rest in ((some, ["two\nold\nboats\nby\nthe\nwall"]), (some, many + [f"cat {n}" for n in range(4)])):
        folder = tmp_path / str(len(rest))
        folder.mkdir()
        table = make_table([*captions, *rest])
        found = explore_corpus(table, [], no_leaks(), leaked_path="", quality=quality)
        text = recipe_text(found.rules, len(table))
        processed = process(table, text, folder, pack_corpus)
        assert {step.label: len(step.changed or step.dropped) for step in processed.steps} == new_rows(text)
        assert len(processed.rows) == kept(found.rules, len(table))


def test_an_empty_corpus(make_table: Callable[..., pandas.DataFrame], quality: QualityParams, tmp_path: Path) -> None:
    rejected = [{"reason": "no_image", "detail": "expected a path"}]
    found = explore_corpus(make_table([]), rejected, no_leaks(), leaked_path="", quality=quality)
    write_text(tmp_path / "suggested.yaml", recipe_text(found.rules, 0))
    read_recipe(tmp_path / "suggested.yaml")
    assert (found.facts["rows"], [finding.name for finding in found.findings]) == (0, ["rejected"])


def test_fields_are_complete_over_the_rows_read(make_table: Callable[..., pandas.DataFrame]) -> None:
    reasons = ["missing_id", "empty_caption", "broken_conversation", "missing_image", "broken_json", "something_new"]
    complete = completeness(make_table(["a"] * 4), [{"reason": reason} for reason in reasons])
    assert complete == {"id": 80, "text": 70, "images": 80, "all": 40}  # of ten


def test_every_reason_for_rejecting_a_pair_is_some_fields(root: Path) -> None:
    """Those of the document, which says of each what was found."""
    section = (root / "docs/DATA.md").read_text().split("### What is rejected")[1].split("## What `explore`")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    documented = {reason for row in rows for reason in re.findall(r"`(\w+)`", row)}
    others = {"image_tag_mismatch", "broken_question", "broken_answers", "no_annotation"}
    assert documented - others == UNREADABLE_ROW.union(*LACKING.values())


def test_findings_are_sorted_and_show_captions(found: Exploration) -> None:
    counts = [finding.rows for finding in found.findings]
    assert counts == sorted(counts, reverse=True)
    by_name = {finding.name: finding for finding in found.findings}
    assert by_name["too_short"].examples == FAULTY[:2]
    assert by_name["leaked_picture"].examples == ["0005.jpg"]
    assert by_name["html"].rows == 1 and by_name["url"].rows == 2
