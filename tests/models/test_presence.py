"""A model that a later stage could not load is refused by its files' headers."""

import json
import shutil
from pathlib import Path

import numpy
import pytest
from safetensors.numpy import save_file

from recap.models.presence import is_aligner, require_model, require_whole
from recap.runtime.errors import UserError

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 5000000000\n"


@pytest.fixture
def model(tmp_path) -> Path:
    """A language model of two shards, with a tokenizer of four tokens."""
    (tmp_path / "config.json").write_text('{"vocab_size": 4}')
    weights = {f"layer.{number}": numpy.zeros((8, 8), numpy.float32) for number in (1, 2)}
    names = {f"layer.{number}": f"model-0000{number}-of-00002.safetensors" for number in (1, 2)}
    for tensor, file in names.items():
        save_file({tensor: weights[tensor]}, tmp_path / file)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    tokenizer = {"model": {"vocab": {"a": 0, "b": 1, "c": 2}}, "added_tokens": [{"id": 3, "content": "<eos>"}]}
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    return tmp_path


def problem(folder: Path, **options) -> str:
    with pytest.raises(UserError) as error:
        require_whole(folder, "language model", **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_models_of_the_project_are_whole(root, model) -> None:
    for name in ("captioner", "aligner", "language_model"):
        require_whole(root / "models/tiny" / name, name, tokenizer=True)
    for name in ("vision_tower", "vision_tower_aux"):
        require_whole(root / "models/tiny" / name, name)
    require_whole(model, "language model", tokenizer=True)


def test_the_marker_for_no_aligner_is_told_from_one(root) -> None:
    assert is_aligner(root / "models/tiny/aligner") and not is_aligner(root / "configs/aligner/none")


def test_a_missing_shard_is_named(model) -> None:
    (model / "model-00002-of-00002.safetensors").unlink()
    assert "model-00002-of-00002.safetensors: expected a shard" in problem(model)


@pytest.mark.parametrize("name", ["model-00001-of-00002.safetensors", "model.safetensors.index.json"])
def test_a_pointer_of_git_lfs_is_no_model(model, name: str) -> None:
    (model / name).write_bytes(LFS)
    assert name in problem(model)


@pytest.mark.parametrize("kept", [0, 5, 40, -1])
def test_a_file_that_is_cut_off(model, kept: int) -> None:
    file = model / "model-00001-of-00002.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    assert "expected whole weights" in problem(model)


def test_a_header_of_lists_within_lists(model) -> None:
    header = b'{"a":' + b"[" * 100_000
    (model / "model-00001-of-00002.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert "expected whole weights, found no safetensors" in problem(model)


def test_pytorch_files(model, assets) -> None:
    for file in model.glob("model*"):
        file.unlink()
    assert "expected the weights of the language model" in problem(model)
    for content, sound in {LFS: False, b"<html>": False, b"": False, b"PK\x03\x04" + bytes(100): False}.items():
        (model / "pytorch_model.bin").write_bytes(content)
        assert not sound and "pytorch_model.bin" in problem(model)
    shutil.make_archive(str(model / "archive"), "zip", assets / "eval" / "textvqa_e2e")
    (model / "archive.zip").rename(model / "pytorch_model.bin")
    require_whole(model, "language model")


def test_a_tokenizer_has_to_be_there_and_to_fit(model) -> None:
    (model / "config.json").write_text('{"text_config": {"vocab_size": 3}}')
    assert "a vocabulary of 3, found one with token 3: it is another model's" in problem(model, tokenizer=True)
    (model / "tokenizer.json").unlink()
    assert "expected the tokenizer of the language model" in problem(model, tokenizer=True)
    (model / "vocab.json").touch()
    assert "expected the tokenizer" in problem(model, tokenizer=True)
    (model / "merges.txt").touch()
    require_whole(model, "language model", tokenizer=True)
    require_whole(model, "language model")


def test_ids_that_are_no_numbers_are_left_to_the_loader(model) -> None:
    (model / "tokenizer.json").write_text('{"model": {"vocab": ""}, "added_tokens": [{"id": {"vocab": ""}}]}')
    require_whole(model, "language model", tokenizer=True)


def test_a_copy_that_dvc_made_is_told_apart(tmp_path, monkeypatch) -> None:
    for folder, hint in {"project": False, "project/.dvc/tmp/exps/abc": True}.items():
        (tmp_path / folder).mkdir(parents=True)
        monkeypatch.chdir(tmp_path / folder)
        with pytest.raises(UserError) as error:
            require_model("models/hub/blip2", "captioner")
        assert ("give an absolute path" in str(error.value)) == hint
