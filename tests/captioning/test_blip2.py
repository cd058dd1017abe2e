from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import Blip2ForConditionalGeneration, Blip2Processor

from recap.captioning.blip2 import Blip2Captioner
from recap.captioning.candidates import Candidate
from recap.captioning.decoding import Decoding
from recap.captioning.generation import text_of
from recap.captioning.loading import load_captioner
from recap.captioning.writing import Written
from recap.data.corpus.images import open_image

from .conftest import SPECIAL, WORDS, build_blip2

CPU = {"device": torch.device("cpu"), "dtype": torch.float32}
GREEDY = Decoding(max_new_tokens=10)
SAMPLED = Decoding(max_new_tokens=10, do_sample=True)
NUCLEUS = Decoding(max_new_tokens=10, do_sample=True, temperature=0.7, top_p=0.9)
BEAMS = Decoding(max_new_tokens=10, num_beams=3)
PROMPTED = Decoding(max_new_tokens=10, prompts=("a photo of",))
ANGLES = Decoding(max_new_tokens=10, prompts=("", "a photo of", "on the"))
TWO_PROMPTS = Decoding(max_new_tokens=10, prompts=("a photo of", "on the"))
PROMPTED_BEAMS = replace(BEAMS, prompts=("a photo of",), candidates=3)
SEVERAL = replace(NUCLEUS, candidates=3, prompts=("", "a photo of"))
SEVERAL_BEAMS = replace(BEAMS, candidates=3)
REDRAWN = replace(GREEDY, redraws=2)
PENALISED = replace(GREEDY, repetition_penalty=1.6, min_new_tokens=4)

T5 = {
    "model_type": "t5", "d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2,
    "initializer_factor": 2.0, "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0,
}  # fmt: skip


def load(folder: Path, decoding: Decoding) -> Blip2Captioner:
    captioner = load_captioner(folder, decoding, **CPU)
    assert isinstance(captioner, Blip2Captioner)
    return captioner


@pytest.fixture(scope="session")
def t5_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_blip2(tmp_path_factory.mktemp("t5"), text_config=T5, image_token_index=len(SPECIAL) + len(WORDS))


@pytest.fixture(params=["opt", "t5"])
def folder(request: pytest.FixtureRequest, blip2_folder: Path, t5_folder: Path) -> Path:
    return blip2_folder if request.param == "opt" else t5_folder


@pytest.fixture
def images(pictures: tuple[Path, list[str]]) -> list[Image.Image]:
    root, names = pictures
    return [open_image(root, name) for name in names]


def candidates(captioner: Any, images: list[Image.Image], batch_size: int) -> list[list[Candidate]]:
    pixels = [captioner.pixels(image) for image in images]
    seeds = list(range(100, 100 + len(images)))
    starts = range(0, len(images), batch_size)
    return [
        found
        for start in starts
        for found in captioner.generate(pixels[start : start + batch_size], seeds[start : start + batch_size])
    ]


@pytest.mark.parametrize(
    "decoding", [GREEDY, SAMPLED, NUCLEUS, BEAMS, PROMPTED, ANGLES, SEVERAL, SEVERAL_BEAMS, REDRAWN, PENALISED]
)
def test_candidates_do_not_depend_on_the_batch(folder: Path, images: list[Image.Image], decoding: Decoding) -> None:
    captioner = load(folder, decoding)
    alone = candidates(captioner, images, 1)
    assert candidates(captioner, images, 3) == alone
    assert candidates(captioner, images, 8) == alone
    assert len({found[0].caption for found in alone}) > 1, "captions that do not differ prove nothing"


@pytest.mark.parametrize("decoding", [PROMPTED, TWO_PROMPTS, PROMPTED_BEAMS])
def test_prompted_captions_are_those_of_transformers(
    folder: Path, images: list[Image.Image], decoding: Decoding
) -> None:
    assert_as_transformers(folder, images, decoding)


@pytest.mark.parametrize("decoding", [GREEDY, BEAMS, ANGLES])
def test_plain_captions_are_those_of_transformers(
    blip2_folder: Path, images: list[Image.Image], decoding: Decoding
) -> None:
    """Of OPT alone: transformers cannot caption without a prompt where the language model has no start token (T5)."""
    assert_as_transformers(blip2_folder, images, decoding)


def assert_as_transformers(folder: Path, images: list[Image.Image], decoding: Decoding) -> None:
    captioner = load(folder, decoding)
    model = Blip2ForConditionalGeneration.from_pretrained(folder).eval()
    processor = Blip2Processor.from_pretrained(folder)
    for image, ours in zip(images, candidates(captioner, images, 4), strict=True):
        theirs = []
        for prompt in decoding.prompts:
            inputs = processor(images=image, text=prompt or None, return_tensors="pt")
            beams = {"num_beams": decoding.num_beams, "num_return_sequences": decoding.candidates}
            tokens = model.generate(**inputs, max_new_tokens=10, **beams)
            texts = processor.batch_decode(tokens, skip_special_tokens=True)
            theirs += [text.removeprefix(prompt).strip() for text in texts]
        assert [one.caption for one in ours] == list(dict.fromkeys(theirs))


@pytest.mark.parametrize("settings", [{}, {"repetition_penalty": 1.6}, {"min_new_tokens": 6}])
def test_the_own_loop_gives_the_tokens_of_generate(
    blip2_folder: Path, images: list[Image.Image], settings: dict[str, Any]
) -> None:
    captioner = load(blip2_folder, Decoding(max_new_tokens=16, **settings))
    with torch.inference_mode():
        features = captioner.encode(torch.stack([captioner.pixels(image) for image in images]))
        ours = captioner.new_tokens(features)
        start = captioner.model.get_input_embeddings()(captioner.prompts[0]).expand(len(images), -1, -1)
        theirs = captioner.model.language_model.generate(
            inputs_embeds=torch.cat([features, start], dim=1), generation_config=captioner.generation_config
        )
    assert torch.equal(ours, theirs)
    lengths = {len(text_of(row, captioner.processor.tokenizer, captioner.stop_tokens).text) for row in ours.tolist()}
    assert len(lengths) > 1, "rows that end together prove nothing of those that end earlier"


def test_rows_that_have_ended_are_computed_no_more(blip2_folder: Path, images: list[Image.Image]) -> None:
    """With a third of all words as stop tokens, rows end one after the other; the tokens stay those of generate."""
    captioner = load(blip2_folder, Decoding(max_new_tokens=16))
    model, config = captioner.model.language_model, captioner.generation_config
    config.eos_token_id = [1, *range(len(SPECIAL), len(SPECIAL) + len(WORDS), 3)]
    with torch.inference_mode():
        features = captioner.encode(torch.stack([captioner.pixels(image) for image in images]))
        start = captioner.model.get_input_embeddings()(captioner.prompts[0]).expand(len(images), -1, -1)
        theirs = model.generate(inputs_embeds=torch.cat([features, start], dim=1), generation_config=config)
        rows: list[int] = []
        model.model.decoder.register_forward_hook(
            lambda _, args, kwargs, output: rows.append(len(output.last_hidden_state)), with_kwargs=True
        )
        ours = captioner.new_tokens(features)
    assert torch.equal(ours, theirs)
    assert rows[0] == len(images) and rows[-1] <= len(images) / 2


@pytest.mark.parametrize("decoding", [ANGLES, SEVERAL, SEVERAL_BEAMS, replace(SEVERAL, redraws=3)])
def test_an_image_is_encoded_once(folder: Path, images: list[Image.Image], decoding: Decoding) -> None:
    captioner = load(folder, decoding)
    seen: dict[str, int] = {"vision": 0, "qformer": 0}

    def count(name: str, rows: int) -> None:
        seen[name] += rows

    captioner.model.vision_model.register_forward_hook(
        lambda _, args, kwargs, output: count("vision", len(output.last_hidden_state)), with_kwargs=True
    )
    captioner.model.qformer.register_forward_hook(
        lambda _, args, kwargs, output: count("qformer", len(output.last_hidden_state)), with_kwargs=True
    )
    found = candidates(captioner, images, 6)
    assert seen == {"vision": len(images), "qformer": len(images)}
    assert max(map(len, found)) > 1


def test_the_pass_over_the_prompt_is_shared_by_all_draws(blip2_folder: Path, images: list[Image.Image]) -> None:
    captioner = load(blip2_folder, replace(SAMPLED, candidates=5))
    positions: list[int] = []
    captioner.model.language_model.model.decoder.register_forward_hook(
        lambda _, args, kwargs, output: positions.append(output.last_hidden_state.shape[:2].numel()), with_kwargs=True
    )
    candidates(captioner, images[:4], 4)
    prompt = captioner.model.config.num_query_tokens + 1
    assert positions[0] == 4 * prompt and positions[1] == 4 * 5


def test_a_candidate_is_the_same_among_few_and_many(folder: Path, images: list[Image.Image]) -> None:
    few, many = (
        candidates(load(folder, replace(SAMPLED, candidates=count)), images, 4) for count in (2, 5)
    )  # fmt: skip
    for two, five in zip(few, many, strict=True):
        assert five[: len(two)] == two
    assert any(len(two) == 2 for two in few) and any(len(five) == 5 for five in many)


def test_equal_captions_of_an_image_are_one_candidate(blip2_folder: Path, images: list[Image.Image]) -> None:
    cold = replace(SAMPLED, candidates=4, temperature=1e-4)
    greedy = candidates(load(blip2_folder, GREEDY), images, 4)
    assert candidates(load(blip2_folder, cold), images, 4) == greedy


def test_sampling_follows_the_seed_of_each_image(blip2_folder: Path, images: list[Image.Image]) -> None:
    captioner = load(blip2_folder, SAMPLED)
    pixels = [captioner.pixels(images[0])] * 3
    first, second, again = captioner.generate(pixels, [1, 2, 1])
    assert first == again != second


def test_junk_is_drawn_anew_and_stays_with_its_reason(blip2_folder: Path, images: list[Image.Image]) -> None:
    """A random model rarely stops by itself: what the limit cut off is drawn anew."""
    once = candidates(load(blip2_folder, GREEDY), images, 12)
    redrawn = candidates(load(blip2_folder, replace(GREEDY, redraws=4)), images, 12)
    junk = [found for found in once if found[0].junk]
    assert len(junk) > 0
    for before, after in zip(once, redrawn, strict=True):
        assert after[0] == before[0]
        assert len(after) == 1 if before[0].junk is None else 1 < len(after) <= 5
        assert all(one.junk for one in after[:-1]), "what is no junk is not drawn anew"
    assert any(after[-1].junk is None for after in redrawn if after[0].junk)


def test_a_model_without_an_image_token_captions_the_same(
    blip2_folder: Path, images: list[Image.Image], tmp_path: Path
) -> None:
    older = build_blip2(tmp_path / "older", image_token_index=None)
    assert candidates(load(older, GREEDY), images, 4) == candidates(load(blip2_folder, GREEDY), images, 4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(blip2_folder: Path, images: list[Image.Image], dtype: torch.dtype) -> None:
    """What float32 is sure of, half the bits say too: logits agree to their rounding, and the first words do."""
    decoding = Decoding(max_new_tokens=1)
    half = load_captioner(blip2_folder, decoding, device=torch.device("cpu"), dtype=dtype)
    assert half.model.language_projection.weight.dtype == dtype
    assert half.model.query_tokens.dtype == (torch.float32 if dtype == torch.float16 else dtype)
    whole = load(blip2_folder, decoding)
    pixels = torch.stack([whole.pixels(image) for image in images])
    with torch.inference_mode():
        exact, rounded = (captioner.encode(pixels).float() for captioner in (whole, half))
        words = [captioner.new_tokens(captioner.encode(pixels)) for captioner in (whole, half)]
    error = (exact - rounded).norm() / exact.norm()
    steps = {torch.bfloat16: 2**-8, torch.float16: 2**-11}[dtype]
    assert 0 < error < 8 * steps
    assert (words[0] == words[1]).float().mean() >= 0.75


def test_text_ends_at_the_stop_token(blip2_folder: Path) -> None:
    captioner = load(blip2_folder, GREEDY)
    red, car = (len(SPECIAL) + WORDS.index(word) for word in ("red", "car"))
    decoded = [text_of(row, captioner.processor.tokenizer, captioner.stop_tokens)
               for row in ([red, car, 1, red, 0], [red, car], [1, 0, 0])]  # fmt: skip
    assert decoded == [Written("red car", False), Written("red car", True), Written("", False)]


def test_a_lack_of_memory_reaches_the_caller(blip2_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    captioner = load(blip2_folder, GREEDY)

    def out_of_memory(*args: object, **kwargs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(captioner.model, "get_image_features", out_of_memory)
    with pytest.raises(torch.OutOfMemoryError):
        captioner.generate([torch.zeros(3, 16, 16)] * 2, [0, 1])
