from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from recap.captioning.decoding import Decoding
from recap.captioning.image_text import ImageTextCaptioner
from recap.captioning.loading import check_captioner, load_captioner
from recap.data.corpus.images import open_image

from .conftest import WORDS, paint
from .other_families import FAMILIES
from .test_blip2 import CPU, candidates

GREEDY = Decoding(max_new_tokens=8, prompts=("a photo of",))
SAMPLED = replace(GREEDY, do_sample=True, candidates=3)
BEAMS = replace(GREEDY, num_beams=3, candidates=2)
PLAIN = replace(GREEDY, prompts=("",))


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return FAMILIES[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture
def images(tmp_path: Path) -> list[Image.Image]:
    """Of three sizes in turn."""
    for index in range(9):
        paint(tmp_path / f"{index}.png", index, size=[(40, 30), (24, 48), (56, 56)][index % 3])
    return [open_image(tmp_path, f"{index}.png") for index in range(9)]


def load(folder: Path, decoding: Decoding) -> ImageTextCaptioner:
    captioner = load_captioner(folder, decoding, **CPU)
    assert isinstance(captioner, ImageTextCaptioner)
    return captioner


@pytest.mark.parametrize("decoding", [GREEDY, PLAIN, SAMPLED, BEAMS], ids=["greedy", "plain", "sampled", "beams"])
def test_candidates_do_not_depend_on_the_batch(folder: Path, images: list[Image.Image], decoding: Decoding) -> None:
    captioner = load(folder, decoding)
    alone = candidates(captioner, images, 1)
    assert candidates(captioner, images, 4) == alone
    assert candidates(captioner, images, 9) == alone
    assert len({found[0].caption for found in alone}) > 3, "captions that do not differ prove nothing"


def test_captions_are_those_of_transformers_and_hold_no_prompt(folder: Path, images: list[Image.Image]) -> None:
    captioner = load(folder, GREEDY)
    processor, model = captioner.processor, captioner.model
    (text,) = captioner.texts
    for image, (ours, *_) in zip(images, candidates(captioner, images, 9), strict=True):
        inputs = processor(images=image, text=text, return_tensors="pt")
        tokens = model.generate(**inputs, max_new_tokens=8, do_sample=False)[0]
        written = processor.tokenizer.decode(tokens[-8:], skip_special_tokens=True)
        assert ours.caption and written.endswith(ours.caption) and len(ours.caption.split()) <= 8
        assert set(ours.caption.split()) <= set(WORDS) and "USER" not in ours.caption


def test_an_instruction_changes_the_caption(folder: Path, images: list[Image.Image]) -> None:
    assert candidates(load(folder, GREEDY), images, 9) != candidates(load(folder, PLAIN), images, 9)


def test_a_candidate_is_the_same_among_few_and_many(folder: Path, images: list[Image.Image]) -> None:
    one, three = (candidates(load(folder, replace(SAMPLED, candidates=count)), images, 9) for count in (1, 3))
    assert [found[0] for found in one] == [found[0] for found in three]


def test_such_a_captioner_can_be_checked(folder: Path) -> None:
    check_captioner(folder)


def test_pictures_keep_their_shapes_apart(folder: Path, images: list[Image.Image]) -> None:
    captioner = load(folder, GREEDY)
    shapes = {tuple(value.shape for value in captioner.pixels(image)[0].values()) for image in images}
    assert len(shapes) == (2 if captioner.model.config.model_type == "llava_next" else 1)
    assert all(isinstance(value, torch.Tensor) for value in captioner.pixels(images[0])[0].values())
