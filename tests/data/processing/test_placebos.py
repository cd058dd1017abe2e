"""Placebos: what they share with their arm, what they must not say, and that only the seed decides."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from recap.data.corpus.records import Record, caption_of
from recap.data.processing.ops.placebos import CaptionShuffleMapper
from recap.data.processing.recipe import Operator, Recipe
from recap.data.processing.runner import run_recipe
from recap.io import write_jsonl
from tests.data.processing.scored_corpora import ScoredCorpus, random_scores

ROWS = 2_300
LOOKUP = ("blip2_caption_lookup_mapper", {})
SHUFFLE, OTHER = (("caption_shuffle_mapper", {"caption_source": name}) for name in ("shuffled", "other_image"))
LENGTH = ("caption_length_mapper", {})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> ScoredCorpus:
    return ScoredCorpus(tmp_path_factory.mktemp("placebos"), random_scores(ROWS))


@pytest.mark.parametrize(("arm", "placebo"), [([LOOKUP], SHUFFLE), ([], OTHER)])
def test_a_shuffled_arm_differs_in_who_has_which_caption(corpus: ScoredCorpus, arm: list, placebo: tuple) -> None:
    before, after = corpus.run(*arm).rows, corpus.run(*arm, placebo).rows
    assert [row["id"] for row in before] == [row["id"] for row in after]
    assert Counter(row["text"] for row in before) == Counter(row["text"] for row in after)
    assert not any(old["text"] == new["text"] for old, new in zip(before, after, strict=True))
    caption = {row["images"][0]: row["text"] for row in before}
    for row in after:
        (image,) = row["caption_images"]
        assert image != row["images"][0] and caption[image] == row["text"]
    assert {(row["caption_source"], row["alignment"]) for row in after} == {(placebo[1]["caption_source"], None)}


@pytest.mark.parametrize("process", [(OTHER,), (LOOKUP, SHUFFLE), (LOOKUP, LENGTH)])
def test_only_the_seed_decides(corpus: ScoredCorpus, process: tuple) -> None:
    first = {row["id"]: row["text"] for row in corpus.run(*process).rows}
    for workers, backwards in ((2, False), (1, True)):
        assert {
            row["id"]: row["text"] for row in corpus.run(*process, workers=workers, backwards=backwards).rows
        } == first
    other = {row["id"]: row["text"] for row in corpus.run(*process, seed=43).rows}
    assert sum(first[row_id] != other[row_id] for row_id in first) > ROWS / 4


def test_lengths_are_blip2s_and_words_are_raw(corpus: ScoredCorpus) -> None:
    arm, done = corpus.run(LOOKUP).rows, corpus.run(LOOKUP, LENGTH).rows
    raw = {record.image: record.caption.split() for record in corpus.records}
    for old, new in zip(arm, done, strict=True):
        length, words = len(caption_of(old["text"]).split()), caption_of(new["text"]).split()
        assert len(words) == length and old["id"] == new["id"]
        own, *others = new["caption_images"]
        assert own == new["images"][0] and own not in others
        assert words == [word for image in new["caption_images"] for word in raw[image]][:length]
        assert bool(others) == (len(raw[own]) < length)
    assert {row["caption_source"] for row in done} == {"length_matched"}


def test_cut_and_continued_by_hand(tmp_path: Path) -> None:
    corpus = ScoredCorpus(
        tmp_path, [(0.5, 0.5)] * 2, ["one two three four five six seven eight nine ten eleven", "uno"]
    )
    write_jsonl(tmp_path / "blip2.jsonl", (
        {"image": f"{number}.jpg", "caption": caption} for number, caption in enumerate(("a red bus", "a  cat sat"))
    ))  # fmt: skip
    first, second = corpus.run(LOOKUP, LENGTH).rows
    assert caption_of(first["text"]) == "one two three" and first["caption_images"] == ["0.jpg"]
    assert caption_of(second["text"]) == "uno one two" and second["caption_images"] == ["1.jpg", "0.jpg"]
    assert (first["alignment"], first["raw_alignment"]) == (None, 0.5)


def test_where_other_images_have_no_words_captions_stay_short(tmp_path: Path) -> None:
    corpus = ScoredCorpus(tmp_path, [(0.5, 0.5)] * 3, ["uno dos", " ", ""])
    write_jsonl(tmp_path / "blip2.jsonl", ({"image": f"{n}.jpg", "caption": "a red bus stands"} for n in range(3)))
    first, *others = corpus.run(LOOKUP, LENGTH).rows
    assert caption_of(first["text"]) == "uno dos" and first["caption_images"] == ["0.jpg"]
    assert [caption_of(row["text"]) for row in others] == ["uno dos uno dos"] * 2


def test_the_same_picture_under_another_name_is_no_other_image(
    tmp_path: Path, pack_corpus: Callable[[Sequence[Record], Path, Path], Path]
) -> None:
    """Three copies of one picture and three others: by names alone, copies would get each other's captions."""
    records = [Record(f"r{n}", f"{n}.png", f"caption number {n}") for n in range(6)]
    for number, record in enumerate(records):
        Image.new("RGB", (30, 30), (0 if number < 3 else 40 * number, 0, 0)).save(tmp_path / record.image)
    root = pack_corpus(records, tmp_path, tmp_path / "corpus")
    (tmp_path / "captions.jsonl").touch()
    recipe = Recipe("test", [Operator(OTHER[0], *OTHER)])
    for seed in range(20):
        done = run_recipe(recipe, records, image_root=root, captions=tmp_path / "captions.jsonl", seed=seed)
        given = [row["caption_images"][0] for row in done.rows]
        assert sorted(given[:3]) == ["3.png", "4.png", "5.png"]


@pytest.mark.parametrize("source", ["", "raw", "blip2"])
def test_a_placebo_is_called_one(source: str) -> None:
    with pytest.raises(ValueError, match="expected a placebo's name"):
        CaptionShuffleMapper(caption_source=source)
