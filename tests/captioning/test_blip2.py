from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import Blip2ForConditionalGeneration, Blip2Processor

from recap.captioning.blip2 import Blip2Captioner, Decoding, Generated
from recap.data.corpus.images import open_image
from recap.runtime.errors import UserError

from .conftest import SPECIAL, WORDS, build_blip2

CPU = {"device": torch.device("cpu"), "dtype": torch.float32}
GREEDY = Decoding(max_new_tokens=10)
SAMPLED = Decoding(max_new_tokens=10, do_sample=True)
NUCLEUS = Decoding(max_new_tokens=10, do_sample=True, temperature=0.7, top_p=0.9)
BEAMS = Decoding(max_new_tokens=10, num_beams=3)
PROMPTED = Decoding(max_new_tokens=10, prompt="a photo of")


def load(folder: Path, decoding: Decoding) -> Blip2Captioner:
    return Blip2Captioner.load(folder, decoding, **CPU)


@pytest.fixture
def images(pictures: tuple[Path, list[str]]) -> list[Image.Image]:
    root, names = pictures
    return [open_image(root, name) for name in names]


def captions(captioner: Blip2Captioner, images: list[Image.Image], batch_size: int) -> list[Generated]:
    pixels = [captioner.pixels(image) for image in images]
    seeds = list(range(100, 100 + len(images)))
    starts = range(0, len(images), batch_size)
    return [
        generated
        for start in starts
        for generated in captioner.generate(pixels[start : start + batch_size], seeds[start : start + batch_size])
    ]


@pytest.mark.parametrize("decoding", [GREEDY, SAMPLED, NUCLEUS, BEAMS, PROMPTED])
def test_captions_do_not_depend_on_the_batch(blip2_folder: Path, images: list[Image.Image], decoding: Decoding) -> None:
    captioner = load(blip2_folder, decoding)
    alone = captions(captioner, images, 1)
    assert captions(captioner, images, 3) == alone
    assert captions(captioner, images, 8) == alone
    assert len({generated.caption for generated in alone}) > 3, "captions that do not differ prove nothing"


@pytest.mark.parametrize("decoding", [GREEDY, BEAMS, PROMPTED])
def test_captions_are_those_of_transformers(blip2_folder: Path, images: list[Image.Image], decoding: Decoding) -> None:
    captioner = load(blip2_folder, decoding)
    model = Blip2ForConditionalGeneration.from_pretrained(blip2_folder).eval()
    processor = Blip2Processor.from_pretrained(blip2_folder)
    for image, ours in zip(images, captions(captioner, images, 4), strict=True):
        inputs = processor(images=image, text=decoding.prompt or None, return_tensors="pt")
        tokens = model.generate(**inputs, max_new_tokens=10, num_beams=decoding.num_beams)
        theirs = processor.batch_decode(tokens, skip_special_tokens=True)[0]
        assert ours.caption == theirs.removeprefix(decoding.prompt).strip()


def test_sampling_follows_the_seed_of_each_image(blip2_folder: Path, images: list[Image.Image]) -> None:
    captioner = load(blip2_folder, SAMPLED)
    pixels = [captioner.pixels(images[0])] * 3
    first, second, again = captioner.generate(pixels, [1, 2, 1])
    assert first == again != second


def test_a_model_without_an_image_token_captions_the_same(
    blip2_folder: Path, images: list[Image.Image], tmp_path: Path
) -> None:
    older = build_blip2(tmp_path / "older", image_token_index=None)
    assert captions(load(older, GREEDY), images, 4) == captions(load(blip2_folder, GREEDY), images, 4)


def test_an_encoder_decoder_language_model(images: list[Image.Image], tmp_path: Path) -> None:
    t5 = {
        "model_type": "t5", "d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2,
        "initializer_factor": 2.0, "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0,
    }  # fmt: skip
    folder = build_blip2(tmp_path / "t5", text_config=t5, image_token_index=len(SPECIAL) + len(WORDS))
    captioner = load(folder, PROMPTED)
    assert captions(captioner, images, 5) == captions(captioner, images, 1)
    assert any(generated.caption for generated in captions(captioner, images, 5))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(blip2_folder: Path, images: list[Image.Image], dtype: torch.dtype) -> None:
    captioner = Blip2Captioner.load(blip2_folder, SAMPLED, device=torch.device("cpu"), dtype=dtype)
    assert captioner.model.language_projection.weight.dtype == dtype
    assert captioner.model.query_tokens.dtype == (torch.float32 if dtype == torch.float16 else dtype)
    assert all(generated.caption for generated in captions(captioner, images, 4))


def test_text_ends_at_the_stop_token(blip2_folder: Path) -> None:
    captioner = load(blip2_folder, GREEDY)
    red, car = (len(SPECIAL) + WORDS.index(word) for word in ("red", "car"))
    assert captioner._decode([red, car, 1, red, 0]) == Generated("red car", truncated=False)
    assert captioner._decode([red, car]) == Generated("red car", truncated=True)
    assert captioner._decode([1, 0, 0]) == Generated("", truncated=False)


def test_a_batch_beyond_memory_is_one_line(blip2_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    captioner = load(blip2_folder, GREEDY)

    def out_of_memory(*args: object, **kwargs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(captioner.model, "get_image_features", out_of_memory)
    with pytest.raises(UserError, match=r"machine\.caption_batch_size: a batch of 2 images exceeds the memory of cpu"):
        captioner.generate([torch.zeros(3, 16, 16)] * 2, [0, 1])


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(UserError, match=r"expected a BLIP-2 model .* found clip"):
        load(tmp_path, GREEDY)


def test_missing_weights_are_refused(blip2_folder: Path, tmp_path: Path) -> None:
    captioner = load(blip2_folder, GREEDY)
    state = captioner.model.state_dict()
    del state["language_projection.bias"]
    captioner.model.save_pretrained(tmp_path, state_dict=state)
    captioner.processor.save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"1 weights are missing, language_projection\.bias first"):
        load(tmp_path, replace(GREEDY, prompt="a"))
