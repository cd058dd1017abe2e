import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoProcessor

from recap.captioning import keys
from recap.captioning.decoding import Decoding
from recap.captioning.loading import check_captioner, load_captioner
from recap.runtime.errors import UserError

from .test_blip2 import CPU, GREEDY, load


def test_another_kind_of_model_is_refused(blip2_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(UserError, match=r"expected a model that writes text about an image .* found model_type clip"):
        load_captioner(tmp_path, GREEDY, **CPU)


def test_missing_weights_are_refused(blip2_folder: Path, tmp_path: Path) -> None:
    captioner = load(blip2_folder, GREEDY)
    state = captioner.model.state_dict()
    del state["language_projection.bias"]
    captioner.model.save_pretrained(tmp_path, state_dict=state)
    captioner.processor.save_pretrained(tmp_path)
    for attempt in (lambda: load_captioner(tmp_path, GREEDY, **CPU), lambda: check_captioner(tmp_path)):
        with pytest.raises(UserError, match=r"1 weights are missing, language_projection\.bias first"):
            attempt()


def test_a_whole_captioner_passes_the_check(blip2_folder: Path) -> None:
    check_captioner(blip2_folder)


def test_another_models_tokenizer_is_refused(blip2_folder: Path, tmp_path: Path) -> None:
    load(blip2_folder, GREEDY).model.save_pretrained(tmp_path)
    processor = AutoProcessor.from_pretrained(blip2_folder)
    processor.tokenizer.add_tokens([f"word{number}" for number in range(100)])
    processor.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="it is another model's"):
        check_captioner(tmp_path)


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_quantization_needs_what_a_machine_may_lack(blip2_folder: Path, quantization: str) -> None:
    with pytest.raises(UserError, match=rf"caption\.quantization: {quantization} needs a GPU"):
        load_captioner(blip2_folder, GREEDY, quantization=quantization, **CPU)
    if importlib.util.find_spec("bitsandbytes") is None:
        cuda = {"device": torch.device("cuda"), "dtype": torch.bfloat16}
        with pytest.raises(UserError, match="needs the package bitsandbytes"):
            load_captioner(blip2_folder, GREEDY, quantization=quantization, **cuda)


def test_settings_that_cannot_change_a_caption_are_none_of_it() -> None:
    greedy, drawn, redrawn = Decoding(), Decoding(do_sample=True), Decoding(redraws=1)
    assert "temperature" not in greedy.settings() and "top_p" not in greedy.settings()
    assert {"temperature", "top_p"} <= set(drawn.settings()) and "top_p" in redrawn.settings()
    assert json.loads(json.dumps(greedy.settings())) == greedy.settings()
    assert not greedy.samples and drawn.samples and redrawn.samples


def test_captions_judged_by_language_and_by_script_are_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def settings(told_by: str, language: str | None) -> dict[str, object]:
        monkeypatch.setattr(keys, "languages_told_by", lambda: told_by)
        return keys.caption_settings("digest", Decoding(language=language), **CPU, quantization="none", seed=1)

    assert settings("script", "en") != settings("language", "en")
    assert settings("script", None) == settings("language", None)


def test_pickled_code_does_not_run(blip2_folder: Path, tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "ran",)

    folder = shutil.copytree(blip2_folder, tmp_path / "captioner")
    (folder / "model.safetensors").unlink()
    torch.save({"query_tokens": Hostile()}, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="expected weights that are tensors alone"):
        load_captioner(folder, Decoding(), **CPU)
    assert not (tmp_path / "ran").exists()


def test_captions_longer_than_the_positions_are_refused(blip2_folder: Path) -> None:
    with pytest.raises(UserError, match=r"caption\.max_new_tokens: expected at most \d+, .* found 100000"):
        load_captioner(blip2_folder, Decoding(max_new_tokens=100_000), **CPU)
