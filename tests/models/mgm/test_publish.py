"""The published layout, written back: every name, every shape, every field, and the original's numbers bit for bit."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mgm_golden as golden
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_convert import original_config
from test_convert import publish as as_published

from recap.models.mgm.checkpoint import read_weights
from recap.models.mgm.configuration_mgm import MGMConfig
from recap.models.mgm.convert import convert, main
from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
from recap.models.mgm.publish import original_config as config_written
from recap.models.mgm.publish import original_names, publish
from recap.models.mgm.weight_names import mgm_name
from recap.runtime.errors import UserError

INDEX = "model.safetensors.index.json"


@pytest.fixture
def ours(tmp_path: Path, slice_of_reference: Path) -> Path:
    """The reference checkpoint in this package's format."""
    convert(as_published(tmp_path, slice_of_reference), tmp_path / "ours", hidden_act="gelu")
    return tmp_path / "ours"


def test_there_and_back_again(tmp_path: Path, ours: Path, slice_of_reference: Path) -> None:
    publish(ours, tmp_path / "back")
    stored = read_weights(tmp_path / "back")
    expected = golden.read(slice_of_reference, "weights.safetensors")
    assert stored.keys() == expected.keys()
    assert all(torch.equal(tensor, stored[name]) for name, tensor in expected.items())
    assert all(tensor.dtype == stored[name].dtype for name, tensor in expected.items())
    # And once more: what was written is read as what was published. This CLIP is too small to show its heads.
    config = json.loads((tmp_path / "back" / "config.json").read_text())
    config["mm_vision_tower"] = "model_zoo/OpenAI/clip-vit-tiny"
    (tmp_path / "back" / "config.json").write_text(json.dumps(config))
    convert(tmp_path / "back", tmp_path / "again", hidden_act="gelu")
    one, other = load_file(ours / "model.safetensors"), load_file(tmp_path / "again" / "model.safetensors")
    assert one.keys() == other.keys()
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    assert json.loads((ours / "config.json").read_text()) == json.loads(
        (tmp_path / "again" / "config.json").read_text()
    )


def test_every_field_that_both_can_say(tmp_path: Path, reference: Path, slice_of_reference: Path) -> None:
    """Against the config.json that the original wrote; where a model came from, ours does not say."""
    stored = json.loads((reference / "original_config.json").read_text())
    changes = {key: value for key, value in stored.items() if key not in ("mm_vision_tower", "mm_vision_tower_aux")}
    convert(as_published(tmp_path, slice_of_reference, **changes), tmp_path / "ours", hidden_act="gelu")
    publish(tmp_path / "ours", tmp_path / "back")
    found = json.loads((tmp_path / "back" / "config.json").read_text())
    foreign = {"_name_or_path", "mm_vision_tower", "mm_vision_tower_aux", "transformers_version"}
    assert found.keys() == stored.keys() - {"_name_or_path", "transformers_version"}
    # The length that the tokenizer cuts at is how it was trained, as the towers' paths are.
    differing = {key for key in found if found[key] != stored[key]}
    assert differing <= foreign | {"tokenizer_model_max_length"}


def test_the_fields_of_a_model_with_a_grid(slice_of_reference: Path) -> None:
    config = MGMConfig(**golden.sizes(slice_of_reference), image_grid=2, image_global=True)
    found = config_written(config, torch.bfloat16)
    given = original_config(slice_of_reference)
    assert (found["image_grid"], found["image_global"], found["tokenizer_model_max_length"]) == (2, True, 4096)
    assert (found["torch_dtype"], found["mm_hidden_size"], found["mm_hidden_size_aux"]) == ("bfloat16", 32, 80)
    assert {key: found[key] for key in ("rope_theta", "head_dim", "vocab_size")} == {
        key: given.get(key, 10000.0) for key in ("rope_theta", "head_dim", "vocab_size")
    }
    assert list(found) == sorted(found)


def test_the_names_of_mgm_2b(slice_of_reference: Path) -> None:
    """All 912 names of the real model with their shapes, but for the tied head that is not stored."""
    published: dict[str, list[int]] = golden.read(slice_of_reference, "mgm2b_keys.json")
    with torch.device("meta"):
        model = MGMForConditionalGeneration(MGMConfig())
    state, names = model.state_dict(), original_names(model)
    found = {original: list(state[name].shape) for original, name in names.items()}
    assert len(published) == 912
    assert found == {name: shape for name, shape in published.items() if name != "lm_head.weight"}
    assert all(mgm_name(original) == name for original, name in names.items())

    def parts(names: Any) -> list[str]:
        return list(dict.fromkeys(".".join(name.split(".")[:2]) for name in names))

    assert parts(found) == parts(published)[:-1]  # so that connectors and towers share the last shard


def test_several_shards(tmp_path: Path, ours: Path, slice_of_reference: Path) -> None:
    publish(ours, tmp_path / "back", max_shard_size="200KB")
    index = json.loads((tmp_path / "back" / INDEX).read_text())
    files = sorted(set(index["weight_map"].values()))
    assert len(files) > 2 and files[0] == f"model-00001-of-{len(files):05}.safetensors"
    assert sorted(file.name for file in (tmp_path / "back").glob("*.safetensors")) == files
    for file in files:
        held = load_file(tmp_path / "back" / file)
        assert held.keys() == {name for name, place in index["weight_map"].items() if place == file}
    expected = golden.read(slice_of_reference, "weights.safetensors")
    assert index["metadata"]["total_size"] == sum(tensor.numel() * 4 for tensor in expected.values())
    stored = read_weights(tmp_path / "back")
    assert all(torch.equal(tensor, stored[name]) for name, tensor in expected.items())


def test_one_shard_has_an_index_too(tmp_path: Path, ours: Path) -> None:
    """The original opens the index and nothing else."""
    publish(ours, tmp_path / "back")
    index = json.loads((tmp_path / "back" / INDEX).read_text())
    assert set(index["weight_map"].values()) == {"model.safetensors"}
    assert {"tokenizer.json", "tokenizer_config.json", "generation_config.json"} <= {
        file.name for file in (tmp_path / "back").iterdir()
    }


def test_command_line(tmp_path: Path, ours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["convert", "--layout", "original", str(ours), str(tmp_path / "back")])
    main()
    assert json.loads((tmp_path / "back" / "config.json").read_text())["model_type"] == "mgm_gemma"
    monkeypatch.setattr(sys, "argv", ["convert", "--layout", "original", str(tmp_path / "back"), str(tmp_path / "no")])
    with pytest.raises(UserError, match=r"config\.json: expected model_type mgm, found 'mgm_gemma'"):
        main()
    assert not (tmp_path / "no").exists()


def _without_norm(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["model.language_model.norm.weight"]


def _with_a_stranger(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.resampler.weight"] = torch.ones(1)


def _misshapen(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.mm_projector.0.bias"] = torch.ones(3)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_without_norm, r"missing model\.norm\.weight"),
        (_with_a_stranger, r"unexpected model\.resampler\.weight"),
        (_misshapen, r"model\.mm_projector\.0\.bias has shape \[3\], expected \[64\]"),
    ],
)
def test_a_folder_that_is_not_its_configuration(
    tmp_path: Path, ours: Path, spoil: Callable[[dict[str, torch.Tensor]], None], message: str
) -> None:
    tensors = load_file(ours / "model.safetensors")
    spoil(tensors)
    save_file(tensors, ours / "model.safetensors")
    with pytest.raises(UserError, match=message):
        publish(ours, tmp_path / "back")
    assert not (tmp_path / "back").exists()
