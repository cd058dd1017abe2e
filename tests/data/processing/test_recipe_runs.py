"""Recipes run through Data-Juicer: what each operator drops, why, and that every row is accounted for."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recap.data.corpus.records import Record, caption_of
from recap.data.processing.juicer import OPERATORS, Filter, Mapper
from recap.data.processing.operators import OWN
from recap.data.processing.pictures import reads_pictures
from recap.data.processing.recipe import Operator, Recipe, read_recipe
from recap.data.processing.runner import Processed, run_recipe
from recap.io import read_jsonl, write_jsonl
from recap.runtime.errors import UserError
from tests.data.processing.conftest import ALIGNMENT, RAW


def run(folder: Path, records: list[Record], *process: tuple[str, dict[str, Any]], workers: int = 1) -> Processed:
    return run_on(
        folder, records, Recipe("test", [Operator(name, name, arguments) for name, arguments in process]), workers
    )


def run_on(folder: Path, records: list[Record], recipe: Recipe, workers: int = 1) -> Processed:
    captions, raw = folder / "captions.jsonl", folder / "raw_captions.jsonl"
    return run_recipe(recipe, records, image_root=folder, captions=captions, raw_captions=raw, workers=workers)


def run_shipped(name: str, root: Path, folder: Path, records: list[Record], workers: int = 1) -> Processed:
    return run_on(folder, records, read_recipe(root / "recipes" / f"{name}.yaml"), workers)


def dropped(processed: Processed) -> dict[str, list[str]]:
    return {step.label: [row["id"] for row in step.dropped] for step in processed.steps}


def test_filtered_drops_one_row_per_rule(root: Path, folder: Path, records: list[Record]) -> None:
    processed = run_shipped("filtered", root, folder, records)
    assert dropped(processed) == {
        "image_shape_filter": ["tiny"],
        "words_num_filter": ["short", "long"],
        "word_repetition_filter": ["word-loop"],
        "character_repetition_filter": ["character-loop"],
        "text_length_filter": ["few-characters"],
    }
    assert [row["id"] for row in processed.rows] == ["good", "uncaptioned"]
    reasons = {row["id"]: row["reason"] for step in processed.steps for row in step.dropped}
    assert reasons["tiny"] == "image_shape_filter: image_height=223, image_width=300"
    assert reasons["short"] == "words_num_filter: num_words=1"
    assert reasons["few-characters"] == "text_length_filter: text_len=11"


def test_baseline_keeps_everything(root: Path, folder: Path, records: list[Record]) -> None:
    processed = run_shipped("baseline", root, folder, records)
    assert processed.steps == []
    assert [
        {name: row[name] for name in record.to_row()} for row, record in zip(processed.rows, records, strict=True)
    ] == [record.to_row() for record in records]
    assert [(row["raw_text"], row["caption_source"], row["alignment"]) for row in processed.rows] == [
        (record.caption, "raw", ALIGNMENT[record.id]) for record in records
    ]


def test_recaptioned_replaces_every_caption_it_keeps(root: Path, folder: Path, records: list[Record]) -> None:
    processed = run_shipped("recaptioned", root, folder, records)
    assert dropped(processed) == {"blip2_captioned_filter": ["uncaptioned"], "blip2_caption_lookup_mapper": []}
    assert {row["caption_source"] for row in processed.rows} == {"blip2"}
    first = processed.rows[0]
    assert caption_of(first["text"]) == "a street with a sign and number 0"
    assert first["raw_text"] == records[0].caption
    assert processed.steps[1].changed[0] == {
        "id": "good", "image": "images/good.png", "reason": "blip2_caption_lookup_mapper",
        "before": records[0].caption, "after": "a street with a sign and number 0",
    }  # fmt: skip


def test_blip2_judges_the_new_captions(root: Path, folder: Path, records: list[Record]) -> None:
    processed = run_shipped("blip2", root, folder, records)
    assert [row["id"] for row in processed.rows] == [
        record.id for record in records if record.id not in ("tiny", "uncaptioned")
    ]


def test_repaired_keeps_good_raw_captions(root: Path, folder: Path, records: list[Record]) -> None:
    sources = {row["id"]: row["caption_source"] for row in run_shipped("repaired", root, folder, records).rows}
    assert sources == {
        "good": "raw", "short": "blip2", "long": "blip2", "word-loop": "blip2", "character-loop": "blip2",
        "few-characters": "blip2", "uncaptioned": "raw",
    }  # fmt: skip


def test_mapper_without_filter_keeps_uncaptioned_rows_raw(folder: Path, records: list[Record]) -> None:
    last = run(folder, records, ("blip2_caption_lookup_mapper", {})).rows[-1]
    assert (last["id"], last["caption_source"]) == ("uncaptioned", "raw")


@pytest.mark.parametrize("workers", [1, 2])
def test_leaked_pictures_are_dropped(folder: Path, records: list[Record], workers: int) -> None:
    """By their names: a picture whose name only ends like one is another picture."""
    rows = [*records, replace(records[0], id="deeper", image=f"album/{records[0].image}")]
    write_jsonl(folder / "leaked.jsonl", [{"image": records[0].image, "benchmark": "gqa"}])
    processed = run(
        folder, rows, ("leaked_image_filter", {"leaked_path": str(folder / "leaked.jsonl")}), workers=workers
    )
    assert dropped(processed) == {"leaked_image_filter": ["good"]}


def test_own_operators_open_no_picture() -> None:
    own = {name: op for name, op in OPERATORS.modules.items() if op.__module__.startswith("recap.data.")}
    assert own == OWN
    assert not any(reads_pictures(op, name) for name, op in own.items())


def test_workers_change_nothing(folder: Path, records: list[Record]) -> None:
    process = ("image_shape_filter", {"min_height": 224}), ("blip2_caption_lookup_mapper", {"only_where_raw_fails": [
        {"words_num_filter": {"min_num": 6}}
    ]})  # fmt: skip
    assert run(folder, records, *process, workers=1) == run(folder, records, *process, workers=2)


def test_markers_do_not_count(folder: Path) -> None:
    record = Record("one", "images/good.png", "five words and no more")
    exact = ("words_num_filter", {"min_num": 5, "max_num": 5}), ("text_length_filter", {"min_len": 22, "max_len": 22})
    assert len(run(folder, [record], *exact).rows) == 1


def test_statistics_of_a_replaced_caption_are_not_reused(folder: Path, records: list[Record]) -> None:
    short = [record for record in records if record.id == "short"]
    processed = run(
        folder, short, ("text_length_filter", {"min_len": 1, "max_len": 3}), ("blip2_caption_lookup_mapper", {}),
        ("text_length_filter", {"min_len": 4}),
    )  # fmt: skip
    assert len(processed.rows) == 1


def sources(processed: Processed) -> dict[str, str]:
    return {row["id"]: row["caption_source"] for row in processed.rows}


def test_selective_recaptions_the_worst_half_and_keeps_the_best(
    root: Path, folder: Path, records: list[Record]
) -> None:
    """Worst are .05, .1, .1, .2, which become .5; the best half of .9, .8, .6 and five times .5: ties by id."""
    processed = run_shipped("selective", root, folder, records)
    assert [row["id"] for row in processed.steps[0].changed] == ["short", "long", "character-loop", "few-characters"]
    assert sources(processed) == {"good": "raw", "tiny": "raw", "character-loop": "blip2", "uncaptioned": "raw"}
    reasons = {row["reason"] for row in processed.steps[1].dropped}
    assert reasons == {"best_aligned_selector: alignment=0.5"}


def test_best_of_takes_what_fits_better(root: Path, folder: Path, records: list[Record]) -> None:
    """A tie, and an image without a BLIP-2 caption, stay raw."""
    replaced = {
        name for name, source in sources(run_shipped("best_of", root, folder, records)).items() if source == "blip2"
    }
    assert replaced == {"short", "long", "character-loop", "few-characters"}


def test_both_has_rows_side_by_side(root: Path, folder: Path, records: list[Record]) -> None:
    processed = run_shipped("both", root, folder, records)
    assert [row["id"] for row in processed.rows[:4]] == ["good", "good_2", "tiny", "tiny_2"]
    first, second = processed.rows[:2]
    assert (first["caption_source"], first["alignment"], "raw_id" in first) == ("raw", 0.9, False)
    assert (second["caption_source"], second["alignment"], second["raw_id"]) == ("blip2", 0.5, "good")
    assert second["raw_alignment"] == 0.9 and second["raw_text"] == first["raw_text"] == RAW["good"]
    assert len(processed.rows) == 15 and processed.rows[-1]["id"] == "uncaptioned"
    (step,) = processed.steps
    assert (step.rows_out, len(step.added), step.changed) == (15, 7, [])


def test_rows_say_how_well_their_captions_fit(folder: Path, records: list[Record]) -> None:
    """A caption that Data-Juicer has changed is one that nobody has scored."""
    processed = run(folder, records[:3], ("blip2_caption_lookup_mapper", {}), ("remove_specific_chars_mapper", {
        "chars_to_remove": "0"
    }))  # fmt: skip
    scores = [(row["alignment"], row["raw_alignment"], row["blip2_alignment"]) for row in processed.rows]
    assert scores == [(None, 0.9, 0.5), (0.5, 0.8, 0.5), (0.5, 0.1, 0.5)]


def test_without_an_aligner_scores_are_null_and_who_needs_them_says_so(
    root: Path, folder: Path, records: list[Record]
) -> None:
    for name in ("captions.jsonl", "raw_captions.jsonl"):
        write_jsonl(folder / name, [{**row, "alignment": None} for row in read_jsonl(folder / name)])
    rows = run_shipped("mixed", root, folder, records).rows
    assert {row[name] for row in rows for name in row if name.endswith("alignment")} == {None}
    needs = [
        ("blip2_caption_lookup_mapper", {"best_of": True}),
        ("blip2_caption_lookup_mapper", {"worst_aligned_share": 0.5}),
        ("alignment_filter", {"min_score": 0.2}),
        ("best_aligned_selector", {"number": 3}),
    ]
    for operator in needs:
        with pytest.raises(
            UserError, match=rf"{operator[0]} decides by alignment .*set models\.aligner\.path"
        ) as error:
            run(folder, records, operator)
        assert "\n" not in str(error.value)


def test_other_data_juicer_operators(folder: Path, records: list[Record]) -> None:
    doubled = [replace(records[0], id="again", caption=records[0].caption.upper()), *records[:2]]
    processed = run(folder, doubled, ("document_deduplicator", {"lowercase": True}))
    assert dropped(processed) == {"document_deduplicator": ["good"]}


def test_nothing_left_is_an_error(folder: Path, records: list[Record]) -> None:
    with pytest.raises(UserError, match=r"keeps none of 8 rows: text_length_filter dropped 8; relax"):
        run(folder, records, ("text_length_filter", {"min_len": 10_000}), ("words_num_filter", {}))


def test_bad_corpora_are_errors(folder: Path, records: list[Record]) -> None:
    with pytest.raises(UserError, match="found none"):
        run(folder, [])
    with pytest.raises(UserError, match="1 repeated"):
        run(folder, [*records, records[0]])
    with pytest.raises(UserError, match=r"expected a row for every picture, found none of images/absent\.png"):
        run(folder, [Record("x", "images/absent.png", "a caption")], ("image_shape_filter", {}))


def test_missing_captions_are_an_error(folder: Path, records: list[Record]) -> None:
    (folder / "captions.jsonl").unlink()
    with pytest.raises(UserError, match=r"captions.jsonl: expected a JSON Lines file"):
        run(folder, records, ("blip2_caption_lookup_mapper", {}))


@pytest.fixture
def registered() -> Iterator[None]:
    """Takes the operators that a test registers out of the registry again."""
    before = dict(OPERATORS.modules)
    yield
    OPERATORS.modules.clear()
    OPERATORS.modules.update(before)


class Failing(Mapper):
    def process_single(self, sample: dict[str, Any]) -> dict[str, Any]:
        raise ValueError("no such thing")


class Losing(Mapper):
    _batched_op = True

    def process_batched(self, samples: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {key: values[1:] for key, values in samples.items()}


class Renaming(Mapper):
    def process_single(self, sample: dict[str, Any]) -> dict[str, Any]:
        return {**sample, "id": f"another {sample['id']}"}


class MultiplyingFilter(Filter):
    _batched_op = True

    def compute_stats_batched(self, samples: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {key: [*values, *values] for key, values in samples.items()}


class Repainting(Mapper):
    def process_single(self, sample: dict[str, Any]) -> dict[str, Any]:
        return {**sample, "images": ["elsewhere.png"]}


class LosingFilter(Filter):
    _batched_op = True

    def compute_stats_batched(self, samples: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {key: values[:-1] for key, values in samples.items()}


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("operator", "message"),
    [
        (Failing, "operator bad failed on 8 rows: ValueError: no such thing"),
        (Losing, "operator bad lost 1 row.* without a verdict, the first is 'good'"),
        (LosingFilter, "operator bad lost 1 row.* without a verdict, the first is 'uncaptioned'"),
        (Renaming, "operator bad made 8 rows of 8, not each a row that it was given"),
        (MultiplyingFilter, "operator bad made 16 rows of 8"),
        (Repainting, "operator bad changed the images of row 'good'"),
    ],
)
def test_every_row_is_accounted_for(folder: Path, records: list[Record], operator: type, message: str) -> None:
    OPERATORS.register_module("bad", operator)
    with pytest.raises(UserError, match=message):
        run(folder, records, ("bad", {}))


@pytest.mark.usefixtures("registered")
def test_operators_may_write_the_marked_text(folder: Path, records: list[Record]) -> None:
    class Shouting(Mapper):
        def process_single(self, sample: dict[str, Any]) -> dict[str, Any]:
            assert sample[self.text_key].startswith("<__dj__image> ")
            return {**sample, self.text_key: sample[self.text_key].replace("red", "RED")}

    OPERATORS.register_module("shouting", Shouting)
    processed = run(folder, records[:1], ("shouting", {"text_key": "marked_text"}), ("text_length_filter", {}))
    assert processed.rows[0]["text"] == "<__dj__image> a RED bus stands next to a small tree <|__dj__eoc|>"
