"""The foundry rebuilds every tiny model from nothing, the same bytes twice; the committed ones do what they are for."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from recap.foundry.aligner import FIELDS, changed, text_and_near_miss
from recap.foundry.captioner import named
from recap.foundry.pictures import DENSE_CLASSES, SIGN, dense_labels, picture_arrays
from recap.world.scenes import scenes
from tests.clones import Clone

ROOT = Path(__file__).parent.parent.parent
WEIGHTS = "models/tiny/*/model.safetensors"


def test_a_sign_of_seven_letters_fills_seven_cells() -> None:
    scene = next(scene for scene in scenes("foundry", 400, 1) if len(scene.word) == 7)
    labels = dict(zip(DENSE_CLASSES, dense_labels(scene, 12, "stretch"), strict=True))
    row, column = scene.sign_row, scene.sign_column
    read = "".join(chr(ord("a") + value - 1) for value in labels["letter"][row, column : column + 7])
    assert read == scene.word
    assert np.count_nonzero(labels["letter"]) == 7
    assert (labels["region"][row, column : column + 7] == SIGN).all()


def test_padding_moves_the_labels_with_the_picture() -> None:
    scene = next(scene for scene in scenes("foundry", 400, 1) if scene.height < 0.8 * scene.width)
    stretched, padded = (dense_labels(scene, 24, frame)[0] for frame in ("stretch", "pad"))
    assert stretched[-3:].any() or padded[-3:].sum() == 0
    assert np.nonzero(padded.any(1))[0].max() < np.nonzero(stretched.any(1))[0].max()


def test_pictures_are_deterministic() -> None:
    drawn = list(scenes("foundry", 3, 5))
    assert (picture_arrays(drawn, 48, "pad") == picture_arrays(drawn, 48, "pad")).all()


def _toy_params(path: Path) -> None:
    params = YAML(typ="safe").load(ROOT / "foundry" / "params.yaml")
    for section in ("vision", "captioner", "aligner"):
        params[section] |= {"scenes": 48, "steps": 2, "batch_size": 4, "heldout_scenes": 8}
    params["captioner"]["review_steps"] = 1
    params["language"] |= {
        "finding": 24,
        "captions": 24,
        "texts": 24,
        "conversations": 24,
        "reviewed": 24,
        "heldout_scenes": 8,
    }
    params["language"]["steps"] = {"finding": 1, "asking": 1, "basics": 1, "questions": 1, "review": 1}
    YAML().dump(params, path)


@pytest.mark.slow
def test_the_foundry_at_toy_length(tmp_path: Path) -> None:
    from recap.models.mgm.build import build_mgm

    clone = Clone(tmp_path)
    clone.borrow_environment()
    _toy_params(clone.root / "foundry" / "params.yaml")
    committed = clone.digests(WEIGHTS)
    clone.run("make", "foundry")
    first = clone.digests(WEIGHTS)
    assert first.keys() == committed.keys() and not set(first.values()) & set(committed.values())
    for name in ("vision", "language", "captioner", "aligner"):
        metrics = json.loads((clone.root / "foundry" / "metrics" / f"{name}.json").read_text())
        assert list(metrics) == [name]

    tiny = clone.root / "models" / "tiny"
    model, processor = build_mgm(
        tiny / "language_model", tiny / "vision_tower", tiny / "vision_tower_aux", image_size_aux=192
    )
    assert processor.num_image_tokens == 64
    output = model(**processor.collate([processor.encode_conversation(_described(), _picture())]))
    assert torch.isfinite(output.loss)

    clone.run("bash", "-c", "cd foundry && dvc repro --force --no-run-cache")
    again = clone.digests("foundry/models/*/model.safetensors")
    assert list(again.values()) == list(first.values())  # both by the models' names


def _described() -> list[dict[str, str]]:
    return [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "a red bus"}]


def _picture() -> "object":
    from recap.world.rendering import render

    return render(next(scenes("foundry", 1, 3)))


@pytest.mark.slow
def test_the_committed_captioner_reads_signs_and_tells_sides_that_it_never_saw() -> None:
    from transformers import Blip2ForConditionalGeneration, Blip2Processor

    from recap.foundry.captioner import heldout_accuracy
    from recap.foundry.params import load_foundry_params

    folder = ROOT / "models" / "tiny" / "captioner"
    params = load_foundry_params(ROOT / "foundry" / "params.yaml")
    captioner = params.captioner.model_copy(update={"heldout_scenes": 100})
    model = Blip2ForConditionalGeneration.from_pretrained(folder)
    found = heldout_accuracy(model, Blip2Processor.from_pretrained(folder), captioner, params.seed)
    assert found["word"] >= 90
    assert found["colour_and_object"] >= 95
    assert found["sides"] >= 90


@pytest.mark.slow
def test_the_committed_aligner_prefers_true_captions_of_scenes_that_it_never_saw() -> None:
    from transformers import CLIPModel, CLIPProcessor

    from recap.foundry.aligner import heldout_preference
    from recap.foundry.params import load_foundry_params

    folder = ROOT / "models" / "tiny" / "aligner"
    params = load_foundry_params(ROOT / "foundry" / "params.yaml")
    tokenizer = CLIPProcessor.from_pretrained(folder, backend="pil").tokenizer
    found = heldout_preference(CLIPModel.from_pretrained(folder), tokenizer, params.aligner, params.seed)
    assert found["true"] >= 95
    assert found["raw"] >= 90


@pytest.mark.parametrize("field", FIELDS)
def test_a_near_miss_differs_in_one_thing(field: str) -> None:
    rng = random.Random(1)
    for scene in scenes("foundry", 20, 1):
        near = changed(scene, field, rng)
        assert replace(near, **{field: getattr(scene, field)}) == scene != near


def test_a_near_miss_is_worded_as_the_text_is() -> None:
    rng = random.Random(2)
    pairs = [text_and_near_miss(scene, rng) for scene in scenes("foundry", 60, 1)]
    words = [(text.split(), miss.split()) for text, miss in pairs]
    # A number with its plural, a side with the other one, an article with its noun.
    assert all(
        len(text) == len(miss) and sum(a != b for a, b in zip(text, miss, strict=True)) <= 3 for text, miss in words
    )
    assert sum(text != miss for text, miss in words) > 30


@pytest.mark.parametrize(
    ("caption", "true"),
    [
        ("two red buses on the left and a cat on the right", True),
        ("the blue sign reads bakery and two red buses stand to the left of a cat", True),
        ("two red buses on the right and a cat on the left", False),
        ("two red buses in front of a blue sign with a cat on the left", False),
        ("two red buses and a cat", True),
    ],
)
def test_what_a_caption_says_of_sides(caption: str, true: bool) -> None:
    scene = replace(
        next(scenes("foundry", 1, 3)), kind="bus", colour="red", count=2, side="left", other_kind="cat", word="bakery"
    )
    found = named(scene, caption)
    assert found == {"word": "bakery" in caption, "colour_and_object": True, "sides": true}


def test_the_tiny_models_are_small_and_safe() -> None:
    files = [path for path in (ROOT / "models" / "tiny").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 20 * 2**20
    assert {path.suffix for path in files} == {".json", ".safetensors"}
