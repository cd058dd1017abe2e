"""Statistics and a user's fields stay with the row, rows multiply under ids of their own, chance has a seed."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import multiprocess
import pytest

from recap.data.corpus.records import Record, caption_of
from recap.data.processing import pictures
from recap.data.processing.juicer import OPERATORS, UNFORKABLE, Mapper
from recap.data.processing.recipe import Operator, Recipe
from recap.data.processing.runner import Processed, run_recipe


def run(
    folder: Path, records: list[Record], *process: tuple[str, dict[str, Any]], workers: int = 1, seed: int = 42
) -> Processed:
    recipe = Recipe("test", [Operator(name, name, arguments) for name, arguments in process])
    (folder / "captions.jsonl").touch()
    return run_recipe(
        recipe, records, image_root=folder, captions=folder / "captions.jsonl", workers=workers, seed=seed
    )


@pytest.fixture
def scored() -> list[Record]:
    captions = ("a long caption of a bus", "a bus", "a caption of a bus", "a red bus")
    return [
        Record(str(n), f"images/{n}.jpg", caption, {"score": n / 4, "tags": {f"key{n}": n}, "mixed": [n, "n"][n % 2]})
        for n, caption in enumerate(captions)
    ]


@pytest.fixture
def registered() -> Iterator[None]:
    """Takes the operators that a test registers out of the registries again."""
    before = dict(OPERATORS.modules), dict(UNFORKABLE.modules)
    yield
    for registry, modules in zip((OPERATORS, UNFORKABLE), before, strict=True):
        registry.modules.clear()
        registry.modules.update(modules)


def test_a_selector_uses_what_a_filter_computed(tmp_path: Path, scored: list[Record]) -> None:
    by_length = ("topk_specified_field_selector", {"field_key": "__dj__stats__.text_len", "topk": 2})
    done = run(tmp_path, scored, ("text_length_filter", {"min_len": 6}), by_length)
    assert [row["id"] for row in done.rows] == ["0", "2"]
    assert done.computed.to_pydict() == {"id": ["0", "2"], "text_len": [23, 18]}


def test_operators_use_a_users_fields(tmp_path: Path, scored: list[Record]) -> None:
    done = run(tmp_path, scored, ("specified_numeric_field_filter", {"field_key": "score", "min_value": 0.4}))
    assert [row["id"] for row in done.rows] == ["2", "3"]
    top = run(tmp_path, scored, ("topk_specified_field_selector", {"field_key": "score", "topk": 1}))
    assert [row["id"] for row in top.rows] == ["3"]


def test_fields_come_out_as_they_went_in(tmp_path: Path, scored: list[Record]) -> None:
    rows = [*scored, Record("4", "images/4.jpg", "no field at all")]
    done = run(tmp_path, rows, ("text_length_filter", {"min_len": 1}), ("words_num_filter", {"min_num": 1}))
    left = [{name: row[name] for name in row if name in ("score", "tags", "mixed")} for row in done.rows]
    assert left == [dict(record.fields) for record in rows]


def test_a_new_caption_keeps_the_statistics_of_its_image(folder: Path, records: list[Record]) -> None:
    rules = ("image_shape_filter", {}), ("text_length_filter", {"min_len": 1})
    done = run(folder, records, *rules, ("blip2_caption_lookup_mapper", {}))
    assert done.computed.column_names == ["id", "image_width", "image_height"]


@pytest.mark.usefixtures("registered")
def test_rows_multiply_under_ids_of_their_own(tmp_path: Path, scored: list[Record]) -> None:
    class Twice(Mapper):
        _batched_op = True

        def process_batched(self, samples: dict[str, list[Any]]) -> dict[str, list[Any]]:
            samples = {key: [value for value in values for _ in range(2)] for key, values in samples.items()}
            samples["text"] = [f"{text}{'!' * (n % 2)}" for n, text in enumerate(samples["text"])]
            return samples

    OPERATORS.register_module("twice", Twice)
    records = [scored[0], Record("0_2", "images/x.jpg", "taken")]
    done = run(tmp_path, records, ("twice", {}))
    assert [row["id"] for row in done.rows] == ["0", "0_3", "0_2", "0_2_2"]
    assert [caption_of(row["text"])[-1] for row in done.rows] == ["s", "!", "n", "!"]
    assert done.rows[1]["raw_text"] == scored[0].caption and done.rows[1]["tags"] == {"key0": 0}
    (step,) = done.steps
    assert (step.rows_in, step.rows_out, step.changed) == (2, 4, [])
    assert step.added[0] == {
        "id": "0_3", "image": "images/0.jpg", "reason": "twice", "before": scored[0].caption,
        "after": f"{scored[0].caption}!",
    }  # fmt: skip


@pytest.mark.usefixtures("registered")
def test_chance_is_the_seeds_and_not_the_workers(tmp_path: Path) -> None:
    class Drawing(Mapper):
        _batched_op = True

        def process_batched(self, samples: dict[str, list[Any]]) -> dict[str, list[Any]]:
            return {**samples, "text": [f"{text} {random.random()}" for text in samples["text"]]}

    OPERATORS.register_module("drawing", Drawing)
    records = [Record(str(n), f"{n}.jpg", "a caption") for n in range(50)]
    process = ("drawing", {"batch_size": 10}), ("random_selector", {"select_num": 20})
    first, shared, other = (
        run(tmp_path, records, *process, workers=workers, seed=seed).rows for workers, seed in ((1, 1), (2, 1), (1, 2))
    )
    assert first == shared
    assert {row["id"] for row in first} != {row["id"] for row in other}
    assert not {row["text"] for row in first} & {row["text"] for row in other}


@pytest.mark.slow
@pytest.mark.usefixtures("registered")
def test_operators_that_cannot_be_forked_start_otherwise(tmp_path: Path, scored: list[Record]) -> None:
    """And their workers install nothing either."""

    class Telling(Mapper):
        def process_single(self, sample: dict[str, Any]) -> dict[str, Any]:
            import multiprocess
            from data_juicer.utils.lazy_loader import LazyLoader

            how = f"{multiprocess.get_start_method()} {LazyLoader._install_package.__module__}"
            return {**sample, "text": how}

    for unforkable, method in ((False, "fork"), (True, "forkserver")):
        OPERATORS.modules.pop("telling", None)
        OPERATORS.register_module("telling", Telling)
        if unforkable:
            UNFORKABLE.register_module("telling", Telling)
        done = run(tmp_path, scored, ("telling", {}), workers=2)
        assert {caption_of(row["text"]) for row in done.rows} == {f"{method} recap.data.processing.juicer"}
    multiprocess.set_start_method("fork", force=True)


def test_sizes_come_from_the_index(folder: Path, records: list[Record], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "stored_image", None)
    for shard in folder.glob("*.tar"):
        shard.unlink()
    done = run(
        folder, records, ("image_shape_filter", {"min_height": 224}),
        ("image_aspect_ratio_filter", {"max_ratio": 2}), ("image_size_filter", {"min_size": "1"}),
    )  # fmt: skip
    assert done.steps[0].dropped[0]["reason"] == "image_shape_filter: image_height=223, image_width=300"
    assert len(done.rows) == len(records) - 1
    assert done.computed["aspect_ratios"][0].as_py() == pytest.approx([300 / 224])


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("workers", [1, 2])
def test_operators_find_pictures_of_shards_as_files(folder: Path, records: list[Record], workers: int) -> None:
    class Reading(Mapper):
        def process_single(self, sample: dict[str, Any]) -> dict[str, Any]:
            (path,) = sample[self.image_key]
            return {**sample, "text": json.dumps([path, len(Path(path).read_bytes())])}

    OPERATORS.register_module("reading", Reading)
    done = run(folder, records, ("reading", {}), workers=workers)
    read = [json.loads(caption_of(row["text"])) for row in done.rows]
    assert [size for _, size in read] == [(folder / record.image).stat().st_size for record in records]
    assert not any(Path(path).exists() for path, _ in read)
    assert [row["images"] for row in done.rows] == [[record.image] for record in records]


def test_operators_that_look_for_markers_in_data_juicer() -> None:
    """A text is split at its end markers and searched for the image's: who does so, and for images, needs them."""
    from recap.data.processing.building import NEED_MARKERS

    root = Path(next(iter(__import__("data_juicer").__path__))) / "ops"
    found = {
        file.stem
        for kind in ("filter", "mapper", "deduplicator", "selector")
        for file in (root / kind).glob("*.py")
        if "count(SpecialTokens.image)" in file.read_text(encoding="utf-8")
    }
    assert found == NEED_MARKERS
