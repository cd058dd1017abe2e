"""The captioning operator beside the stock one, and under Data-Juicer's own command."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recap.captioning.blip2_captioning_mapper import Blip2CaptioningMapper
from recap.data.corpus.records import caption_of, dj_text
from recap.data.processing.juicer import OPERATORS
from recap.io import read_jsonl, write_jsonl

from .conftest import paint

MARKED = "<__dj__image> one <|__dj__eoc|> <__dj__image> two <__dj__image> three <|__dj__eoc|>"


def operator(folder: Path, **arguments: Any) -> Any:
    return Blip2CaptioningMapper(str(folder), **{"max_new_tokens": 8, "accelerator": "cpu"} | arguments)


@pytest.fixture
def rows(pictures: tuple[Path, list[str]]) -> dict[str, list[Any]]:
    root, names = pictures
    return {
        "id": list(names),
        "text": [dj_text(f"raw {number}") for number in range(len(names))],
        "images": [[str(root / name)] for name in names],
    }


def captions(batch: dict[str, list[Any]]) -> list[str]:
    return [caption_of(text) for text in batch["text"]]


def test_it_takes_every_argument_of_the_stock_operator() -> None:
    import inspect

    stock, ours = (
        inspect.signature(op).parameters for op in (OPERATORS.modules["image_captioning_mapper"], Blip2CaptioningMapper)
    )
    assert set(stock) <= set(ours)
    assert all(ours[name].default == parameter.default for name, parameter in stock.items())


def test_rows_and_captions_in_their_places(blip2_folder: Path, rows: dict[str, list[Any]]) -> None:
    done = operator(blip2_folder).process_batched(rows)
    assert done["id"] == [name for name in rows["id"] for _ in range(2)]
    assert done["text"][::2] == rows["text"]
    assert all(text == dj_text(caption_of(text)) for text in done["text"] if caption_of(text))
    assert len(set(captions(done)[1::2])) > 3
    alone = operator(blip2_folder, keep_original_sample=False).process_batched(rows)
    assert captions(alone) == captions(done)[1::2]


def test_all_candidates_make_rows(blip2_folder: Path, rows: dict[str, list[Any]]) -> None:
    everything = operator(blip2_folder, caption_num=3, keep_candidate_mode="all", keep_original_sample=False)
    done = everything.process_batched(rows)
    assert done["id"] == [name for name in rows["id"] for _ in range(3)]
    texts = captions(done)
    one = operator(blip2_folder, caption_num=3, keep_original_sample=False).process_batched(rows)
    assert all(text in texts[3 * row : 3 * row + 3] for row, text in enumerate(captions(one)))


def test_neither_batches_nor_order_nor_neighbours_change_a_caption(
    blip2_folder: Path, rows: dict[str, list[Any]]
) -> None:
    arguments = {"caption_num": 2, "keep_original_sample": False}
    together = captions(operator(blip2_folder, **arguments).process_batched(rows))
    small = operator(blip2_folder, gpu_batch_size=5, **arguments)
    backwards = {name: values[::-1] for name, values in rows.items()}
    assert captions(small.process_batched(backwards))[::-1] == together
    assert captions(operator(blip2_folder, seed=7, **arguments).process_batched(rows)) != together


def test_several_images_in_a_row_and_none(blip2_folder: Path, pictures: tuple[Path, list[str]]) -> None:
    root, names = pictures
    paths = [str(root / name) for name in names[:3]]
    batch = {"text": [MARKED, "no picture"], "images": [paths, []]}
    done = operator(blip2_folder, keep_original_sample=False).process_batched(batch)
    singles = {"text": [dj_text("")] * 3, "images": [[path] for path in paths]}
    first, second, third = captions(operator(blip2_folder, keep_original_sample=False).process_batched(singles))
    assert done["text"] == [
        f"<__dj__image> {first} <|__dj__eoc|><__dj__image> {second} <__dj__image> {third} <|__dj__eoc|>"
    ]


def test_prompts_of_rows_go_before_the_operators(blip2_folder: Path, rows: dict[str, list[Any]]) -> None:
    greedy = {"do_sample": False, "keep_original_sample": False}
    plain, prompted = (
        captions(operator(blip2_folder, prompt=prompt, **greedy).process_batched(rows)) for prompt in (None, "two")
    )
    own = rows | {"ask": [None, "two"] * 6}
    mixed = captions(operator(blip2_folder, prompt_key="ask", **greedy).process_batched(own))
    assert mixed == [pair[row % 2] for row, pair in enumerate(zip(plain, prompted, strict=True))]
    assert plain != prompted


def test_copies_of_a_picture_are_captioned_once(
    blip2_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.png"):
        paint(tmp_path / name, 1)
    batch = {"text": [dj_text("")] * 2, "images": [[str(tmp_path / name)] for name in ("a.png", "b.png")]}
    mapper = operator(blip2_folder, keep_original_sample=False)
    captioner, seen = mapper._loaded(None), []
    encode = captioner.encode
    monkeypatch.setattr(captioner, "encode", lambda pixels: seen.append(len(pixels)) or encode(pixels))
    first, second = captions(mapper.process_batched(batch))
    assert first == second and seen == [1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"keep_candidate_mode": "best"}, "keep_candidate_mode: expected random_any"),
        ({"do_sample": False, "caption_num": 2}, r"caption_num: expected at most num_beams \(1\)"),
        ({"num_beams": 2}, "num_beams: expected 1 with do_sample, found 2"),
    ],
)
def test_what_cannot_be_is_refused(blip2_folder: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        operator(blip2_folder, **arguments)


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="dj-process needs Ray: pip install -e '.[ray]'")
def test_dj_process(root: Path, tmp_path: Path, blip2_folder: Path, rows: dict[str, list[Any]]) -> None:
    """More rows than Data-Juicer's batch of 1,000; two workers write what one writes."""
    many = [{name: values[number % 12] for name, values in rows.items()} for number in range(1010)]
    write_jsonl(tmp_path / "rows.jsonl", [row | {"id": str(number)} for number, row in enumerate(many)])
    arguments = {"hf_img2seq": str(blip2_folder), "keep_original_sample": False, "max_new_tokens": 8}
    arguments |= {"accelerator": "cpu", "caption_num": 2}
    (tmp_path / "recipe.yaml").write_text(json.dumps({"process": [{"blip2_captioning_mapper": arguments}]}))
    command = [
        str(Path(sys.executable).parent / "dj-process"), "--config", "recipe.yaml", "--np", "2",
        "--dataset_path", "rows.jsonl", "--export_path", "out/rows.jsonl",
        "--custom-operator-paths", str(root / "src/recap/captioning/blip2_captioning_mapper.py"),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    written = list(read_jsonl(tmp_path / "out" / "rows.jsonl"))
    here = operator(blip2_folder, caption_num=2, keep_original_sample=False).process_batched(rows)
    assert [row["text"] for row in written] == [here["text"][number % 12] for number in range(1010)]
