"""Every kind of aligner gives what transformers gives, one pair at a time and in any batch."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoProcessor, Blip2ForImageTextRetrieval, CLIPModel, Siglip2Model, SiglipModel

from recap.alignment.aligners import FEWEST, Aligner, Score, check_aligner, load_aligner
from recap.runtime.errors import UserError

from .conftest import BUILDERS, TEXT_TOKENS, picture, sentence

CPU = {"device": torch.device("cpu"), "dtype": torch.float32}
COUNT = 2 * FEWEST + 3


def score_in_batches(aligner: Aligner, size: int) -> list[Score]:
    inputs, texts = [aligner.inputs(picture(index)) for index in range(COUNT)], [sentence(i) for i in range(COUNT)]
    scores = []
    for start in range(0, COUNT, size):
        stop = start + size
        images = aligner.encode_images(inputs[start:stop])
        scores += aligner.scores(images, aligner.encode_texts(texts[start:stop]))
    return scores


def by_transformers_alone(kind: str, folder: Path, index: int) -> tuple[float, float | None]:
    """Cosine and match of one pair by the model's own forward, as its documentation calls it."""
    processor: Any = AutoProcessor.from_pretrained(folder, backend="pil")
    if kind == "blip2_itm":
        matcher = Blip2ForImageTextRetrieval.from_pretrained(folder)
        inputs = processor(images=picture(index), text=sentence(index), return_tensors="pt")
        with torch.no_grad():
            cosine = matcher(**inputs, use_image_text_matching_head=False).logits_per_image
            match = matcher(**inputs, use_image_text_matching_head=True).logits_per_image.softmax(1)[0, 1]
        return cosine.item(), match.item()
    model: Any = {"clip": CLIPModel, "siglip": SiglipModel, "siglip2": Siglip2Model}[kind].from_pretrained(folder)
    # SigLIP is to be padded up to its limit; CLIP's causal attention sees no padding behind its end token.
    padding = {} if kind == "clip" else {"padding": "max_length", "max_length": TEXT_TOKENS, "truncation": True}
    inputs = processor(images=picture(index), text=[sentence(index)], return_tensors="pt", **padding)
    with torch.no_grad():
        output = model(**inputs)
    return (output.image_embeds @ output.text_embeds.T).item(), None


@pytest.mark.parametrize("kind", BUILDERS)
def test_scores_are_those_of_transformers_and_of_any_batch(kind: str, aligner_folders: dict[str, Path]) -> None:
    aligner = load_aligner(aligner_folders[kind], **CPU)
    alone = score_in_batches(aligner, 1)
    for index in range(5):
        cosine, match = by_transformers_alone(kind, aligner_folders[kind], index)
        assert alone[index].alignment == pytest.approx(cosine, abs=2e-6)
        assert alone[index].itm == (None if match is None else pytest.approx(match, abs=2e-6))
    assert len({round(score.alignment, 4) for score in alone}) > COUNT / 2  # the weights tell pairs apart
    for size in (FEWEST, COUNT):
        for one, together in zip(alone, score_in_batches(aligner, size), strict=True):
            assert one.alignment == pytest.approx(together.alignment, abs=1e-6)
            assert one.itm == pytest.approx(together.itm, abs=1e-6)


@pytest.mark.parametrize("kind", BUILDERS)
def test_a_long_text_is_cut_and_says_so(kind: str, aligner_folders: dict[str, Path]) -> None:
    aligner = load_aligner(aligner_folders[kind], **CPU)
    limit = {"blip2_itm": 32}.get(kind, TEXT_TOKENS)
    # Two tokens frame the words; SigLIP 2's tokenizer here knows letters, and frames nothing.
    word, framing = ("r", 0) if kind == "siglip2" else ("red ", 2)
    fits, longer, longest = ((word * (count - framing)).strip() for count in (limit, limit + 1, limit + 40))
    texts = aligner.encode_texts([fits, longer, longest])
    assert [text.cut for text in texts] == [False, True, True]
    image = aligner.encode_images([aligner.inputs(picture(0))])
    scores = aligner.scores(image * 3, texts)
    assert scores[1].alignment == pytest.approx(scores[2].alignment, abs=1e-6)


@pytest.mark.parametrize("kind", BUILDERS)
def test_a_sound_aligner_passes_the_check(kind: str, aligner_folders: dict[str, Path]) -> None:
    check_aligner(aligner_folders[kind])


def test_what_is_no_aligner_is_one_line(aligner_folders: dict[str, Path], tmp_path: Path) -> None:
    captioner = shutil.copytree(aligner_folders["blip2_itm"], tmp_path / "captioner")
    config = json.loads((captioner / "config.json").read_text())
    (captioner / "config.json").write_text(json.dumps(config | {"architectures": ["Blip2ForConditionalGeneration"]}))
    with pytest.raises(UserError, match=r"expected a BLIP-2 that matches images and texts .* found one that captions"):
        load_aligner(captioner, **CPU)


def test_missing_weights_are_told(aligner_folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(aligner_folders["clip"], tmp_path / "clip")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["num_hidden_layers"] = 3
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="weights are missing"):
        load_aligner(folder, **CPU)


def test_pickled_weights_are_read_as_tensors(aligner_folders: dict[str, Path], tmp_path: Path) -> None:
    """As published CLIPs have them."""
    folder = shutil.copytree(aligner_folders["clip"], tmp_path / "clip")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert check_aligner(folder) == check_aligner(aligner_folders["clip"])


def test_pickled_code_does_not_run(aligner_folders: dict[str, Path], tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "ran",)

    folder = shutil.copytree(aligner_folders["clip"], tmp_path / "clip")
    (folder / "model.safetensors").unlink()
    torch.save({"logit_scale": Hostile()}, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="expected weights that are tensors alone"):
        load_aligner(folder, **CPU)
    assert not (tmp_path / "ran").exists()


def test_without_a_tokenizer_nothing_is_scored(aligner_folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(aligner_folders["clip"], tmp_path / "clip")
    for name in ("tokenizer.json", "vocab.json", "merges.txt"):
        (folder / name).unlink(missing_ok=True)
    with pytest.raises(UserError, match="expected the tokenizer of the aligner"):
        load_aligner(folder, **CPU)
