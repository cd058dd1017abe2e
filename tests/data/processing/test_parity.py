"""A recipe of Data-Juicer's own operators leaves the rows that Data-Juicer leaves of the same bare captions."""

import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from recap.data.corpus.records import Record, caption_of
from recap.data.processing.juicer import NestedDataset, load_ops
from recap.data.processing.recipe import Operator, Recipe
from recap.data.processing.runner import run_recipe

pytestmark = pytest.mark.slow

ROWS = 2_500
WORDS = (
    *("a", "red", "bus", "stands", "next", "to", "the", "old", "house", "with", "some", "people"),
    *("123", "!!!", "free", "<b>DOWNLOAD</b>", "http://x.org/y"),
)

RECIPES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "rules": [
        ("words_num_filter", {"min_num": 4, "max_num": 12}),
        ("word_repetition_filter", {"rep_len": 2, "max_ratio": 0.3}),
        ("character_repetition_filter", {"rep_len": 4, "max_ratio": 0.4}),
        ("text_length_filter", {"min_len": 20, "max_len": 80}),
    ],
    "mappers, then rules": [
        ("clean_links_mapper", {}),
        ("whitespace_normalization_mapper", {}),
        ("punctuation_normalization_mapper", {}),
        ("alphanumeric_filter", {"min_ratio": 0.6}),
        ("special_characters_filter", {"max_ratio": 0.3}),
    ],
    # Data-Juicer does not count a text again that has been counted once: neither do we.
    "a rule twice, around a mapper": [
        ("text_length_filter", {"max_len": 70}),
        ("remove_specific_chars_mapper", {"chars_to_remove": "aeiou"}),
        ("text_length_filter", {"min_len": 40}),
    ],
    "duplicates": [
        ("document_deduplicator", {"lowercase": True, "ignore_non_character": True}),
        ("document_minhash_deduplicator", {"jaccard_threshold": 0.5, "num_permutations": 64}),
    ],
    "selectors": [
        ("text_length_filter", {}),
        ("topk_specified_field_selector", {"field_key": "__dj__stats__.text_len", "topk": 1_000}),
        ("range_specified_field_selector", {
            "field_key": "__dj__stats__.text_len", "lower_percentile": 0.1, "upper_percentile": 0.9,
        }),
        ("frequency_specified_field_selector", {"field_key": "kind", "topk": 2}),
        ("random_selector", {"select_num": 300}),
    ],
    "a user's fields": [
        ("specified_numeric_field_filter", {"field_key": "score", "min_value": 0.3}),
        ("specified_field_filter", {"field_key": "kind", "target_value": ["alt", "title"]}),
    ],
    "rows that multiply": [
        ("text_chunk_mapper", {"max_len": None, "split_pattern": " the "}),
        ("words_num_filter", {"min_num": 2}),
        ("random_selector", {"select_num": 2_000}),
    ],
}  # fmt: skip


@cache
def corpus() -> list[Record]:
    rng = random.Random(0)
    return [
        Record(
            f"row-{number}", f"images/{number}.jpg", " ".join(rng.choices(WORDS, k=rng.randint(1, 16))),
            {"score": rng.random(), "kind": rng.choice(["alt", "title", "body"])},
        )
        for number in range(ROWS)
    ]  # fmt: skip


@cache
def left_by_data_juicer(name: str) -> list[tuple[str, str]]:
    rows = [{"id": r.id, "text": r.caption, "images": [r.image], **r.fields} for r in corpus()]
    operators = load_ops([{operator: dict(arguments)} for operator, arguments in RECIPES[name]])
    for operator in operators:
        operator.num_proc, operator.auto_op_parallelism = None, False
    left = NestedDataset.from_list(rows).process(operators, open_monitor=False)
    return [(row["id"], row["text"]) for row in left.to_list()]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", RECIPES)
def test_rows_are_those_of_data_juicer(tmp_path: Path, name: str, workers: int) -> None:
    recipe = Recipe("test", [Operator(operator, operator, arguments) for operator, arguments in RECIPES[name]])
    (tmp_path / "none.jsonl").touch()
    done = run_recipe(recipe, corpus(), image_root=tmp_path, captions=tmp_path / "none.jsonl", workers=workers)
    expected = left_by_data_juicer(name)
    assert expected and expected != [(r.id, r.caption) for r in corpus()]
    # A row that is there more than once has ids of its own with us: row-7, row-7_2.
    assert [(row["id"].split("_")[0], caption_of(row["text"])) for row in done.rows] == [
        (row_id, caption_of(text)) for row_id, text in expected
    ]
